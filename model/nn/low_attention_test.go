package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"posefuse/internal/testenv"
)

// lowTransformers returns a transformer in float32 and one in low precision on
// the same weights, and b samples.
func lowTransformers(b int) (float, low *ChannelTransformer[float32], x []float32) {
	const tokens, c, heads = 21, 48, 3
	s := NewStore[float32](1)
	make1 := func() *ChannelTransformer[float32] {
		return NewChannelTransformer(s, &Context{Mode: Eval}, "t", tokens, c, heads, 4*c, 0)
	}
	float, low = make1(), make1()
	low.Lower()
	float.Fold()
	low.Fold()
	rng := rand.New(rand.NewPCG(1, 2))
	x = make([]float32, b*tokens*c)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return float, low, x
}

func TestLowAttentionIsCloseToFloat32(t *testing.T) {
	float, low, x := lowTransformers(3)
	want, got := float.Forward(x, 3), slices.Clone(low.Forward(x, 3))
	// The output is normalised, so about 1; a bfloat16 number is off by up to
	// 1/512 of itself.
	var sum float64
	for i, v := range got {
		d := math.Abs(float64(v - want[i]))
		sum += d
		if d > 0.05 {
			t.Fatalf("value %d is %g, in float32 %g", i, v, want[i])
		}
	}
	if mean := sum / float64(len(got)); mean == 0 || mean > 0.008 {
		t.Errorf("the mean difference to float32 is %g, want one up to 0.008", mean)
	}
	n := len(x) / 3
	if alone := low.Forward(x[n:2*n], 1); !slices.Equal(alone, got[n:2*n]) {
		t.Error("a sample alone gives something else than in a batch")
	}
}

func TestLowAttentionAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	_, low, x := lowTransformers(1)
	low.Forward(x, 1)
	if n := testenv.AllocsPerRun(10, func() { low.Forward(x, 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
