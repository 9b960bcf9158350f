package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

// SelfAttention is multi-head attention of a few tokens among themselves
// (Vaswani et al. 2017), with a joint projection to queries, keys and values.
type SelfAttention[T Float] struct {
	Tokens, C, Heads int

	in, out  *Linear[T]
	drop     *Dropout[T]
	x        []T
	b        int
	qkv      []T // [b·Tokens, 3C]
	prob     []T // [b, Heads, Tokens, Tokens] softmax before dropout
	s, kept  []T // after dropout; kept is its memory
	ctx      []T // [b·Tokens, C]
	dctx, ds []T
	dqkv     []T
	probF    func(lo, hi int)
	sumF     func(lo, hi int)
	dsumF    func(lo, hi int)
	dprobF   func(lo, hi int)
}

// NewSelfAttention builds the attention of tokens rows of c values.
func NewSelfAttention[T Float](s *Store[T], ctx *Context, name string, tokens, c, heads int, dropout float64) *SelfAttention[T] {
	a := &SelfAttention[T]{Tokens: tokens, C: c, Heads: heads, drop: NewDropout[T](ctx, dropout)}
	a.in = &Linear[T]{In: c, Out: 3 * c, Taps: 1,
		Weight: s.Tensor(name+".in_proj.weight", WeightXavier, c, 3*c, 3*c, c),
		Bias:   s.Tensor(name+".in_proj.bias", NormBias, c, 3*c, 3*c)}
	a.in.sum.init()
	a.out = &Linear[T]{In: c, Out: c, Taps: 1,
		Weight: s.Tensor(name+".out_proj.weight", Weight, c, c, c, c),
		Bias:   s.Tensor(name+".out_proj.bias", NormBias, c, c, c)}
	a.out.sum.init()
	a.probF, a.sumF, a.dsumF, a.dprobF = a.probRange, a.sumRange, a.dsumRange, a.dprobRange
	return a
}

// Forward writes the attention of b samples' tokens x to y.
func (a *SelfAttention[T]) Forward(x, y []T, b int) {
	rows, n := b*a.Tokens, a.Tokens
	a.x, a.b = x, b
	a.in.Forward(x, grow(&a.qkv, rows*3*a.C), rows)
	grow(&a.prob, b*a.Heads*n*n)
	split(b, 2*n*n*a.C, a.probF)
	a.s = a.prob
	if a.drop != nil {
		a.s = append(a.kept[:0], a.prob...)
		a.kept = a.s
		a.drop.Forward(a.s)
	}
	grow(&a.ctx, rows*a.C)
	split(b, 2*n*n*a.C, a.sumF)
	a.out.Forward(a.ctx, y, rows)
}

// row returns part (0 query, 1 key, 2 value) of a token for one head.
func (a *SelfAttention[T]) row(x []T, sample, token, part, head int) []T {
	d := a.C / a.Heads
	at := ((sample*a.Tokens+token)*3+part)*a.C + head*d
	return x[at : at+d]
}

func (a *SelfAttention[T]) probRange(lo, hi int) {
	n := a.Tokens
	scale := T(1 / math.Sqrt(float64(a.C/a.Heads)))
	for s := lo; s < hi; s++ {
		for h := range a.Heads {
			for i := range n {
				p := a.prob[((s*a.Heads+h)*n+i)*n:][:n]
				q := a.row(a.qkv, s, i, 0, h)
				top := T(math.Inf(-1))
				for j := range p {
					p[j] = dotRow(q, a.row(a.qkv, s, j, 1, h)) * scale
					top = max(top, p[j])
				}
				sum := kernel.ExpRow(p, p, top)
				for j := range p {
					p[j] /= sum
				}
			}
		}
	}
}

func dotRow[T Float](x, y []T) T {
	var s T
	y = y[:len(x)]
	for i, v := range x {
		s += v * y[i]
	}
	return s
}

func addRow[T Float](dst, x []T, by T) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += by * x[i]
	}
}

func (a *SelfAttention[T]) sumRange(lo, hi int) {
	n, d := a.Tokens, a.C/a.Heads
	for s := lo; s < hi; s++ {
		for h := range a.Heads {
			for i := range n {
				o := a.ctx[(s*n+i)*a.C+h*d:][:d]
				clear(o)
				for j, p := range a.s[((s*a.Heads+h)*n+i)*n:][:n] {
					addRow(o, a.row(a.qkv, s, j, 2, h), p)
				}
			}
		}
	}
}

// Backward overwrites the parameter gradients and writes dx = beta·dx + the
// gradient of x.
func (a *SelfAttention[T]) Backward(dy, dx []T, beta T) {
	rows, n := a.b*a.Tokens, a.Tokens
	a.out.Backward(a.ctx, dy, grow(&a.dctx, rows*a.C), 0, rows)
	grow(&a.ds, a.b*a.Heads*n*n)
	clear(grow(&a.dqkv, rows*3*a.C))
	split(a.b, 4*n*n*a.C, a.dsumF)
	if a.drop != nil {
		a.drop.Backward(a.ds)
	}
	split(a.b, 4*n*n*a.C, a.dprobF)
	a.in.Backward(a.x, a.dqkv, dx, beta, rows)
}

func (a *SelfAttention[T]) dsumRange(lo, hi int) {
	n, d := a.Tokens, a.C/a.Heads
	for s := lo; s < hi; s++ {
		for h := range a.Heads {
			for i := range n {
				o := a.dctx[(s*n+i)*a.C+h*d:][:d]
				at := ((s*a.Heads+h)*n + i) * n
				for j := range n {
					a.ds[at+j] = dotRow(o, a.row(a.qkv, s, j, 2, h))
					addRow(a.row(a.dqkv, s, j, 2, h), o, a.s[at+j])
				}
			}
		}
	}
}

func (a *SelfAttention[T]) dprobRange(lo, hi int) {
	n := a.Tokens
	scale := T(1 / math.Sqrt(float64(a.C/a.Heads)))
	for s := lo; s < hi; s++ {
		for h := range a.Heads {
			for i := range n {
				at := ((s*a.Heads+h)*n + i) * n
				p, ds := a.prob[at:at+n], a.ds[at:at+n]
				mean := dotRow(p, ds)
				for j := range n {
					g := p[j] * (ds[j] - mean) * scale
					addRow(a.row(a.dqkv, s, i, 0, h), a.row(a.qkv, s, j, 1, h), g)
					addRow(a.row(a.dqkv, s, j, 1, h), a.row(a.qkv, s, i, 0, h), g)
				}
			}
		}
	}
}
