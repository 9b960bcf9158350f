package kernel

import "math"

// Axpy adds alpha*x to y element by element; x and y have equal length.
func Axpy[T Float](alpha T, x, y []T) {
	_ = y[:len(x)]
	done := 0
	if x32, ok := any(x).([]float32); ok && active.axpy != nil && len(x) >= 8 {
		done = len(x) &^ 7
		active.axpy(done, float32(alpha), &x32[0], &any(y).([]float32)[0])
	}
	for i := done; i < len(x); i++ {
		y[i] += alpha * x[i]
	}
}

// AdamStep holds the constants of one Adam update (Kingma and Ba 2015) with
// the weight decay coupled, as PyTorch's Adam does.
type AdamStep struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Step                               int // 1 for the first update
}

// Apply updates the weights w and the moments m and v from the gradient g, all
// of one length.
func (s AdamStep) Apply(w, g, m, v []float32) {
	c := adamConstants[float32](s)
	_, _, _ = g[:len(w)], m[:len(w)], v[:len(w)]
	done := 0
	if active.adam != nil && len(w) >= 8 {
		done = len(w) &^ 7
		active.adam(done, &w[0], &g[0], &m[0], &v[0], &c)
	}
	adamPortable(c, w[done:], g[done:], m[done:], v[done:])
}

// Apply64 is Apply in float64, the reference; portable code on every CPU.
func (s AdamStep) Apply64(w, g, m, v []float64) {
	adamPortable(adamConstants[float64](s), w, g, m, v)
}

func adamConstants[T Float](s AdamStep) [8]T {
	bias1 := 1 - math.Pow(s.Beta1, float64(s.Step))
	bias2 := 1 - math.Pow(s.Beta2, float64(s.Step))
	return [8]T{T(s.WeightDecay), T(s.Beta1), T(1 - s.Beta1), T(s.Beta2), T(1 - s.Beta2),
		T(s.LR / bias1), T(1 / math.Sqrt(bias2)), T(s.Eps)}
}

func adamPortable[T Float](c [8]T, w, g, m, v []T) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i := range w {
		gi := g[i] + c[0]*w[i]
		m[i] = c[1]*m[i] + c[2]*gi
		v[i] = c[3]*v[i] + c[4]*gi*gi
		w[i] -= c[5] * m[i] / (T(math.Sqrt(float64(v[i])))*c[6] + c[7])
	}
}
