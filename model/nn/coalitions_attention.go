package nn

import (
	"math"
	"math/bits"

	"posefuse/model/nn/kernel"
)

// attentionCoalitions is an AttentionHead's memory for Coalitions. Tokens carry
// no mark of their modality, so all absent ones of a sample stay equal through
// all layers: a coalition has one token per feature and, unless it is full, one
// that counts for all that are absent.
type attentionCoalitions[T Float] struct {
	packed [][4]kernel.PackedB[T] // per layer: in, out, f1, f2
	tokens []int                  // of each coalition
	first  []int                  // sum of the tokens of the coalitions before it
	masks  []uint8
	n      int // samples at a time

	part   [][]T // queries, keys and values of the first layer per feature, [samples, 3C]
	x, sum []T   // [rows, C]
	qkv    []T   // [rows, 3C]
	prob   []T   // [masks, samples, N]
	ctx    []T   // [rows, C]
	y, h   []T   // [rows, C] and [rows, hidden]
	mean   []T   // [masks, samples, C]
	poses  []T   // [masks, samples, out]
	heads  int

	attendF func(lo, hi int)
}

// Coalitions implements CoalitionHead.
func (h *AttentionHead[T]) Coalitions(features [][]T, b int, masks []uint8, out [][]T) {
	w := &h.coal
	if w.packed == nil {
		w.packed, w.part = make([][4]kernel.PackedB[T], len(h.layers)), make([][]T, h.N)
		w.attendF = h.coalitionAttend
		w.heads = h.layers[0].attn.Heads
	}
	for i, l := range h.layers {
		for k, f := range [4]*Linear[T]{l.attn.in, l.attn.out, l.f1, l.f2} {
			w.packed[i][k].PackB(true, f.In, f.Out, f.Weight.Value, f.In)
		}
	}
	w.masks, w.tokens, w.first = masks, w.tokens[:0], w.first[:0]
	all := 0
	for _, s := range masks {
		t := min(bits.OnesCount8(s)+1, h.N)
		w.tokens, w.first = append(w.tokens, t), append(w.first, all)
		all += t
	}
	for lo := 0; lo < b; lo += coalitionSamples {
		w.n = min(coalitionSamples, b-lo)
		h.coalitionTokens(features, lo, w.n*all)
		for i := range h.layers {
			h.coalitionLayer(i, w.n*all)
		}
		h.coalitionPoses(lo, out)
	}
}

// span returns the first row and the number of rows of sample s of coalition i.
func (w *attentionCoalitions[T]) span(i, s int) (at, tokens int) {
	return w.n*w.first[i] + s*w.tokens[i], w.tokens[i]
}

// coalitionTokens lays the tokens of all coalitions out, and what the first
// layer projects them to: once per feature.
func (h *AttentionHead[T]) coalitionTokens(features [][]T, lo, rows int) {
	w, c := &h.coal, h.Width
	in := h.layers[0].attn.in
	for m, f := range features {
		kernel.GemmPacked(w.n, f[lo*c:], c, &w.packed[0][0], 0, grow(&w.part[m], w.n*3*c), 3*c, kernel.Epilogue[T]{Bias: in.Bias.Value})
	}
	grow(&w.x, rows*c)
	grow(&w.qkv, rows*3*c)
	for i, mask := range w.masks {
		for s := range w.n {
			at, t := w.span(i, s)
			for m, f := range features {
				if mask>>m&1 == 0 {
					continue
				}
				copy(w.x[at*c:(at+1)*c], f[(lo+s)*c:])
				copy(w.qkv[at*3*c:(at+1)*3*c], w.part[m][s*3*c:])
				at, t = at+1, t-1
			}
			if t > 0 {
				clear(w.x[at*c : (at+1)*c])
				copy(w.qkv[at*3*c:(at+1)*3*c], in.Bias.Value)
			}
		}
	}
}

