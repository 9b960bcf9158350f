package nn

import (
	"math/bits"

	"posefuse/model/nn/kernel"
)

// mlpCoalitions is an MLPHead's memory for Coalitions.
type mlpCoalitions[T Float] struct {
	packed []kernel.PackedB[T] // of every layer but the first
	part   [][]T               // of the first layer per feature, [samples, hidden]
	sets   []T                 // of the first layer per coalition, [1<<N, samples, hidden]
	x      []T                 // of the coalitions asked for, [masks, samples, hidden]
	outs   [][]T               // of the other layers
}

// coalitionSamples is how many samples go through all coalitions at a time, so
// that their activations stay near the processor.
const coalitionSamples = 16

// Coalitions implements CoalitionHead: the first layer runs once per feature,
// and its parts are added up per coalition.
func (h *MLPHead[T]) Coalitions(features [][]T, b int, masks []uint8, out [][]T) {
	w := &h.coal
	rest := h.layers[1:]
	if w.packed == nil {
		w.packed, w.part, w.outs = make([]kernel.PackedB[T], len(rest)), make([][]T, h.N), make([][]T, len(rest))
	}
	for i, l := range rest {
		w.packed[i].PackB(true, l.In, l.Out, l.Weight.Value, l.In)
	}
	for lo := 0; lo < b; lo += coalitionSamples {
		h.coalitionChunk(features, lo, min(coalitionSamples, b-lo), masks, out)
	}
}

func (h *MLPHead[T]) coalitionChunk(features [][]T, lo, n int, masks []uint8, out [][]T) {
	w, first := &h.coal, h.layers[0]
	size := n * first.Out
	for m, f := range features {
		kernel.Gemm(false, true, n, first.Out, h.Width, 1, f[lo*h.Width:], h.Width, first.Weight.Value[m*h.Width:], first.In, 0, grow(&w.part[m], size), first.Out)
	}
	// Each coalition is one that lacks its lowest feature, and that feature.
	grow(&w.sets, size<<h.N)
	fillRows(w.sets[:size], first.Bias.Value)
	for s := 1; s < 1<<h.N; s++ {
		m := bits.TrailingZeros(uint(s))
		dst := w.sets[s*size : (s+1)*size]
		copy(dst, w.sets[(s&(s-1))*size:])
		kernel.Axpy(1, w.part[m], dst)
	}
	x := grow(&w.x, len(masks)*size)
	for i, s := range masks {
		row, from := x[i*size:(i+1)*size], w.sets[int(s)*size:]
		from = from[:len(row)]
		for j, v := range from {
			row[j] = max(v, 0)
		}
	}
	rows := len(masks) * n
	rest := h.layers[1:]
	for i, l := range rest {
		y := grow(&w.outs[i], rows*l.Out)
		kernel.GemmPacked(rows, x, l.In, &w.packed[i], 0, y, l.Out, kernel.Epilogue[T]{Bias: l.Bias.Value, ReLU: i < len(rest)-1})
		x = y
	}
	o := rest[len(rest)-1].Out
	for i := range masks {
		copy(out[i][lo*o:(lo+n)*o], x[i*n*o:])
	}
}
