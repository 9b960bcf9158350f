package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/model/nn/kernel"
)

// TestFoldedPointStages draws shapes of a transition and a point block and
// holds the folded inference in float32 against the layers as written, in
// float64; neither it nor a training pass may depend on the number of threads.
func TestFoldedPointStages(t *testing.T) {
	testenv.SlowRace(t)
	defer kernel.SetThreads(kernel.Threads())
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 60).Draw(t, "points")
		strides := []int{1, rapid.IntRange(1, 4).Draw(t, "stride")}
		k := []int{rapid.IntRange(1, 17).Draw(t, "k0"), rapid.IntRange(1, 17).Draw(t, "k1")}
		c := 8 * rapid.SampledFrom([]int{1, 2, 3, 4, 8, 16, 24, 32}).Draw(t, "groups")
		batch := rapid.IntRange(2, 3).Draw(t, "batch")
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 0))
		x, dy := make([]float64, batch*n*8), make([]float64, batch*n*c)
		for i := range x {
			x[i] = float64(float32(rng.NormFloat64()))
			if i%8 < 3 { // a position whose squared distances both precisions have exactly, so that both find the same neighbours
				x[i] = math.Round(64*x[i]) / 64
			}
		}
		for i := range dy {
			dy[i] = float64(float32(rng.NormFloat64()))
		}
		want, _ := runPointStages[float64](t, strides, k, n, c, batch, seed, x, dy, false)
		var first, trained []float32
		for threads := range 3 {
			kernel.SetThreads(threads + 1)
			got, grads := runPointStages[float32](t, strides, k, n, c, batch, seed, x, dy, true)
			if threads == 0 {
				first, trained = got, grads
				for i, v := range got {
					if !(math.Abs(float64(v)-want[i]) <= 2e-4*(1+math.Abs(want[i]))) {
						t.Fatalf("output %d is %g, want %g", i, v, want[i])
					}
				}
				continue
			}
			if !slices.Equal(first, got) || !slices.Equal(trained, grads) {
				t.Fatalf("%d threads change the result", threads+1)
			}
		}
	})
}

// runPointStages returns the output in Eval mode, folded or not, and the
// output and all gradients of a training pass.
func runPointStages[T Float](t *rapid.T, strides, k []int, n, c, batch int, seed uint64, x, dy []float64, fold bool) (out, trained []T) {
	s, ctx := NewStore[T](seed), &Context{Mode: Eval}
	geo := NewPyramid[T](n, strides, k)
	b0, err := NewPointBlock(s, ctx, "b0", geo, 0, 8)
	if err != nil {
		t.Fatal(err)
	}
	b1, err := NewPointBlock(s, ctx, "b1", geo, 1, c)
	if err != nil {
		t.Fatal(err)
	}
	blocks := []Block[T]{NewTransitionDown(s, ctx, "d0", geo, 0, 8, 8, true), b0, NewTransitionDown(s, ctx, "d1", geo, 1, 8, c, false), b1}
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, p := range s.All {
		for i := range p.Value {
			switch p.Kind {
			case RunningVar:
				p.Value[i] = T(float32(0.5 + rng.Float64()))
			case RunningMean, NormWeight, NormBias:
				p.Value[i] += T(float32(0.3 * rng.NormFloat64()))
			default:
				p.Value[i] = T(float32(p.Value[i]))
			}
		}
	}
	if fold {
		for _, b := range blocks {
			b.Fold()
		}
	}
	forward := func() []T {
		v := convert[T](x)
		for _, b := range blocks {
			v = b.Forward(v, batch)
		}
		return slices.Clone(v)
	}
	out = forward()
	ctx.Mode = Train
	trained = forward()
	d := convert[T](dy)[:len(trained)]
	for i := len(blocks) - 1; i >= 0; i-- {
		d = blocks[i].Backward(d)
	}
	for _, p := range s.All {
		trained = append(trained, p.Grad...)
	}
	return out, trained
}

func convert[T Float](x []float64) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v)
	}
	return y
}
