package nn

import (
	"math"
	"testing"
)

func TestFastExponentialAndGELU(t *testing.T) {
	var x, y, s []float32
	for v := -20.0; v < 20; v += 0.0137 {
		x = append(x, float32(v))
	}
	y, s = make([]float32, len(x)), make([]float32, len(x))
	geluRows(x, y, s)
	for i, v := range x {
		if want := math.Exp(float64(v)); math.Abs(float64(exp32(v))-want) > 3e-7*want {
			t.Fatalf("exp(%v) = %v, want %v", v, exp32(v), want)
		}
		if d := math.Abs(float64(y[i]) - GELU(float64(v))); d > 4e-7*max(1, math.Abs(float64(v))) {
			t.Fatalf("GELU(%v) is off by %g", v, d)
		}
		if d := math.Abs(float64(s[i]) - geluSlope(float64(v))); d > 1e-6 {
			t.Fatalf("slope of GELU(%v) is off by %g", v, d)
		}
	}
	if exp32(-1000) > 1e-37 || math.IsInf(float64(exp32(1000)), 0) {
		t.Error("arguments out of range are not clamped")
	}
}

// step stands for y > 0 where y is the output of a ReLU.
func TestStep(t *testing.T) {
	for _, c := range [][2]float32{{0, 0}, {1e-30, 1}, {1, 1}, {3e38, 1}} {
		if got := step(c[0]); got != c[1] {
			t.Errorf("step(%v) = %v", c[0], got)
		}
	}
}
