package nn

import "strconv"

// MLPHead is four linear layers with ReLU between them on the concatenated
// features (model.md 3).
type MLPHead[T Float] struct {
	N, Width int

	perceptron[T]
	joined []T // [b, N·Width]
	grads  [][]T
	coal   mlpCoalitions[T]
}

// NewMLPHead builds the head for n features of width values; hidden are the
// widths between, out that of the pose.
func NewMLPHead[T Float](s *Store[T], name string, n, width int, hidden []int, out int) *MLPHead[T] {
	h := &MLPHead[T]{N: n, Width: width, grads: make([][]T, n)}
	in := n * width
	var layers []*Linear[T]
	for i, w := range append(append([]int(nil), hidden...), out) {
		layers = append(layers, NewLinear(s, name+"."+strconv.Itoa(2*i), in, w, true))
		in = w
	}
	h.init(layers)
	return h
}

// Forward implements Head.
func (h *MLPHead[T]) Forward(features [][]T, b int) []T {
	return h.forward(concat(&h.joined, features, b, h.Width), b)
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

// Backward implements Head.
func (h *MLPHead[T]) Backward(dy []T) [][]T {
	return divide(h.grads, h.backward(dy), h.rows, h.Width)
}
