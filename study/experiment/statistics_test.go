package experiment

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6*math.Max(1, math.Abs(b)) }

func TestMeanIntervalKnownCases(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   Interval
	}{
		// Half-width: t(0.975, n-1)·s/√n, from a table of Student's t.
		{"two", []float64{1, 3}, Interval{2, 2 - 12.7062047, 2 + 12.7062047, 2}},
		{"five", []float64{10, 11, 12, 13, 14}, Interval{12, 12 - 2.7764451*math.Sqrt(2.5)/math.Sqrt(5), 12 + 2.7764451*math.Sqrt(2.5)/math.Sqrt(5), 5}},
		{"all equal", []float64{7, 7, 7}, Interval{7, 7, 7, 3}},
		{"one value has no interval", []float64{4}, Interval{4, 4, 4, 1}},
	} {
		got := MeanInterval(c.values)
		if !near(got.Mean, c.want.Mean) || !near(got.Low, c.want.Low) || !near(got.High, c.want.High) || got.N != c.want.N {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if in := MeanInterval(nil); !math.IsNaN(in.Mean) || in.N != 0 {
		t.Errorf("nothing: %+v", in)
	}
}

func TestBootstrapSubjectsKnownCases(t *testing.T) {
	// Every subject differs by the same amount: no draw can change it.
	same := []SubjectError{{100, 5300, 5000}, {50, 2650, 2500}, {10, 530, 500}}
	if in := BootstrapSubjects(same, 1); !near(in.Mean, 3) || !near(in.Low, 3) || !near(in.High, 3) || in.N != 3 {
		t.Errorf("constant difference: %+v", in)
	}
	// Two subjects of equal weight at 0 and 10: a draw gives 0, 5 or 10 with
	// chances 1/4, 1/2, 1/4, so the interval is all of it.
	if in := BootstrapSubjects([]SubjectError{{1, 0, 0}, {1, 10, 0}}, 1); !near(in.Mean, 5) || in.Low != 0 || in.High != 10 {
		t.Errorf("two subjects: %+v", in)
	}
	// Frames weigh: 90 frames at 1 mm and 10 at 11 mm are 2 mm on average.
	if in := BootstrapSubjects([]SubjectError{{90, 90, 0}, {10, 110, 0}}, 1); !near(in.Mean, 2) {
		t.Errorf("weights: %+v", in)
	}
	if in := BootstrapSubjects([]SubjectError{{10, 20, 10}}, 1); in.N != 1 || in.Excludes(0) {
		t.Errorf("one subject shows nothing: %+v", in)
	}
	// Forty subjects with differences of standard deviation 2: the half-width
	// is near 1.96·2/√40 = 0.62.
	var many []SubjectError
	for i := range 40 {
		d := 2 * math.Sqrt2 * math.Sin(2*math.Pi*float64(i)/40)
		many = append(many, SubjectError{1, 50 + d, 50})
	}
	if in := BootstrapSubjects(many, 1); math.Abs((in.High-in.Low)/2-0.62) > 0.06 || math.Abs(in.Mean) > 1e-9 {
		t.Errorf("forty subjects: %+v", in)
	}
}

func TestVerdictNeedsBothIntervals(t *testing.T) {
	clear := []SubjectError{{1, 49, 50}, {1, 48, 50}, {1, 48.5, 50}, {1, 49.2, 50}}
	mixed := []SubjectError{{1, 49, 50}, {1, 53, 50}, {1, 44, 50}, {1, 51, 50}}
	down, unclear := []float64{-1.2, -1.3, -1.1}, []float64{-3, 2, -1}
	for _, c := range []struct {
		name     string
		seeds    []float64
		subjects []SubjectError
		want     string
	}{
		{"both below zero", down, clear, Better},
		{"seeds unclear", unclear, clear, NoDifference},
		{"subjects unclear", down, mixed, NoDifference},
		{"one seed", []float64{-5}, clear, NoDifference},
		{"opposite signs", []float64{1.2, 1.3, 1.1}, clear, NoDifference},
	} {
		if got := Compare(c.seeds, c.subjects, 1).Verdict; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestComparisonIsAntisymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seeds := rapid.SliceOfN(rapid.Float64Range(-5, 5), 2, 6).Draw(t, "seeds")
		n := rapid.IntRange(2, 8).Draw(t, "subjects")
		var ab, ba []SubjectError
		for range n {
			s := SubjectError{float64(rapid.IntRange(1, 50).Draw(t, "frames")), rapid.Float64Range(0, 900).Draw(t, "a"), rapid.Float64Range(0, 900).Draw(t, "b")}
			ab, ba = append(ab, s), append(ba, SubjectError{s.Frames, s.B, s.A})
		}
		back := make([]float64, len(seeds))
		for i, v := range seeds {
			back[i] = -v
		}
		x, y := Compare(seeds, ab, 3), Compare(back, ba, 3)
		opposite := map[string]string{Better: Worse, Worse: Better, NoDifference: NoDifference}
		if y.Verdict != opposite[x.Verdict] || !near(x.OverSubjects.Mean, -y.OverSubjects.Mean) || !near(x.OverSeeds.Low, -y.OverSeeds.High) {
			t.Fatalf("%+v and %+v", x, y)
		}
	})
}

// Six subjects whose lower bound is a hair below zero one way and was above it the
// other way round, since quantiles were not taken alike at both ends.
func TestComparisonIsAntisymmetricAtTheEdge(t *testing.T) {
	ab := []SubjectError{{1, 1, 1}, {1, 1, 0.125}, {1, 0.125, 0.0625}, {1, 0.125, 0.5}, {1, 2.9999999999999996, 1}, {1, 1.5, 0.25}}
	var ba []SubjectError
	for _, s := range ab {
		ba = append(ba, SubjectError{s.Frames, s.B, s.A})
	}
	for seed := range uint64(20) {
		x, y := BootstrapSubjects(ab, seed), BootstrapSubjects(ba, seed)
		if x.Low != -y.High || x.High != -y.Low {
			t.Errorf("seed %d: %+v and %+v", seed, x, y)
		}
	}
}
