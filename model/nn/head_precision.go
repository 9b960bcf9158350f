package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

// PrecisionHead fuses by inverse variance: from its feature each modality has a
// pose of its own and says of every coordinate how precise it is; the fused
// coordinate is the mean of those of the modalities that are present, weighted by
// precision, with a learned constant pose and its precision among them. A camera
// may so decide across its line of sight and a LiDAR along it, and a coalition is
// served by what each of its members learned, not by what is left of a sum.
//
// A modality whose feature is zero in every value is absent.
type PrecisionHead[T Float] struct {
	N, Width, Out int

	layers []*Linear[T] // per modality: Out offsets from the constant, Out log precisions
	prior  *Tensor[T]   // [1, Out], log precision of the constant
	bias   *Tensor[T]   // [Out], the constant

	in      [][]T
	b       int
	said    [][]T // per modality [b, 2·Out]
	weights [][]T // per modality [b, Out], shares of the mean; 0 if absent
	constW  []T   // [b, Out], share of the constant
	out     []T   // offsets of the mean, plus the constant
	dsaid   []T
	grads   [][]T
	dprior  []T
	sum     colSum[T]
}

// MaxLogPrecision bounds what a modality may say of its precision, so that no
// weight leaves float32.
const MaxLogPrecision = 15

// NewPrecisionHead builds the head for n features.
func NewPrecisionHead[T Float](s *Store[T], name string, n, width, out int) *PrecisionHead[T] {
	h := &PrecisionHead[T]{N: n, Width: width, Out: out, in: make([][]T, n), said: make([][]T, n), weights: make([][]T, n), grads: make([][]T, n)}
	for i := range n {
		h.layers = append(h.layers, NewLinear(s, name+"."+itoa(i), width, 2*out, true))
	}
	h.prior = s.Tensor(name+".prior", Bias, width, out, 1, out)
	h.bias = s.Tensor(name+".bias", Bias, width, out, out)
	h.sum.init()
	return h
}

// Forward implements Head.
func (h *PrecisionHead[T]) Forward(features [][]T, b int) []T {
	copy(h.in, features)
	h.b = b
	for m, f := range features {
		h.layers[m].Forward(f, grow(&h.said[m], b*2*h.Out), b)
		grow(&h.weights[m], b*h.Out)
	}
	grow(&h.constW, b*h.Out)
	out := grow(&h.out, b*h.Out)
	for s := range b {
		h.fuse(s, out[s*h.Out:(s+1)*h.Out])
	}
	return out
}

// fuse weighs what the modalities say of sample s.
func (h *PrecisionHead[T]) fuse(s int, out []T) {
	for m, f := range h.in {
		w := h.weights[m][s*h.Out : (s+1)*h.Out]
		if !anyOf(f[s*h.Width : (s+1)*h.Width]) {
			clear(w)
			continue
		}
		log := h.said[m][(2*s+1)*h.Out : (2*s+2)*h.Out]
		for i := range w {
			w[i] = precision(log[i])
		}
	}
	for i := range out {
		w := precision(h.prior.Value[i])
		total, y := w, T(0)
		for m := range h.in {
			v := h.weights[m][s*h.Out+i]
			total += v
			y += v * h.said[m][2*s*h.Out+i]
		}
		out[i] = h.bias.Value[i] + y/total
		h.constW[s*h.Out+i] = w / total
		for m := range h.in {
			h.weights[m][s*h.Out+i] /= total
		}
	}
}

func precision[T Float](log T) T {
	return T(math.Exp(float64(min(max(log, -MaxLogPrecision), MaxLogPrecision))))
}

// anyOf reports whether a value is not zero.
func anyOf[T Float](x []T) bool {
	for _, v := range x {
		if v != 0 {
			return true
		}
	}
	return false
}

// Backward implements Head.
func (h *PrecisionHead[T]) Backward(dy []T) [][]T {
	h.sum.run(dy, h.bias.Grad, h.b)
	// The offset y of the mean is a sum of shares; a share's log precision moves
	// it by share · (what its modality says − y).
	dp := grow(&h.dprior, h.b*h.Out)
	for k, g := range dy {
		y := h.out[k] - h.bias.Value[k%h.Out]
		dp[k] = within(h.prior.Value[k%h.Out], g*h.constW[k]*-y)
	}
	h.sum.run(dp, h.prior.Grad, h.b)
	for m, l := range h.layers {
		d := grow(&h.dsaid, h.b*2*h.Out)
		for s := range h.b {
			for i := range h.Out {
				k, p := s*h.Out+i, 2*s*h.Out+i
				g := dy[k] * h.weights[m][k]
				y := h.out[k] - h.bias.Value[i]
				d[p] = g
				d[p+h.Out] = within(h.said[m][p+h.Out], g*(h.said[m][p]-y))
			}
		}
		l.Backward(h.in[m], d, grow(&h.grads[m], h.b*h.Width), 0, h.b)
	}
	return h.grads
}

// within is the gradient of a value that is cut off beyond ±MaxLogPrecision.
func within[T Float](log, g T) T {
	if log < -MaxLogPrecision || log > MaxLogPrecision {
		return 0
	}
	return g
}

// Coalitions implements CoalitionHead: what each modality says is computed once.
func (h *PrecisionHead[T]) Coalitions(features [][]T, b int, masks []uint8, out [][]T) {
	for m, f := range features {
		kernel.Gemm(false, true, b, 2*h.Out, h.Width, 1, f, h.Width, h.layers[m].Weight.Value, h.Width, 0, grow(&h.said[m], b*2*h.Out), 2*h.Out)
		for s := range b {
			row := h.said[m][s*2*h.Out : (s+1)*2*h.Out]
			add(row, h.layers[m].Bias.Value)
			w := grow(&h.weights[m], b*h.Out)[s*h.Out : (s+1)*h.Out]
			clear(w)
			if anyOf(f[s*h.Width : (s+1)*h.Width]) {
				for i := range w {
					w[i] = precision(row[h.Out+i])
				}
			}
		}
	}
	for j, mask := range masks {
		for s := range b {
			for i := range h.Out {
				total, y := precision(h.prior.Value[i]), T(0)
				for m := range features {
					if mask>>m&1 == 1 {
						w := h.weights[m][s*h.Out+i]
						total += w
						y += w * h.said[m][2*s*h.Out+i]
					}
				}
				out[j][s*h.Out+i] = h.bias.Value[i] + y/total
			}
		}
	}
}

// Fold prepares Eval: Forward then uses packed weights until the next Fold.
func (h *PrecisionHead[T]) Fold() {
	for _, l := range h.layers {
		l.fold(nil)
	}
}
