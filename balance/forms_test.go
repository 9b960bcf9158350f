package balance_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/balance"
)

// TestFormsKeepTheTrace holds the sum of the diagonal, and for a permutation its
// values, whatever they are.
func TestFormsKeepTheTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "parameters")
		before := make([]float32, n)
		for i := range before {
			before[i] = float32(rapid.IntRange(0, 1000).Draw(t, "value"))
		}
		draw := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).IntN
		sum := func(v []float32) (s float64) {
			for _, x := range v {
				s += float64(x)
			}
			return s
		}
		for _, form := range []balance.Form{balance.Diagonal, balance.Mean, balance.Permuted} {
			after := slices.Clone(before)
			form.Apply(after, draw)
			if d := sum(after) - sum(before); d > 0.01*float64(n) || d < -0.01*float64(n) {
				t.Fatalf("%q: the trace changed by %v", form, d)
			}
			switch form {
			case balance.Diagonal:
				if !slices.Equal(after, before) {
					t.Fatal("the diagonal changed")
				}
			case balance.Mean:
				if slices.Max(after) != slices.Min(after) {
					t.Fatal("the mean is not the same everywhere")
				}
			case balance.Permuted:
				a, b := slices.Clone(after), slices.Clone(before)
				slices.Sort(a)
				slices.Sort(b)
				if !slices.Equal(a, b) {
					t.Fatal("a permutation has other values")
				}
			}
		}
	})
}

func TestEncodersOfAConstraint(t *testing.T) {
	for e, want := range map[balance.Encoders]string{"": "RLMW", "R": "R", "not R": "LMW"} {
		got := ""
		for _, letter := range []string{"R", "L", "M", "W"} {
			if e.Has(letter) {
				got += letter
			}
		}
		if got != want {
			t.Errorf("%q holds %s, want %s", e, got, want)
		}
	}
}
