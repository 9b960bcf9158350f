package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// All coalitions together give what each gives alone, for any head, number of
// features and batch, whether it fills the chunks or not.
func TestCoalitionsEqualForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "features")
		b := rapid.IntRange(1, 2*coalitionSamples+3).Draw(t, "samples")
		const width, out = 8, 6
		s, ctx := NewStore[float64](rapid.Uint64().Draw(t, "seed")), &Context{Mode: Eval}
		var h CoalitionHead[float64]
		switch rapid.SampledFrom([]string{"mlp", "attention", "precision", "reprojection"}).Draw(t, "head") {
		case "mlp":
			h = NewMLPHead(s, "h", n, width, []int{10, 7}, out)
		case "reprojection":
			h = NewReprojectionHead(s, "h", oneKeypoint(n))
		case "precision":
			h = NewPrecisionHead(s, "h", n, width, out)
		default:
			h = NewAttentionHead(s, ctx, "h", n, width, 2, 2, 12, out, 0.1)
		}
		rng := rand.New(rand.NewPCG(uint64(n), uint64(b)))
		for _, p := range s.All {
			for i := range p.Value {
				p.Value[i] += 0.2 * rng.NormFloat64()
			}
		}
		var masks []uint8
		for m := 1; m < 1<<n; m++ {
			if rapid.Bool().Draw(t, fmt.Sprint("coalition ", m)) {
				masks = append(masks, uint8(m))
			}
		}
		if len(masks) == 0 {
			masks = append(masks, 1)
		}
		features, got := make([][]float64, n), make([][]float64, len(masks))
		for m := range features {
			for range b * width {
				features[m] = append(features[m], rng.NormFloat64())
			}
		}
		for i := range got {
			got[i] = make([]float64, b*out)
		}
		h.Coalitions(features, b, masks, got)
		zero, in := make([]float64, b*width), make([][]float64, n)
		for i, mask := range masks {
			for m := range in {
				if in[m] = zero; mask>>m&1 == 1 {
					in[m] = features[m]
				}
			}
			for k, want := range h.Forward(in, b) {
				if math.Abs(got[i][k]-want) > 1e-12*(1+math.Abs(want)) {
					t.Fatalf("coalition %b: output %d is %v, alone %v", mask, k, got[i][k], want)
				}
			}
		}
	})
}
