package experiment

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// crossedData draws differences of seeds and subjects with a mean and the spread of
// each.
func crossedData(rng *rand.Rand, seeds, subjects int, mean, seedSD, subjectSD float64) [][]SubjectError {
	bySubject := make([]float64, subjects)
	for j := range bySubject {
		bySubject[j] = subjectSD * rng.NormFloat64()
	}
	out := make([][]SubjectError, seeds)
	for i := range out {
		bySeed := seedSD * rng.NormFloat64()
		for j := range subjects {
			out[i] = append(out[i], SubjectError{Frames: 10, A: 10 * (100 + mean + bySeed + bySubject[j]), B: 1000})
		}
	}
	return out
}

func TestCrossedBootstrapKnowsBothSpreads(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	clear, p := CrossedBootstrap(crossedData(rng, 8, 8, -5, 0.5, 0.5), 1)
	if !clear.Excludes(0) || p > 0.01 || clear.N != 8 {
		t.Errorf("a clear difference: %+v, p %v", clear, p)
	}
	for name, d := range map[string][][]SubjectError{"seeds": crossedData(rng, 8, 8, 0, 5, 0.1), "subjects": crossedData(rng, 8, 8, 0, 0.1, 5)} {
		if in, p := CrossedBootstrap(d, 1); in.High-in.Low < 2 || p < 0.01 {
			t.Errorf("%s that differ by 5 mm: %+v, p %v", name, in, p)
		}
	}
	if in, p := CrossedBootstrap(crossedData(rng, 1, 8, -5, 0, 0), 1); in.N != 1 || p != 1 {
		t.Errorf("one seed: %+v, p %v", in, p)
	}
}

// TestHolm takes p-values whose correction is known, and holds for any that it keeps
// their order and never lowers one.
func TestHolm(t *testing.T) {
	table := func(ps ...float64) (out []*Comparison) {
		for _, p := range ps {
			out = append(out, &Comparison{Crossed: Interval{-1, -2, -0.5, 5}, P: p, Verdict: Better})
		}
		return out
	}
	known := append(table(0.01, 0.04, 0.03, 0.005), nil, &Comparison{Verdict: NoDifference})
	holm(known)
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if got := known[i]; !near(got.PHolm, want) || (got.Verdict == Better) != (want < 0.05) {
			t.Errorf("p %v becomes %v (%s), want %v", got.P, got.PHolm, got.Verdict, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		list := table(rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 12).Draw(t, "p")...)
		holm(list)
		for _, a := range list {
			if a.PHolm < a.P || a.PHolm > 1 {
				t.Fatalf("p %v becomes %v", a.P, a.PHolm)
			}
			for _, b := range list {
				if a.P < b.P && a.PHolm > b.PHolm {
					t.Fatalf("%v < %v, but %v > %v", a.P, b.P, a.PHolm, b.PHolm)
				}
			}
		}
	})
}
