package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

const instanceNormEps = 1e-5

// ChannelTransformer is one layer of MetaFi++'s transformer, whose attention
// runs across channels (model.md 2.4).
type ChannelTransformer[T Float] struct {
	Tokens, C, Heads int

	ctx        *Context
	trunk      *trunkWork[T]
	ln1, ln2   *LayerNorm[T]
	ln3        *LayerNorm[T]
	q, k, v    []*Linear[T]
	o          *Linear[T]
	f1, f2     *Linear[T]
	attnDrop   *Dropout[T]
	outDrop    *Dropout[T]
	d1, d2     *Dropout[T]
	b          int
	x, y       []T
	qo, ko, vo [][]T // per head [b, Tokens, C]
	memory     []T   // of the large ones from norm to g
	norm       []T   // [b, Heads, C, C] instance-normalised map
	inv        []T   // [b, Heads]
	prob       []T   // softmax before dropout
	s          []T   // after dropout
	context    []T   // [b, Tokens, C]
	res1       []T   // x + attention
	z          []T
	h, g       []T // [b, Tokens, MLP]; the GELU turns h into its slope
	res2, out  []T
	dres2      []T
	dg, dy     []T
	ds         []T
	dvo        [][]T
	low        *lowAttention // of inference in low precision
	lowSample  int           // the one in work there
	one, zero  []T           // [C]
	folded     bool          // for inference
	spent      bool          // the backward pass has used up what it reads
	smF, dsmF  func(lo, hi int)
	geluF      func(lo, hi int)
	dgeluF     func(lo, hi int)
}

// NewChannelTransformer builds the layer. It also creates the second layer
// norm of the original source, which nothing ever uses.
func NewChannelTransformer[T Float](s *Store[T], ctx *Context, name string, tokens, c, heads, mlp int, dropout float64) *ChannelTransformer[T] {
	t := &ChannelTransformer[T]{Tokens: tokens, C: c, Heads: heads, ctx: ctx, trunk: trunkWorkOf[T](ctx)}
	t.ln1 = NewLayerNorm(s, name+".attention_norm", c)
	for _, p := range []struct {
		n string
		l *[]*Linear[T]
	}{{"query", &t.q}, {"key", &t.k}, {"value", &t.v}} {
		for h := range heads {
			*p.l = append(*p.l, NewLinear(s, name+".channel_attn."+p.n+"."+itoa(h), c, c, false))
		}
	}
	t.o = NewLinear(s, name+".channel_attn.out", c, c, false)
	t.ln2 = NewLayerNorm(s, name+".ffn_norm", c)
	t.f1 = newMLPLinear(s, name+".ffn.fc1", c, mlp)
	t.f2 = newMLPLinear(s, name+".ffn.fc2", mlp, c)
	t.ln3 = NewLayerNorm(s, name+".encoder_norm", c)
	s.Tensor(name+".unused_norm.weight", NormWeight, c, c, c).Unused = true
	s.Tensor(name+".unused_norm.bias", NormBias, c, c, c).Unused = true
	t.attnDrop, t.outDrop = NewDropout[T](ctx, dropout), NewDropout[T](ctx, dropout)
	t.d1, t.d2 = NewDropout[T](ctx, dropout), NewDropout[T](ctx, dropout)
	for _, p := range []*[][]T{&t.qo, &t.ko, &t.vo, &t.dvo} {
		*p = make([][]T, heads)
	}
	t.one, t.zero = make([]T, c), make([]T, c)
	fillRows(t.one, []T{1})
	t.smF, t.dsmF, t.geluF, t.dgeluF = t.softmaxRange, t.dsoftmaxRange, t.geluRange, t.dgeluRange
	return t
}

func newMLPLinear[T Float](s *Store[T], name string, in, out int) *Linear[T] {
	l := &Linear[T]{In: in, Out: out, Taps: 1,
		Weight: s.Tensor(name+".weight", WeightXavier, in, out, out, in),
		Bias:   s.Tensor(name+".bias", BiasTiny, in, out, out)}
	l.sum.init()
	return l
}

// OutShape returns tokens x channels.
func (t *ChannelTransformer[T]) OutShape() []int { return []int{t.Tokens, t.C} }

