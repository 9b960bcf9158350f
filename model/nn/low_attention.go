package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

// lowAttention computes the heads of a ChannelTransformer for inference in
// bfloat16, from their input to the maps of channels and from the maps' softmax
// to what they mix. Sums are float32.
type lowAttention struct {
	tokens, c, heads int

	in      *kernel.LowImage   // [tokens, c], the heads' input
	inRows  *kernel.LowWeights // the same
	queries []*kernel.LowImage // [c, c] weights as rows, over √c
	keys    []*kernel.LowImage // the same of the keys
	values  []*kernel.LowWeights

	project     *kernel.LowConv    // in by the rows of queries or keys: [c, tokens]
	query, key  *kernel.LowImage   // [c, tokens]
	keyRows     *kernel.LowWeights // key
	score       *kernel.LowConv    // query by key: [c, c]
	weigh       *kernel.LowConv    // [tokens, c] by weights or by shareRows: [tokens, c]
	value       *kernel.LowImage   // [tokens, c], over the number of heads
	share       *kernel.LowImage   // [c, c], the softmax
	shareRows   *kernel.LowWeights // the same
	x           []float32
	setIn, setS func(lo, hi int)
}

func newLowAttention(tokens, c, heads int) *lowAttention {
	const f = kernel.BFloat16
	a := &lowAttention{tokens: tokens, c: c, heads: heads,
		in: kernel.NewLowMatrix(f, tokens, c), inRows: kernel.NewLowRows(f, c, tokens),
		project: kernel.NewLowLinear(f, c, c, tokens), query: kernel.NewLowMatrix(f, c, tokens), key: kernel.NewLowMatrix(f, c, tokens),
		keyRows: kernel.NewLowRows(f, tokens, c), score: kernel.NewLowLinear(f, c, tokens, c),
		weigh: kernel.NewLowLinear(f, tokens, c, c), value: kernel.NewLowMatrix(f, tokens, c),
		share: kernel.NewLowMatrix(f, c, c), shareRows: kernel.NewLowRows(f, c, c)}
	a.setIn = func(lo, hi int) { a.in.SetLines(a.x, 1, lo, hi) }
	a.setS = func(lo, hi int) { a.share.SetLines(a.x, 1, lo, hi) }
	return a
}

// fold takes over the parameters. The factors of the map and of the heads' mean
// go into the weights of the queries and of the values.
func (a *lowAttention) fold(q, k, v []*Tensor[float32]) {
	scaled := func(t *Tensor[float32], factor float32) []float32 {
		w := make([]float32, len(t.Value))
		for i, x := range t.Value {
			w[i] = x * factor
		}
		return w
	}
	rows := func(t *Tensor[float32], part string, factor float32) *kernel.LowImage {
		return Derived(t, lowLayout(part, kernel.BFloat16), func() *kernel.LowImage {
			m := kernel.NewLowMatrix(kernel.BFloat16, a.c, a.c)
			m.Set(scaled(t, factor), 1)
			return m
		})
	}
	a.queries, a.keys, a.values = nil, nil, nil
	for h := range a.heads {
		a.queries = append(a.queries, rows(q[h], "query", float32(1/math.Sqrt(float64(a.c)))))
		a.keys = append(a.keys, rows(k[h], "key", 1))
		a.values = append(a.values, Derived(v[h], lowLayout("value", kernel.BFloat16), func() *kernel.LowWeights {
			return kernel.PackLow(kernel.BFloat16, a.c, a.c, 1, scaled(v[h], 1/float32(a.heads)), nil)
		}))
	}
}

// scores writes each head's map [c, c] of a sample x [tokens, c].
func (a *lowAttention) scores(x, maps []float32) {
	a.x = x
	split(a.tokens, 2*a.c, a.setIn)
	a.inRows.SetRows(a.in)
	for h := range a.heads {
		a.project.SetWeights(a.inRows, 1)
		a.project.Apply(a.queries[h], kernel.LowOutput{Low: a.query})
		a.project.Apply(a.keys[h], kernel.LowOutput{Low: a.key})
		a.keyRows.SetRows(a.key)
		a.score.SetWeights(a.keyRows, 1)
		a.score.Apply(a.query, kernel.LowOutput{Float: maps[h*a.c*a.c : (h+1)*a.c*a.c]})
	}
}

// mix writes the heads' mean of the values weighed by their shares, the softmax
// of the maps, for the sample of the last scores.
func (a *lowAttention) mix(shares, y []float32) {
	for h := range a.heads {
		a.x = shares[h*a.c*a.c : (h+1)*a.c*a.c]
		split(a.c, 2*a.c, a.setS)
		a.shareRows.SetRows(a.share)
		a.weigh.SetWeights(a.values[h], 1)
		a.weigh.Apply(a.in, kernel.LowOutput{Low: a.value})
		out := kernel.LowOutput{Float: y}
		if h > 0 {
			out.Residual = y
		}
		a.weigh.SetWeights(a.shareRows, 1)
		a.weigh.Apply(a.value, out)
	}
}

// Lower makes the layer's products compute in bfloat16 in inference, from the
// next Fold on. Softmax, normalisation and activation stay float32.
func (t *ChannelTransformer[T]) Lower() {
	t.low = newLowAttention(t.Tokens, t.C, t.Heads)
	t.smF = func(lo, hi int) { t.softmaxRange(t.lowSample*t.Heads+lo, t.lowSample*t.Heads+hi) }
	t.o.lower(kernel.BFloat16, t.Tokens)
	t.f1.lower(kernel.BFloat16, t.Tokens)
	t.f2.lower(kernel.BFloat16, t.Tokens)
}

func (t *ChannelTransformer[T]) foldLow() {
	weights := func(ls []*Linear[T]) (w []*Tensor[float32]) {
		for _, l := range ls {
			w = append(w, any(l.Weight).(*Tensor[float32]))
		}
		return w
	}
	t.low.fold(weights(t.q), weights(t.k), weights(t.v))
}

// attendLow is attend in low precision, sample by sample.
func (t *ChannelTransformer[T]) attendLow(b int) {
	y, norm := any(t.y).([]float32), any(t.norm).([]float32)
	prob, context := any(t.prob).([]float32), any(t.context).([]float32)
	n, maps := t.Tokens*t.C, t.Heads*t.C*t.C
	for s := range b {
		t.lowSample = s
		t.low.scores(y[s*n:(s+1)*n], norm[s*maps:(s+1)*maps])
		split(t.Heads, 10*t.C*t.C, t.smF)
		t.low.mix(prob[s*maps:(s+1)*maps], context[s*n:(s+1)*n])
	}
}
