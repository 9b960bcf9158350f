package sim_test

import (
	"math"
	"testing"

	"posefuse/recording/sim"
)

func TestSubjects(t *testing.T) {
	for seed := range uint64(20) {
		women := 0
		for id := 1; id <= 40; id++ {
			s := sim.NewSubject(seed, id)
			if s.ID != id {
				t.Fatalf("subject %d has id %d", id, s.ID)
			}
			if s != sim.NewSubject(seed, id) {
				t.Fatalf("subject %d differs from itself", id)
			}
			if s.Female {
				women++
			}
			if s.HeightM < 1.4 || s.HeightM > 1.95 || s.Girth < 0.6 || s.Girth > 1.4 {
				t.Errorf("subject %d: height %.2f m, girth %.2f", id, s.HeightM, s.Girth)
			}
			if leg := (s.Segments.Thigh + s.Segments.Shank) / s.HeightM; leg < 0.42 || leg > 0.56 {
				t.Errorf("subject %d: legs are %.2f of the height", id, leg)
			}
		}
		if women != 11 {
			t.Errorf("seed %d: %d women of 40, want 11", seed, women)
		}
	}
}

func TestSubjectStatistics(t *testing.T) {
	var height, height2, thigh, girth2, n float64
	for seed := range uint64(100) {
		for id := 1; id <= 40; id++ {
			s := sim.NewSubject(seed, id)
			if s.Female {
				continue
			}
			n++
			height += s.HeightM
			height2 += s.HeightM * s.HeightM
			thigh += s.Segments.Thigh / s.HeightM
			girth2 += (s.Girth - 1) * (s.Girth - 1)
		}
	}
	mean := height / n
	if math.Abs(mean-1.73) > 0.006 {
		t.Errorf("mean height of men %.3f m, want 1.73", mean)
	}
	if sd := math.Sqrt(height2/n - mean*mean); math.Abs(sd-0.063) > 0.004 {
		t.Errorf("spread of the height %.3f m, want 0.063 (0.065 cut at 2.5 deviations)", sd)
	}
	if math.Abs(thigh/n-0.245) > 0.001 {
		t.Errorf("mean thigh %.4f of the height, want 0.245", thigh/n)
	}
	if sd := math.Sqrt(girth2 / n); math.Abs(sd-0.116) > 0.006 {
		t.Errorf("spread of the girth %.3f, want 0.116 (0.12 cut at 2.5 deviations)", sd)
	}
}
