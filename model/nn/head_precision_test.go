package nn

import (
	"math"
	"testing"
)

func TestPrecisionHeadGradients(t *testing.T) {
	checkHead(t, func(s *Store[float64], _ *Context) Head[float64] { return NewPrecisionHead(s, "h", 3, 8, 6) })
}

// What is fused is the mean by precision of what the modalities present say; an
// absent one has no part in it and gets no gradient.
func TestPrecisionHeadWeighsByPrecision(t *testing.T) {
	s := NewStore[float64](1)
	h := NewPrecisionHead(s, "h", 2, 2, 1)
	for _, p := range s.All {
		clear(p.Value)
	}
	h.bias.Value[0], h.prior.Value[0] = 10, math.Log(0.5)
	copy(h.layers[0].Weight.Value, []float64{1, 0, 0, 1}) // says f0 with log precision f1
	copy(h.layers[1].Weight.Value, []float64{1, 0, 0, 1})
	f := [][]float64{{3, math.Log(2), 3, math.Log(2), 0, 0}, {-1, math.Log(4), 0, 0, 0, 0}}
	got := h.Forward(f, 3)
	for i, want := range []float64{10 + (2*3-4*1)/6.5, 10 + 2*3/2.5, 10} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("sample %d: %v, want %v", i, got[i], want)
		}
	}
	grads := h.Backward([]float64{1, 1, 1})
	for i, want := range []float64{2 / 6.5, 0, 2 / 2.5, 0, 0, 0} {
		if i%2 == 0 && math.Abs(grads[0][i]-want) > 1e-12 {
			t.Errorf("gradient %d of the first modality: %v, want %v", i, grads[0][i], want)
		}
	}
	for i, g := range grads[1][2:] {
		if g != 0 {
			t.Errorf("gradient %d of an absent modality: %v", i, g)
		}
	}
}

// A precision beyond all measure is cut off, not infinite.
func TestPrecisionHeadStaysFinite(t *testing.T) {
	s := NewStore[float32](1)
	h := NewPrecisionHead(s, "h", 2, 2, 3)
	f := [][]float32{{1e8, -1e8}, {-1e8, 1e8}}
	for _, v := range append(h.Forward(f, 1), h.Backward([]float32{1, 1, 1})[0]...) {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			t.Errorf("a value is %v", v)
		}
	}
}
