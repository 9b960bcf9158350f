package nn

import "strconv"

// AttentionHead lets the features of the modalities attend to each other in
// transformer encoder layers and reads the pose from their mean (model.md 3).
// The features carry no mark of their modality.
type AttentionHead[T Float] struct {
	N, Width int

	layers []*EncoderLayer[T]
	fc     *Linear[T]
	x      []T // [b, N, Width]
	last   []T
	mean   []T // [b, Width]
	out    []T
	dmean  []T
	dx     []T
	grads  [][]T
	b      int
	coal   attentionCoalitions[T]
}

// NewAttentionHead builds the head for n features of width values.
func NewAttentionHead[T Float](s *Store[T], ctx *Context, name string, n, width, layers, heads, hidden, out int, dropout float64) *AttentionHead[T] {
	h := &AttentionHead[T]{N: n, Width: width, grads: make([][]T, n)}
	for i := range layers {
		h.layers = append(h.layers, NewEncoderLayer(s, ctx, name+".layers."+strconv.Itoa(i), n, width, heads, hidden, dropout))
	}
	h.fc = NewLinear(s, name+".fc", width, out, true)
	return h
}

// Forward implements Head.
func (h *AttentionHead[T]) Forward(features [][]T, b int) []T {
	h.b = b
	x := concat(&h.x, features, b, h.Width)
	for _, l := range h.layers {
		x = l.Forward(x, b)
	}
	h.last = x
	mean := grow(&h.mean, b*h.Width)
	clear(mean)
	for s := range b {
		for m := range h.N {
			addRow(mean[s*h.Width:(s+1)*h.Width], x[(s*h.N+m)*h.Width:], 1/T(h.N))
		}
	}
	h.fc.Forward(mean, grow(&h.out, b*h.fc.Out), b)
	return h.out
}

// Backward implements Head.
func (h *AttentionHead[T]) Backward(dy []T) [][]T {
	dmean := grow(&h.dmean, h.b*h.Width)
	h.fc.Backward(h.mean, dy, dmean, 0, h.b)
	dx := grow(&h.dx, h.b*h.N*h.Width)
	for s := range h.b {
		d := dmean[s*h.Width : (s+1)*h.Width]
		for m := range h.N {
			row := dx[(s*h.N+m)*h.Width:][:h.Width]
			for i, v := range d {
				row[i] = v / T(h.N)
			}
		}
	}
	for i := len(h.layers) - 1; i >= 0; i-- {
		dx = h.layers[i].Backward(dx)
	}
	return divide(h.grads, dx, h.b, h.Width)
}
