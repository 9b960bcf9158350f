package nn

import "posefuse/model/nn/kernel"

// Head fuses one feature per modality into the pose.
type Head[T Float] interface {
	// Forward takes one b x width feature per modality and returns b x out.
	// It may be called many times with the same features zeroed in turn.
	Forward(features [][]T, b int) []T
	// Backward overwrites the parameter gradients and returns one gradient
	// per feature for the last Forward.
	Backward(dy []T) [][]T
}

// ConcatHead is one linear layer on the concatenated features.
type ConcatHead[T Float] struct {
	N, Width, Out int

	w, bias *Tensor[T]
	in      [][]T
	b       int
	out     []T
	grads   [][]T
	sum     colSum[T]
}

// NewConcatHead builds the head for n features.
func NewConcatHead[T Float](s *Store[T], name string, n, width, out int) *ConcatHead[T] {
	h := &ConcatHead[T]{N: n, Width: width, Out: out, in: make([][]T, n), grads: make([][]T, n),
		w:    s.Tensor(name+".weight", Weight, n*width, out, out, n*width),
		bias: s.Tensor(name+".bias", Bias, n*width, out, out)}
	h.sum.init()
	return h
}

// Forward implements Head.
func (h *ConcatHead[T]) Forward(features [][]T, b int) []T {
	copy(h.in, features)
	h.b = b
	out := grow(&h.out, b*h.Out)
	fillRows(out, h.bias.Value)
	ld := h.N * h.Width
	for i, f := range features {
		kernel.Gemm(false, true, b, h.Out, h.Width, 1, f, h.Width, h.w.Value[i*h.Width:], ld, 1, out, h.Out)
	}
	return out
}

// Backward implements Head.
func (h *ConcatHead[T]) Backward(dy []T) [][]T {
	ld := h.N * h.Width
	h.sum.run(dy, h.bias.Grad, h.b)
	for i, f := range h.in {
		kernel.Gemm(true, false, h.Out, h.Width, h.b, 1, dy, h.Out, f, h.Width, 0, h.w.Grad[i*h.Width:], ld)
		g := grow(&h.grads[i], h.b*h.Width)
		kernel.Gemm(false, false, h.b, h.Width, h.Out, 1, dy, h.Out, h.w.Value[i*h.Width:], ld, 0, g, h.Width)
	}
	return h.grads
}

// Partial implements LinearHead.
func (h *ConcatHead[T]) Partial(f []T, b, m int, dst []T) {
	kernel.Gemm(false, true, b, h.Out, h.Width, 1, f, h.Width, h.w.Value[m*h.Width:], h.N*h.Width, 0, dst, h.Out)
}

// Constant implements LinearHead.
func (h *ConcatHead[T]) Constant() []T { return h.bias.Value }