// Fold prepares Eval.
func (t *ChannelTransformer[T]) Fold() {
	if t.low != nil {
		t.foldLow()
	} else {
		for h := range t.Heads {
			t.q[h].fold(nil)
			t.k[h].fold(nil)
			t.v[h].fold(nil)
		}
	}
	t.o.fold(nil)
	t.f1.fold(nil)
	t.f2.fold(nil)
	t.folded = true
}

// Forward takes b x Tokens x C values.
func (t *ChannelTransformer[T]) Forward(x []T, b int) []T {
	n, c, heads := t.Tokens, t.C, t.Heads
	rows := b * n
	t.x, t.b, t.spent = x, b, false
	t.ln1.Forward(x, grow(&t.y, rows*c), rows)
	maps, m := b*heads, t.f1.Out
	t.divide(maps*c*c, rows*m)
	grow(&t.inv, maps)
	grow(&t.context, rows*c)
	if t.low != nil {
		t.attendLow(b)
	} else {
		t.attend(b)
	}
	res1 := grow(&t.res1, rows*c)
	t.o.Forward(t.context, res1, rows)
	t.drop(t.outDrop, res1)
	add(res1, x)
	t.ln2.Forward(res1, grow(&t.z, rows*c), rows)
	t.f1.Forward(t.z, t.h, rows)
	split(rows*m, 20, t.geluF)
	t.drop(t.d1, t.g)
	res2 := grow(&t.res2, rows*c)
	t.f2.Forward(t.g, res2, rows)
	t.drop(t.d2, res2)
	add(res2, res1)
	t.ln3.Forward(res2, grow(&t.out, rows*c), rows)
	return t.out
}

// attend writes the mean of the heads, of b samples, to context.
func (t *ChannelTransformer[T]) attend(b int) {
	n, c, heads, rows := t.Tokens, t.C, t.Heads, b*t.Tokens
	for h := range heads {
		t.q[h].Forward(t.y, grow(&t.qo[h], rows*c), rows)
		t.k[h].Forward(t.y, grow(&t.ko[h], rows*c), rows)
		t.v[h].Forward(t.y, grow(&t.vo[h], rows*c), rows)
		scale := T(1 / math.Sqrt(float64(c)))
		for s := range b {
			at := s * n * c
			kernel.Gemm(true, false, c, c, n, scale, t.qo[h][at:], c, t.ko[h][at:], c, 0, t.norm[(s*heads+h)*c*c:], c)
		}
	}
	split(b*heads, 10*c*c, t.smF)
	t.s = t.prob
	if t.attnDrop != nil && t.ctx.Mode == Train {
		copy(t.ds, t.prob)
		t.s = t.ds
		t.attnDrop.Forward(t.s)
	} else if t.attnDrop != nil {
		t.attnDrop.active = false
	}
	for s := range b {
		at := s * n * c
		for h := range heads {
			var beta T
			if h > 0 {
				beta = 1
			}
			kernel.Gemm(false, true, n, c, c, 1/T(heads), t.vo[h][at:], c, t.s[(s*heads+h)*c*c:], c, beta, t.context[at:], c)
		}
	}
}

