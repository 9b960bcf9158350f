package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"posefuse/model/nn/kernel"
)

// TestBatchNormInFloat32 compares the float32 passes, which treat few channels
// as wider rows, with those in float64 on random shapes.
func TestBatchNormInFloat32(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.OneOf(rapid.IntRange(1, 40), rapid.SampledFrom([]int{128, 241, 300, 512})).Draw(t, "c")
		groups := rapid.IntRange(1, 3).Draw(t, "groups")
		rows := groups * rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(500, 1200)).Draw(t, "rows")
		mode := Mode(rapid.IntRange(0, 2).Draw(t, "mode"))
		relu := rapid.Bool().Draw(t, "relu")
		kernel.SetThreads(rapid.IntRange(1, 3).Draw(t, "threads"))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		n32 := NewBatchNorm(NewStore[float32](1), &Context{Mode: mode}, "bn", c, groups)
		n64 := NewBatchNorm(NewStore[float64](1), &Context{Mode: mode}, "bn", c, groups)
		for i := range c {
			for k, p := range []*Tensor[float32]{n32.Weight, n32.Bias, n32.RunMean, n32.Run} {
				v := float32(0.5 + rng.Float64())
				p.Value[i] = v
				[]*Tensor[float64]{n64.Weight, n64.Bias, n64.RunMean, n64.Run}[k].Value[i] = float64(v)
			}
		}
		draw := func() ([]float32, []float64) {
			a, b := make([]float32, rows*c), make([]float64, rows*c)
			for i := range a {
				a[i] = float32(2 + rng.NormFloat64())
				b[i] = float64(a[i])
			}
			return a, b
		}
		x32, x64 := draw()
		d32, d64 := draw()
		y32, y64 := make([]float32, rows*c), make([]float64, rows*c)
		n32.Forward(x32, y32, rows, relu)
		n64.Forward(x64, y64, rows, relu)
		near := func(what string, a []float32, b []float64, tolerance float64) {
			t.Helper()
			for i := range a {
				if !(math.Abs(float64(a[i])-b[i]) <= tolerance*(1+math.Abs(b[i]))) {
					t.Fatalf("%s[%d] = %g, want %g", what, i, a[i], b[i])
				}
			}
		}
		few := leastVariance(x64, c, rows/groups) < 0.05 // tiny variances magnify rounding
		loose := func(f float64) float64 {
			if few {
				return 500 * f
			}
			return f
		}
		near("output", y32, y64, loose(2e-5))
		near("running mean", n32.RunMean.Value, n64.RunMean.Value, 1e-5)
		near("running variance", n32.Run.Value, n64.Run.Value, 1e-5)
		for i, y := range y64 { // precision must not decide whether the ReLU is open
			if y < 1e-3 {
				d32[i], d64[i] = 0, 0
			}
		}
		n32.Backward(x32, d32, d32, rows)
		n64.Backward(x64, d64, d64, rows)
		if few {
			return
		}
		near("input gradient", d32, d64, 1e-3)
		near("weight gradient", n32.Weight.Grad, n64.Weight.Grad, 1e-3)
		near("bias gradient", n32.Bias.Grad, n64.Bias.Grad, 1e-4)
	})
}

// leastVariance returns the smallest variance of a channel within a group of rows.
func leastVariance(x []float64, c, rows int) float64 {
	least := math.Inf(1)
	for group := 0; group < len(x); group += rows * c {
		for k := range c {
			var sum, squares float64
			for r := range rows {
				v := x[group+r*c+k]
				sum, squares = sum+v, squares+v*v
			}
			mean := sum / float64(rows)
			least = min(least, squares/float64(rows)-mean*mean)
		}
	}
	return least
}
