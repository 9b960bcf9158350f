package nn

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"posefuse/model/nn/kernel"
)

// lowBlocks is a chain of four small blocks with random parameters and
// running statistics: two stages, odd sizes, channels that fill no panel.
func lowBlocks(ctx *Context) (*Store[float32], []*BasicBlock[float32]) {
	s := NewStore[float32](5)
	blocks := []*BasicBlock[float32]{
		NewBasicBlock(s, ctx, "t.layer1.0", 3, 6, 6, 1, 9, 7),
		NewBasicBlock(s, ctx, "t.layer1.1", 3, 6, 6, 1, 9, 7),
		NewBasicBlock(s, ctx, "t.layer2.0", 3, 6, 37, 2, 9, 7),
		NewBasicBlock(s, ctx, "t.layer2.1", 3, 37, 37, 1, 5, 4),
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, t := range s.All {
		for i := range t.Value {
			switch t.Kind {
			case NormWeight, RunningVar:
				t.Value[i] = 0.5 + rng.Float32()
			case NormBias, RunningMean:
				t.Value[i] = rng.Float32() - 0.5
			}
		}
	}
	return s, blocks
}

func runBlocks(blocks []*BasicBlock[float32], x []float32, b int) []float32 {
	for _, k := range blocks {
		x = k.Forward(x, b)
	}
	return x
}

func TestLowTrunkFollowsFloat32(t *testing.T) {
	const b = 2
	_, blocks := lowBlocks(&Context{Mode: Eval})
	rng := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, 3*b*9*7*6)
	for i := range x {
		x[i] = rng.Float32()
	}
	scales := map[string]float32{}
	at := x
	for _, k := range blocks {
		k.Fold()
		k.Inputs(at, b, func(conv string, v []float32) {
			for _, f := range v {
				scales[conv] = max(scales[conv], f/255)
			}
		})
		at = append([]float32(nil), k.Forward(at, b)...)
	}
	if len(scales) != 2*len(blocks) {
		t.Fatalf("ranges of %d convolutions, want %d", len(scales), 2*len(blocks))
	}
	want := append([]float32(nil), runBlocks(blocks, x, b)...)
	for f, bound := range map[kernel.LowFormat]float64{kernel.BFloat16: 0.01, kernel.Int8: 0.03} {
		trunk, err := NewLowTrunk(blocks, f, scales)
		if err != nil {
			t.Fatal(err)
		}
		trunk.Fold()
		got := trunk.Forward(x, b)
		var diff, norm float64
		for i, v := range want {
			diff += math.Pow(float64(got[i]-v), 2)
			norm += math.Pow(float64(v), 2)
		}
		if rel := math.Sqrt(diff / norm); !(rel < bound) || rel == 0 {
			t.Errorf("%s differs from float32 by %.4f of its norm, want more than nothing and less than %g", f, rel, bound)
		}
		// One sample alone gives what it gave in the batch.
		var single []float32
		in := len(x) / (3 * b)
		for a := range 3 {
			single = append(single, x[a*b*in:a*b*in+in]...)
		}
		alone, per := trunk.Forward(single, 1), len(want)/(3*b)
		again := append([]float32(nil), alone...)
		batch := trunk.Forward(x, b)
		for a := range 3 {
			for i := range per {
				if again[a*per+i] != batch[a*b*per+i] {
					t.Fatalf("%s: antenna %d, value %d is %g alone and %g in a batch", f, a, i, again[a*per+i], batch[a*b*per+i])
				}
			}
		}
	}
}

func TestLowTrunkRefusesScales(t *testing.T) {
	_, blocks := lowBlocks(&Context{Mode: Eval})
	for _, bad := range []float32{0, -1, 1e-40, 1e30, float32(math.NaN()), float32(math.Inf(1))} {
		scales := map[string]float32{}
		for _, k := range blocks {
			a, b := k.Convs()
			scales[a], scales[b] = 1, 1
		}
		scales["t.layer2.0.conv2"] = bad
		if _, err := NewLowTrunk(blocks, kernel.Int8, scales); err == nil || !strings.Contains(err.Error(), `"t.layer2.0.conv2"`) {
			t.Errorf("scale %v: error %v, want one that names the convolution", bad, err)
		}
		delete(scales, "t.layer2.0.conv2")
		if _, err := NewLowTrunk(blocks, kernel.Int8, scales); err == nil || !strings.Contains(err.Error(), `"t.layer2.0.conv2"`) {
			t.Errorf("missing scale: error %v, want one that names the convolution", err)
		}
	}
	if _, err := NewLowTrunk(nil, kernel.BFloat16, nil); err == nil {
		t.Error("a trunk of no blocks was made")
	}
}
