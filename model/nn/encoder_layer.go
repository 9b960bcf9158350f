package nn

import "posefuse/model/nn/kernel"

// encoderLayerEps is the constant of the layer norms of EncoderLayer.
const encoderLayerEps = 1e-5

// EncoderLayer is a standard transformer encoder layer with the norms after
// the sums: y = LN(x + attention(x)), LN(y + feed-forward(y)).
type EncoderLayer[T Float] struct {
	Tokens, C int

	attn             *SelfAttention[T]
	f1, f2           *Linear[T]
	ln1, ln2         *LayerNorm[T]
	d1, d2, d3       *Dropout[T]
	b                int
	x                []T
	sum1, y, h       []T
	sum2, out        []T
	dsum2, dsum1, dh []T
	dx               []T
	reluF, dreluF    func(lo, hi int)
	addF             func(lo, hi int)
	to, from         []T
}

// NewEncoderLayer builds the layer for tokens rows of c values.
func NewEncoderLayer[T Float](s *Store[T], ctx *Context, name string, tokens, c, heads, hidden int, dropout float64) *EncoderLayer[T] {
	l := &EncoderLayer[T]{Tokens: tokens, C: c}
	l.attn = NewSelfAttention(s, ctx, name+".self_attn", tokens, c, heads, dropout)
	l.f1, l.f2 = NewLinear(s, name+".linear1", c, hidden, true), NewLinear(s, name+".linear2", hidden, c, true)
	l.ln1, l.ln2 = NewLayerNorm(s, name+".norm1", c), NewLayerNorm(s, name+".norm2", c)
	l.ln1.Eps, l.ln2.Eps = encoderLayerEps, encoderLayerEps
	l.d1, l.d2, l.d3 = NewDropout[T](ctx, dropout), NewDropout[T](ctx, dropout), NewDropout[T](ctx, dropout)
	l.reluF, l.dreluF, l.addF = l.reluRange, l.dreluRange, l.addRange
	return l
}

// Forward computes b samples; the result belongs to the layer.
func (l *EncoderLayer[T]) Forward(x []T, b int) []T {
	rows := b * l.Tokens
	l.x, l.b = x, b
	s := grow(&l.sum1, rows*l.C)
	l.attn.Forward(x, s, b)
	if l.d1 != nil {
		l.d1.Forward(s)
	}
	l.add(s, x)
	l.ln1.Forward(s, grow(&l.y, rows*l.C), rows)
	h := grow(&l.h, rows*l.f1.Out)
	l.f1.Forward(l.y, h, rows)
	split(len(h), 1, l.reluF)
	if l.d2 != nil {
		l.d2.Forward(h)
	}
	s = grow(&l.sum2, rows*l.C)
	l.f2.Forward(h, s, rows)
	if l.d3 != nil {
		l.d3.Forward(s)
	}
	l.add(s, l.y)
	l.ln2.Forward(s, grow(&l.out, rows*l.C), rows)
	return l.out
}

func (l *EncoderLayer[T]) add(to, from []T) {
	l.to, l.from = to, from
	split(len(to), 1, l.addF)
}

func (l *EncoderLayer[T]) addRange(lo, hi int) { addRow(l.to[lo:hi], l.from[lo:hi], 1) }

func (l *EncoderLayer[T]) reluRange(lo, hi int) {
	h := l.h[lo:hi]
	for i, v := range h {
		h[i] = max(v, 0)
	}
}

// dreluRange reads the sign from h after its dropout, which keeps it.
func (l *EncoderLayer[T]) dreluRange(lo, hi int) {
	kernel.ReLUGrad(l.h[lo:hi], l.dh[lo:hi], l.dh[lo:hi])
}

// Backward overwrites the parameter gradients and returns the gradient of x.
func (l *EncoderLayer[T]) Backward(dy []T) []T {
	rows := l.b * l.Tokens
	d2 := grow(&l.dsum2, rows*l.C)
	l.ln2.Backward(l.sum2, dy, d2, rows, false)
	dyAttn := grow(&l.dx, rows*l.C) // gradient of y: the sum's own and the feed-forward's
	copy(dyAttn, d2)
	if l.d3 != nil {
		l.d3.Backward(d2)
	}
	dh := grow(&l.dh, rows*l.f1.Out)
	l.f2.Backward(l.h, d2, dh, 0, rows)
	if l.d2 != nil {
		l.d2.Backward(dh)
	}
	split(len(dh), 1, l.dreluF)
	l.f1.Backward(l.y, dh, dyAttn, 1, rows)
	d1 := grow(&l.dsum1, rows*l.C)
	l.ln1.Backward(l.sum1, dyAttn, d1, rows, false)
	copy(l.dx, d1)
	if l.d1 != nil {
		l.d1.Backward(d1)
	}
	l.attn.Backward(d1, l.dx, 1)
	return l.dx
}
