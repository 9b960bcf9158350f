package nn

import (
	"math"
	"testing"
)

func tokenHead(s *Store[float64]) *TokenHead[float64] {
	return NewTokenHead(s, "h", TokenHeadConfig{N: 3, Width: 8, Tokens: 2, Learned: 3, C: 8, Layers: 2, Heads: 2, Hidden: 10, Out: 6})
}

func TestTokenHeadGradients(t *testing.T) {
	checkHead(t, func(s *Store[float64], _ *Context) Head[float64] { return tokenHead(s) })
}

// A zero feature is absent: it gets no gradient, changes nothing by its
// projector's bias, and a sample without any gives one constant pose.
func TestTokenHeadLeavesOutAbsentModalities(t *testing.T) {
	s := NewStore[float64](2)
	h := tokenHead(s)
	const b = 4
	f := [][]float64{randomValues(b * 8), randomValues(b*8 + 1)[:b*8], randomValues(b*8 + 2)[:b*8]}
	clear(f[1][8:16])  // sample 1 lacks modality 1
	clear(f[0][16:24]) // samples 2 and 3 have none
	clear(f[1][16:24])
	clear(f[2][16:24])
	for m := range f {
		clear(f[m][24:32])
	}
	forward := func() []float64 { return append([]float64(nil), h.Forward(f, b)...) }
	y := forward()
	for i := range 6 {
		if y[12+i] != y[18+i] {
			t.Errorf("value %d of samples without any modality: %v and %v", i, y[12+i], y[18+i])
		}
	}
	dy := randomValues(b * 6)
	grads := h.Backward(dy)
	for m, rows := range [][]int{{2, 3}, {1, 2, 3}, {2, 3}} {
		for _, r := range rows {
			for i, v := range grads[m][r*8 : (r+1)*8] {
				if v != 0 {
					t.Errorf("absent modality %d of sample %d: gradient %d is %v", m, r, i, v)
				}
			}
		}
	}
	for i := range h.projectors[1].Bias.Value {
		h.projectors[1].Bias.Value[i] += 0.7
	}
	z := forward()
	moved := 0.0
	for i := range y {
		d := math.Abs(z[i] - y[i])
		if i < 6 {
			moved += d
		} else if d != 0 {
			t.Errorf("value %d of sample %d changed by %v with the projector of an absent modality", i%6, i/6, d)
		}
	}
	if moved == 0 {
		t.Error("the projector of a present modality has no influence")
	}
}
