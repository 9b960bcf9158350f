package baseline

import (
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/model"
)

// The head's gradient against finite differences of its mean squared error.
func TestTokenHeadGradient(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	h := newTokenHead(3, nil)
	token, want, pose := make([]float32, model.FeatureDim), make([]float32, model.OutputDim), make([]float32, model.OutputDim)
	for i := range token {
		token[i] = rng.Float32()*4 - 2
	}
	for i := range want {
		want[i] = rng.Float32()
	}
	for i := range h.gain {
		h.gain[i], h.shift[i] = 1+rng.Float32()/2, rng.Float32()-0.5
	}
	loss := func() (sum float64) {
		h.forward(token, pose)
		for i, v := range pose {
			sum += (float64(v) - float64(want[i])) * (float64(v) - float64(want[i]))
		}
		return sum
	}
	loss()
	dpose := make([]float32, model.OutputDim)
	for i := range dpose {
		dpose[i] = 2 * (pose[i] - want[i])
	}
	var grad [][]float32
	for _, p := range h.parameters() {
		grad = append(grad, make([]float32, len(p)))
	}
	h.backward(dpose, grad)
	for k, p := range h.parameters() {
		for range 20 {
			i := rng.IntN(len(p))
			const step = 1.0 / 64
			was := p[i]
			p[i] = was + step
			up := loss()
			p[i] = was - step
			down := loss()
			p[i] = was
			// The error is quadratic in each parameter, so the central
			// difference is exact but for rounding.
			numeric, analytic := (up-down)/(2*step), float64(grad[k][i])
			if math.Abs(numeric-analytic) > 1e-3*(1+math.Abs(numeric)) {
				t.Errorf("parameter %d of tensor %d: gradient %g, difference quotient %g", i, k, analytic, numeric)
			}
		}
	}
}

// A token is normalised before the linear layer, so neither its scale nor its
// offset matters.
func TestTokenHeadNormalises(t *testing.T) {
	h := newTokenHead(1, make([]float32, model.OutputDim))
	token, moved := make([]float32, model.FeatureDim), make([]float32, model.FeatureDim)
	for i := range token {
		token[i] = float32(math.Sin(float64(i)))
		moved[i] = 3*token[i] + 5
	}
	a, b := make([]float32, model.OutputDim), make([]float32, model.OutputDim)
	h.forward(token, a)
	h.forward(moved, b)
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-4 {
			t.Fatalf("coordinate %d: %g and %g", i, a[i], b[i])
		}
	}
}