func (h *AttentionHead[T]) coalitionLayer(i, rows int) {
	w, l, c := &h.coal, h.layers[i], h.Width
	p := &w.packed[i]
	if i > 0 {
		kernel.GemmPacked(rows, w.x, c, &p[0], 0, grow(&w.qkv, rows*3*c), 3*c, kernel.Epilogue[T]{Bias: l.attn.in.Bias.Value})
	}
	grow(&w.ctx, rows*c)
	grow(&w.prob, len(w.masks)*w.n*h.N)
	split(len(w.masks)*w.n, 2*h.N*h.N*c, w.attendF)
	sum := grow(&w.sum, rows*c)
	kernel.GemmPacked(rows, w.ctx, c, &p[1], 0, sum, c, kernel.Epilogue[T]{Bias: l.attn.out.Bias.Value, Add: w.x, LdAdd: c})
	y := grow(&w.y, rows*c)
	l.ln1.Forward(sum, y, rows)
	hidden := grow(&w.h, rows*l.f1.Out)
	kernel.GemmPacked(rows, y, c, &p[2], 0, hidden, l.f1.Out, kernel.Epilogue[T]{Bias: l.f1.Bias.Value, ReLU: true})
	kernel.GemmPacked(rows, hidden, l.f1.Out, &p[3], 0, sum, c, kernel.Epilogue[T]{Bias: l.f2.Bias.Value, Add: y, LdAdd: c})
	l.ln2.Forward(sum, w.x, rows)
}

// coalitionAttend lets the tokens of samples lo..hi-1 of all coalitions attend
// to each other. The token of the absent ones counts as often as they are.
func (h *AttentionHead[T]) coalitionAttend(lo, hi int) {
	w, c := &h.coal, h.Width
	d := c / w.heads
	scale := T(1 / math.Sqrt(float64(d)))
	for g := lo; g < hi; g++ {
		p := w.prob[g*h.N : (g+1)*h.N]
		i := g / w.n
		at, t := w.span(i, g%w.n)
		absent := T(h.N - bits.OnesCount8(w.masks[i]))
		qkv, ctx := w.qkv[at*3*c:(at+t)*3*c], w.ctx[at*c:(at+t)*c]
		for k := 0; k < c; k += d {
			for r := range t {
				q := qkv[r*3*c+k:][:d]
				top := T(math.Inf(-1))
				for j := range t {
					p[j] = dotUnrolled(q, qkv[(j*3+1)*c+k:][:d]) * scale
					top = max(top, p[j])
				}
				kernel.ExpRow(p[:t], p[:t], top)
				if absent > 0 {
					p[t-1] *= absent
				}
				var total T
				for _, v := range p[:t] {
					total += v
				}
				o := ctx[r*c+k:][:d]
				clear(o)
				for j := range t {
					kernel.Axpy(p[j]/total, qkv[(j*3+2)*c+k:][:d], o)
				}
			}
		}
	}
}

// dotUnrolled is the inner product of vectors whose length is a multiple of 4.
func dotUnrolled[T Float](x, y []T) T {
	var a, b, c, d T
	y = y[:len(x)]
	for i := 0; i+4 <= len(x); i += 4 {
		a += x[i] * y[i]
		b += x[i+1] * y[i+1]
		c += x[i+2] * y[i+2]
		d += x[i+3] * y[i+3]
	}
	for i := len(x) &^ 3; i < len(x); i++ {
		a += x[i] * y[i]
	}
	return (a + b) + (c + d)
}

// coalitionPoses takes the mean over all tokens and the last layer.
func (h *AttentionHead[T]) coalitionPoses(lo int, out [][]T) {
	w, c, o := &h.coal, h.Width, h.fc.Out
	rows := len(w.masks) * w.n
	mean := grow(&w.mean, rows*c)
	clear(mean)
	for i, mask := range w.masks {
		absent := h.N - bits.OnesCount8(mask)
		for s := range w.n {
			at, t := w.span(i, s)
			to := mean[(i*w.n+s)*c:][:c]
			for r := range t {
				by := 1 / T(h.N)
				if absent > 0 && r == t-1 {
					by *= T(absent)
				}
				kernel.Axpy(by, w.x[(at+r)*c:(at+r+1)*c], to)
			}
		}
	}
	h.fc.Forward(mean, grow(&w.poses, rows*o), rows)
	for i := range w.masks {
		copy(out[i][lo*o:(lo+w.n)*o], w.poses[i*w.n*o:])
	}
}
