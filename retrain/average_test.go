package retrain

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestShareOfTheTrainedWeights: what forgets nothing comes before what learns more,
// and what learns more before what learns less.
func TestShareOfTheTrainedWeights(t *testing.T) {
	quarters := [...]float32{1, 0.75, 0.5, 0.25}
	for _, c := range []struct {
		name   string
		ratios [len(quarters)][2]float64 // new, old, by share
		want   float32
	}{
		{"nothing is forgotten", [...][2]float64{{0.6, 0.97}, {0.7, 0.96}, {0.8, 0.97}, {0.9, 0.99}}, 1},
		{"only the half keeps", [...][2]float64{{0.6, 1.2}, {0.65, 1.05}, {0.75, 0.99}, {0.9, 0.98}}, 0.5},
		{"within chance", [...][2]float64{{0.6, 1.009}, {0.65, 0.99}, {0.75, 0.98}, {0.9, 0.97}}, 1},
		{"all forget", [...][2]float64{{0.6, 1.3}, {0.65, 1.1}, {0.75, 1.08}, {0.95, 1.02}}, 0.75},
		{"what keeps learned nothing", [...][2]float64{{0.6, 1.3}, {1.01, 0.99}, {1.02, 0.99}, {1.01, 0.99}}, 1},
	} {
		best := blendChoice{share: quarters[0], newRatio: c.ratios[0][0], oldRatio: c.ratios[0][1]}
		for i, share := range quarters[1:] {
			if b := (blendChoice{share, c.ratios[i+1][0], c.ratios[i+1][1]}); b.betterThan(best, 1.01) {
				best = b
			}
		}
		if best.share != c.want {
			t.Errorf("%s: %g, want %g", c.name, best.share, c.want)
		}
	}
}

// TestMixture: all of the trained weights are exactly those, and a share lies
// between both.
func TestMixture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float32Range(-10, 10)
		base, trained := []float32{value.Draw(t, "base")}, []float32{value.Draw(t, "trained")}
		share := rapid.SampledFrom(shares[:]).Draw(t, "share")
		into := []float32{0}
		mix(into, base, trained, share)
		low, high := min(base[0], trained[0]), max(base[0], trained[0])
		if share == 1 && into[0] != trained[0] || into[0] < low-1e-5 || into[0] > high+1e-5 || math.IsNaN(float64(into[0])) {
			t.Fatalf("%g of %g and %g is %g", share, trained[0], base[0], into[0])
		}
	})
}
