package replay

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"posefuse/sensors/modality"
)

func TestParseFaults(t *testing.T) {
	m, f, err := ParseFaults("radar:loss=0.05,duplicate=0.1,reorder=1,jitter=20ms,cut=10s+5s,cut=20s+100ms,restart=20s,restart=5s,step=30s-2s,seed=7")
	if err != nil {
		t.Fatal(err)
	}
	want := Faults{
		Seed: 7, Loss: .05, Duplicate: .1, Reorder: 1, Jitter: 20 * time.Millisecond,
		Cuts:     []Cut{{10 * time.Second, 5 * time.Second}, {20 * time.Second, 100 * time.Millisecond}},
		Restarts: []time.Duration{5 * time.Second, 20 * time.Second},
		Steps:    []ClockStep{{30 * time.Second, -2 * time.Second}},
	}
	if diff := cmp.Diff(want, f); diff != "" || m != modality.Radar {
		t.Errorf("%v %s", m, diff)
	}
	for flag, want := range map[string]string{
		"loss=0.1":          "must start with",
		"wifi:loss=0.1":     "must start with",
		"csi:loss=1.5":      "share between 0 and 1",
		"csi:loss=NaN":      "share between 0 and 1",
		"csi:jitter=20":     "not a duration",
		"csi:jitter=-1s":    "negative",
		"csi:cut=10s":       "TIME+DURATION",
		"csi:cut=10s-5s":    "longer than 0",
		"csi:cut=x+5s":      "not a duration",
		"csi:step=1s+y":     "not a duration",
		"csi:seed=-1":       "seed",
		"lidar:":            "unknown fault",
		"lidar:speed=1":     "known are loss",
		"camera:restart=5x": "not a duration",
	} {
		if _, _, err := ParseFaults(flag); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: error %v, want %q", flag, err, want)
		}
	}
}

func TestFaultDecisions(t *testing.T) {
	f := Faults{Seed: 3, Loss: 0.2, Duplicate: 0.1, Reorder: 0.05, Jitter: 10 * time.Millisecond}
	const n = 20000
	var lost, duplicated, held int
	var late time.Duration
	for i := range uint64(n) {
		a := f.decide(modality.LiDAR, i)
		if a != f.decide(modality.LiDAR, i) {
			t.Fatal("the same piece has two fates")
		}
		if a.delay < 0 || a.delay > f.Jitter {
			t.Fatalf("delay %v", a.delay)
		}
		late += a.delay
		if a.lost {
			lost++
		}
		if a.duplicated {
			duplicated++
		}
		if a.held {
			held++
		}
	}
	// Five standard deviations of a share p of n are at most 5 sqrt(p/n).
	for name, c := range map[string][2]float64{
		"lost": {float64(lost), f.Loss}, "duplicated": {float64(duplicated), f.Duplicate}, "reordered": {float64(held), f.Reorder},
	} {
		if share := c[0] / n; math.Abs(share-c[1]) > 5*math.Sqrt(c[1]/n) {
			t.Errorf("%s: share %v, want %v", name, share, c[1])
		}
	}
	if mean := late / n; mean < 4800*time.Microsecond || mean > 5200*time.Microsecond {
		t.Errorf("mean delay %v of 0..10ms", mean)
	}
	// Other seeds and other sensors have other faults.
	same := 0
	g := f
	g.Seed++
	for i := range uint64(1000) {
		if f.decide(modality.LiDAR, i).delay == g.decide(modality.LiDAR, i).delay || f.decide(modality.LiDAR, i).delay == f.decide(modality.Camera, i).delay {
			same++
		}
	}
	if same > 5 {
		t.Errorf("%d of 1000 delays are the same for another seed or sensor", same)
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("radar:loss=0.05,jitter=20ms,cut=10s+5s,restart=20s,step=30s-2s,seed=7")
	f.Add("camera:reorder=1")
	f.Add(":::=,,=+-")
	f.Fuzz(func(t *testing.T, s string) {
		m, v, err := ParseFaults(s)
		if err != nil {
			return
		}
		if m >= modality.Count || !(v.Loss >= 0 && v.Loss <= 1) || v.Jitter < 0 {
			t.Fatalf("%q gives %v %+v", s, m, v)
		}
	})
}

func TestScheduleIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := schedule{start: time.Unix(1000, 0), period: time.Duration(rapid.IntRange(1e6, 1e9).Draw(t, "period"))}
		at := s.start.Add(time.Duration(rapid.Int64Range(-1e10, 1e12).Draw(t, "at")))
		n := s.indexAt(at)
		if n < 0 || s.frame(n).Before(at) || n > 0 && !s.frame(n-1).Before(at) {
			t.Fatalf("frame %d is not the first at or after %v", n, at)
		}
	})
}
