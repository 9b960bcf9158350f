package skeleton

import (
	"math"
	"testing"

	"posefuse/internal/testenv"
)

// TestStageOffChangesNothing to the bit.
func TestStageOffChangesNothing(t *testing.T) {
	s := NewStage(Options{})
	r := seeded(5)
	for i := range int64(60) {
		want := noisy(r, standing, 0.02)
		got := want
		if s.Next((i+1)*tickNS, all, &got) || got != want {
			t.Fatalf("pose %d is changed", i)
		}
	}
}

// TestStageKeepsTheBones: after quiet standing the lengths of all poses are those
// that are known, whatever the network says, until the person has been away or
// somebody asks for it.
func TestStageKeepsTheBones(t *testing.T) {
	for name, forget := range map[string]func(*Stage) int64{
		"away":       func(*Stage) int64 { return awayS*1e9 + 1 },
		"new person": func(s *Stage) int64 { s.NewPerson(); return 0 },
	} {
		s := NewStage(Options{Filter: true, Bones: true})
		r := seeded(6)
		calibrated := 0
		var ns int64
		for range 100 {
			ns += tickNS
			p := noisy(r, standing, 0.02)
			if !s.Next(ns, all, &p) {
				continue
			}
			calibrated++
			if l, _ := s.Lengths(); lengthsDiffer(LengthsOf(&p), l) > 1e-4 {
				t.Fatalf("%s: a bone is off by %.2f mm", name, 1e3*lengthsDiffer(LengthsOf(&p), l))
			}
		}
		if calibrated < 75 {
			t.Errorf("%s: %d of 100 poses calibrated", name, calibrated)
		}
		ns += tickNS + forget(s)
		if p := standing; s.Next(ns, all, &p) {
			t.Errorf("%s: the bones of the person before are still known", name)
		}
	}
}

// TestStageSurvivesWhatIsNoPose: it is left as it is, and the next one is as if
// nothing had been.
func TestStageSurvivesWhatIsNoPose(t *testing.T) {
	s := NewStage(Options{Filter: true, Bones: true})
	for i := range int64(50) {
		p := standing
		if i == 30 {
			p[Head][1] = math.NaN()
		}
		s.Next((i+1)*tickNS, all, &p)
		if i != 30 && !finite(&p) {
			t.Fatalf("pose %d: %v", i, p)
		}
	}
	if _, known := s.Lengths(); !known {
		t.Error("bones are not known")
	}
}

func TestStageAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	s := NewStage(Options{Filter: true, Bones: true})
	r := seeded(7)
	var ns int64
	if n := testing.AllocsPerRun(200, func() {
		ns += tickNS
		p := noisy(r, standing, 0.02)
		s.Next(ns, all, &p)
	}); n != 0 {
		t.Errorf("%.1f allocations a pose", n)
	}
}
