package nn

import (
	"strconv"

	"posefuse/model/nn/kernel"
)

// MLPHead is four linear layers with ReLU between them on the concatenated
// features (model.md 3).
type MLPHead[T Float] struct {
	N, Width int

	layers []*Linear[T]
	x      []T   // [b, N·Width]
	outs   [][]T // of each layer
	dys    [][]T // gradient of each layer's input
	grads  [][]T
	b      int
	reluX  []T
	reluD  []T
	relu   func(lo, hi int)
	drelu  func(lo, hi int)
	coal   mlpCoalitions[T]
}

// NewMLPHead builds the head for n features of width values; hidden are the
// widths between, out that of the pose.
func NewMLPHead[T Float](s *Store[T], name string, n, width int, hidden []int, out int) *MLPHead[T] {
	h := &MLPHead[T]{N: n, Width: width, grads: make([][]T, n)}
	in := n * width
	for i, w := range append(append([]int(nil), hidden...), out) {
		h.layers = append(h.layers, NewLinear(s, name+"."+strconv.Itoa(2*i), in, w, true))
		in = w
	}
	h.outs, h.dys = make([][]T, len(h.layers)), make([][]T, len(h.layers))
	h.relu, h.drelu = h.reluRange, h.dreluRange
	return h
}

// Forward implements Head.
func (h *MLPHead[T]) Forward(features [][]T, b int) []T {
	h.b = b
	x := concat(&h.x, features, b, h.Width)
	for i, l := range h.layers {
		y := grow(&h.outs[i], b*l.Out)
		l.Forward(x, y, b)
		if i < len(h.layers)-1 {
			h.reluX = y
			split(len(y), 1, h.relu)
		}
		x = y
	}
	return x
}

// concat joins the features of each sample.
func concat[T Float](dst *[]T, features [][]T, b, width int) []T {
	n := len(features)
	x := grow(dst, b*n*width)
	for s := range b {
		for m, f := range features {
			copy(x[(s*n+m)*width:(s*n+m+1)*width], f[s*width:])
		}
	}
	return x
}

// divide is the way back: one gradient per feature.
func divide[T Float](grads [][]T, dx []T, b, width int) [][]T {
	n := len(grads)
	for m := range grads {
		g := grow(&grads[m], b*width)
		for s := range b {
			copy(g[s*width:(s+1)*width], dx[(s*n+m)*width:])
		}
	}
	return grads
}

func (h *MLPHead[T]) reluRange(lo, hi int) {
	x := h.reluX[lo:hi]
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

func (h *MLPHead[T]) dreluRange(lo, hi int) {
	kernel.ReLUGrad(h.reluX[lo:hi], h.reluD[lo:hi], h.reluD[lo:hi])
}

// Backward implements Head.
func (h *MLPHead[T]) Backward(dy []T) [][]T {
	for i := len(h.layers) - 1; i >= 0; i-- {
		l := h.layers[i]
		x := h.x
		if i > 0 {
			x = h.outs[i-1]
		}
		dx := grow(&h.dys[i], h.b*l.In)
		l.Backward(x, dy, dx, 0, h.b)
		if i > 0 {
			h.reluD, h.reluX = dx, x
			split(len(dx), 1, h.drelu)
		}
		dy = dx
	}
	return divide(h.grads, dy, h.b, h.Width)
}
