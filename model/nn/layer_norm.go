package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

const layerNormEps = 1e-6

// LayerNorm normalises each row.
type LayerNorm[T Float] struct {
	C            int
	Eps          float64
	Weight, Bias *Tensor[T]

	mean, inv  []T
	x, y       []T
	dy, dx     []T
	acc        bool
	g          []T // dy·x̂ per row, summed for the weight's gradient
	sum        colSum[T]
	fwdF, bwdF func(lo, hi int)
}

// NewLayerNorm returns a layer normalisation with eps 1e-6.
func NewLayerNorm[T Float](s *Store[T], name string, c int) *LayerNorm[T] {
	l := &LayerNorm[T]{C: c, Eps: layerNormEps, Weight: s.Tensor(name+".weight", NormWeight, c, c, c), Bias: s.Tensor(name+".bias", NormBias, c, c, c)}
	l.fwdF, l.bwdF = l.fwd, l.bwd
	l.sum.init()
	return l
}

// Forward normalises rows of x to y.
func (l *LayerNorm[T]) Forward(x, y []T, rows int) {
	l.x, l.y = x, y
	grow(&l.mean, rows)
	grow(&l.inv, rows)
	split(rows, 4*l.C, l.fwdF)
}

func (l *LayerNorm[T]) fwd(lo, hi int) {
	c := l.C
	w, b := l.Weight.Value, l.Bias.Value
	for r := lo; r < hi; r++ {
		x, y := l.x[r*c:(r+1)*c], l.y[r*c:(r+1)*c]
		mean, sq := kernel.Moments(x)
		m, inv := T(mean), T(1/math.Sqrt(sq/float64(c)+l.Eps))
		l.mean[r], l.inv[r] = m, inv
		kernel.NormalizeRow(m, inv, x, y, w, b)
	}
}

// Backward overwrites the parameter gradients and writes dx, or adds to it.
func (l *LayerNorm[T]) Backward(x, dy, dx []T, rows int, add bool) {
	l.x, l.dy, l.dx, l.acc = x, dy, dx, add
	grow(&l.g, rows*l.C)
	split(rows, 6*l.C, l.bwdF)
	l.sum.run(l.g, l.Weight.Grad, rows)
	l.sum.run(dy, l.Bias.Grad, rows)
}

func (l *LayerNorm[T]) bwd(lo, hi int) {
	c := l.C
	w := l.Weight.Value
	for r := lo; r < hi; r++ {
		x, d, o, g := l.x[r*c:(r+1)*c], l.dy[r*c:(r+1)*c], l.dx[r*c:(r+1)*c], l.g[r*c:(r+1)*c]
		m, inv := l.mean[r], l.inv[r]
		var s, q T
		for i, v := range d {
			h := (x[i] - m) * inv
			g[i] = v * h
			s += v * w[i]
			q += v * w[i] * h
		}
		s /= T(c)
		q /= T(c)
		for i, v := range d {
			h := (x[i] - m) * inv
			t := inv * (v*w[i] - s - h*q)
			if l.acc {
				t += o[i]
			}
			o[i] = t
		}
	}
}
