package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

// CrossAttention lets a fixed number of query tokens read, with several heads,
// from key tokens of which each sample may lack some.
type CrossAttention[T Float] struct {
	Queries, Keys, C, Heads int

	q, kv, out     *Linear[T]
	b              int
	x, tokens      []T
	present        []bool // b x Keys
	qs, kvs        []T    // [b·Queries, C], [b·Keys, 2C]
	prob           []T    // [b, Heads, Queries, Keys], 0 for a key that lacks
	ctx            []T    // [b·Queries, C]
	dctx, dqs, dkv []T
	ds             []T
	forwardF       func(lo, hi int)
	backwardF      func(lo, hi int)
}

// NewCrossAttention builds the attention of queries tokens to keys tokens of c
// values each.
func NewCrossAttention[T Float](s *Store[T], name string, queries, keys, c, heads int) *CrossAttention[T] {
	a := &CrossAttention[T]{Queries: queries, Keys: keys, C: c, Heads: heads}
	a.q = NewLinear(s, name+".q_proj", c, c, true)
	a.kv = NewLinear(s, name+".kv_proj", c, 2*c, true)
	a.out = NewLinear(s, name+".out_proj", c, c, true)
	a.forwardF, a.backwardF = a.forwardRange, a.backwardRange
	return a
}

// Forward writes to y, b·Queries rows, what the queries x read from the tokens
// that are present. A sample without any reads zeros.
func (a *CrossAttention[T]) Forward(x, tokens []T, present []bool, y []T, b int) {
	a.x, a.tokens, a.present, a.b = x, tokens, present, b
	a.q.Forward(x, grow(&a.qs, b*a.Queries*a.C), b*a.Queries)
	a.kv.Forward(tokens, grow(&a.kvs, b*a.Keys*2*a.C), b*a.Keys)
	grow(&a.prob, b*a.Heads*a.Queries*a.Keys)
	grow(&a.ctx, b*a.Queries*a.C)
	split(b, 4*a.Queries*a.Keys*a.C, a.forwardF)
	a.out.Forward(a.ctx, y, b*a.Queries)
}

// query, key and value return a token's part for one head.
func (a *CrossAttention[T]) query(x []T, s, i, h int) []T {
	d := a.C / a.Heads
	return x[(s*a.Queries+i)*a.C+h*d:][:d]
}

func (a *CrossAttention[T]) key(x []T, s, j, h int) []T {
	d := a.C / a.Heads
	return x[(s*a.Keys+j)*2*a.C+h*d:][:d]
}

func (a *CrossAttention[T]) value(x []T, s, j, h int) []T {
	d := a.C / a.Heads
	return x[((s*a.Keys+j)*2+1)*a.C+h*d:][:d]
}

func (a *CrossAttention[T]) probs(x []T, s, h, i int) []T {
	return x[((s*a.Heads+h)*a.Queries+i)*a.Keys:][:a.Keys]
}

func (a *CrossAttention[T]) forwardRange(lo, hi int) {
	scale := T(1 / math.Sqrt(float64(a.C/a.Heads)))
	for s := lo; s < hi; s++ {
		has := a.present[s*a.Keys : (s+1)*a.Keys]
		for h := range a.Heads {
			for i := range a.Queries {
				p, q, o := a.probs(a.prob, s, h, i), a.query(a.qs, s, i, h), a.query(a.ctx, s, i, h)
				clear(o)
				top := T(math.Inf(-1))
				for j := range p {
					p[j] = 0
					if has[j] {
						p[j] = dotRow(q, a.key(a.kvs, s, j, h)) * scale
						top = max(top, p[j])
					}
				}
				if math.IsInf(float64(top), -1) {
					continue
				}
				kernel.ExpRow(p, p, top)
				var sum T
				for j := range p {
					if !has[j] {
						p[j] = 0
					}
					sum += p[j]
				}
				for j := range p {
					if p[j] /= sum; has[j] {
						addRow(o, a.value(a.kvs, s, j, h), p[j])
					}
				}
			}
		}
	}
}

// Backward overwrites the parameter gradients, writes the gradient of x to dx
// and adds that of the tokens to dtokens.
func (a *CrossAttention[T]) Backward(dy, dx, dtokens []T) {
	a.out.Backward(a.ctx, dy, grow(&a.dctx, len(a.ctx)), 0, a.b*a.Queries)
	clear(grow(&a.dqs, len(a.qs)))
	clear(grow(&a.dkv, len(a.kvs)))
	grow(&a.ds, a.b*a.Keys)
	split(a.b, 8*a.Queries*a.Keys*a.C, a.backwardF)
	a.q.Backward(a.x, a.dqs, dx, 0, a.b*a.Queries)
	a.kv.Backward(a.tokens, a.dkv, dtokens, 1, a.b*a.Keys)
}

func (a *CrossAttention[T]) backwardRange(lo, hi int) {
	scale := T(1 / math.Sqrt(float64(a.C/a.Heads)))
	for s := lo; s < hi; s++ {
		has, ds := a.present[s*a.Keys:(s+1)*a.Keys], a.ds[s*a.Keys:(s+1)*a.Keys]
		for h := range a.Heads {
			for i := range a.Queries {
				p, o := a.probs(a.prob, s, h, i), a.query(a.dctx, s, i, h)
				var mean T
				for j := range p {
					if has[j] {
						ds[j] = dotRow(o, a.value(a.kvs, s, j, h))
						addRow(a.value(a.dkv, s, j, h), o, p[j])
						mean += p[j] * ds[j]
					}
				}
				for j := range p {
					if has[j] {
						g := p[j] * (ds[j] - mean) * scale
						addRow(a.query(a.dqs, s, i, h), a.key(a.kvs, s, j, h), g)
						addRow(a.key(a.dkv, s, j, h), a.query(a.qs, s, i, h), g)
					}
				}
			}
		}
	}
}
