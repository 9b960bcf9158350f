package train

import (
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// encoderTensors holds the values and gradients of one encoder's parameters.
type encoderTensors struct {
	modality        modality.Kind
	letter          string
	value, gradient [][]float32
	rank            []int // dimensions of each
}

// encodersOf groups the trained parameters of a network by modality, in the
// order of the network's modalities. The fusion head is left out.
func encodersOf(net *model.Network) []encoderTensors {
	var out []encoderTensors
	for m := range modality.Count {
		if !net.Config.Mask().Has(m) {
			continue
		}
		e := encoderTensors{modality: m, letter: m.Letter()}
		for _, p := range net.Parameters() {
			if p.Modality == int(m) && !p.NoGrad {
				e.value, e.gradient, e.rank = append(e.value, p.Value), append(e.gradient, p.Grad), append(e.rank, len(p.Shape))
			}
		}
		out = append(out, e)
	}
	return out
}

// size is the number of values.
func (e encoderTensors) size() int {
	n := 0
	for _, v := range e.value {
		n += len(v)
	}
	return n
}

// flat appends copies of the tensors.
func flat(parts [][]float32) []float32 { return slices.Concat(parts...) }

// copyTensors copies src into dst, which it makes where needed.
func copyTensors(dst, src [][]float32) [][]float32 {
	if dst == nil {
		dst = make([][]float32, len(src))
	}
	for i, t := range src {
		dst[i] = append(dst[i][:0], t...)
	}
	return dst
}

// headGradients returns the gradients of the fusion head's tensors.
func (s *Session) headGradients() [][]float32 {
	var out [][]float32
	for _, p := range s.Net.Parameters() {
		if p.Modality < 0 && !p.NoGrad {
			out = append(out, p.Grad)
		}
	}
	return out
}