// divide lays out the memory that nobody needs after the backward pass: maps
// of so many values each, and hidden values of the MLP.
func (t *ChannelTransformer[T]) divide(maps, hidden int) {
	n := 2*maps + 2*hidden
	if !t.folded || t.ctx.Mode != Eval {
		n += maps
	}
	rest := grow(&t.memory, n)
	take := func(n int) []T {
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	t.norm, t.prob, t.h, t.g = take(maps), take(maps), take(hidden), take(hidden)
	t.ds = rest // without a backward pass nothing
}

func (t *ChannelTransformer[T]) drop(d *Dropout[T], x []T) {
	if d != nil {
		d.Forward(x)
	}
}

func (t *ChannelTransformer[T]) undrop(d *Dropout[T], x []T) {
	if d != nil {
		d.Backward(x)
	}
}

// add adds x to y.
func add[T Float](y, x []T) { kernel.Axpy(1, x[:len(y)], y) }

// softmaxRange normalises each head's whole map and takes the softmax of its rows.
func (t *ChannelTransformer[T]) softmaxRange(lo, hi int) {
	c := t.C
	for i := lo; i < hi; i++ {
		m, p := t.norm[i*c*c:(i+1)*c*c], t.prob[i*c*c:(i+1)*c*c]
		mean, sq := kernel.Moments(m)
		inv := T(1 / math.Sqrt(sq/float64(c*c)+instanceNormEps))
		t.inv[i] = inv
		for r := range c {
			row := m[r*c : (r+1)*c]
			kernel.NormalizeRow(T(mean), inv, row, row, t.one, t.zero)
			kernel.SoftmaxRow(row, p[r*c:(r+1)*c])
		}
	}
}

// dsoftmaxRange turns the gradient of the softmax's output in ds into that of
// the unnormalised map, in place.
func (t *ChannelTransformer[T]) dsoftmaxRange(lo, hi int) {
	c := t.C
	for i := lo; i < hi; i++ {
		d, p, x := t.ds[i*c*c:(i+1)*c*c], t.prob[i*c*c:(i+1)*c*c], t.norm[i*c*c:(i+1)*c*c]
		var s, q float64
		for r := range c {
			at := r * c
			a, b := kernel.SoftmaxRowGrad(p[at:at+c], x[at:at+c], d[at:at+c])
			s += float64(a)
			q += float64(b)
		}
		ms, mq := T(s/float64(c*c)), T(q/float64(c*c))
		inv := t.inv[i]
		for j, v := range d {
			d[j] = inv * (v - ms - x[j]*mq)
		}
	}
}

func (t *ChannelTransformer[T]) geluRange(lo, hi int) {
	kernel.GELU(t.h[lo:hi], t.g[lo:hi], t.h[lo:hi])
}

func (t *ChannelTransformer[T]) dgeluRange(lo, hi int) {
	kernel.Multiply(t.h[lo:hi], t.dg[lo:hi])
}

// Backward implements Block.
func (t *ChannelTransformer[T]) Backward(dout []T) []T {
	n, c, heads, b := t.Tokens, t.C, t.Heads, t.b
	rows, m := b*n, t.f1.Out
	if t.spent {
		t.Forward(t.x, b)
	}
	t.spent = true
	d := grow(&t.dres2, rows*c)
	t.ln3.Backward(t.res2, dout, d, rows, false)
	// dout is free from here on; it carries the branch's gradient.
	copy(dout, d)
	t.undrop(t.d2, dout)
	// What a layer read makes room for its gradient, which comes last.
	dg := t.g
	t.dg = dg
	t.f2.Backward(t.g, dout, dg, 0, rows)
	t.undrop(t.d1, dg)
	split(rows*m, 30, t.dgeluF)
	dz := t.z
	t.f1.Backward(t.z, dg, dz, 0, rows)
	t.ln2.Backward(t.res1, dz, d, rows, true)
	copy(dout, d)
	t.undrop(t.outDrop, dout)
	dctx := t.context
	t.o.Backward(t.context, dout, dctx, 0, rows)

	for h := range heads {
		grow(&t.dvo[h], rows*c)
	}
	f := 1 / T(heads)
	for s := range b {
		at := s * n * c
		for h := range heads {
			mp := (s*heads + h) * c * c
			kernel.Gemm(false, false, n, c, c, f, dctx[at:], c, t.s[mp:], c, 0, t.dvo[h][at:], c)
		}
	}
	for s := range b {
		at := s * n * c
		for h := range heads {
			kernel.Gemm(true, false, c, c, n, f, dctx[at:], c, t.vo[h][at:], c, 0, t.ds[(s*heads+h)*c*c:], c)
		}
	}
	t.undrop(t.attnDrop, t.ds)
	split(b*heads, 8*c*c, t.dsmF)
	scale := T(1 / math.Sqrt(float64(c)))
	for s := range b {
		at := s * n * c
		for h := range heads {
			ds := t.ds[(s*heads+h)*c*c:]
			// The values are no longer needed, and then the keys.
			kernel.Gemm(false, true, n, c, c, scale, t.ko[h][at:], c, ds, c, 0, t.vo[h][at:], c)
			kernel.Gemm(false, false, n, c, c, scale, t.qo[h][at:], c, ds, c, 0, t.ko[h][at:], c)
		}
	}
	dy := grow(&t.dy, rows*c)
	for h := range heads {
		var beta T
		if h > 0 {
			beta = 1
		}
		t.q[h].Backward(t.y, t.vo[h], dy, beta, rows)
		t.k[h].Backward(t.y, t.ko[h], dy, 1, rows)
		t.v[h].Backward(t.y, t.dvo[h], dy, 1, rows)
	}
	t.ln1.Backward(t.x, dy, d, rows, true)
	t.trunk.lend(t.memory)
	return d
}
