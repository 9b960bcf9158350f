package nn

import (
	"fmt"

	"posefuse/model/nn/kernel"
)

// sharedPlanes is how many channel groups share one attention weight.
const sharedPlanes = 8

// PointBlock is the point transformer block of model.md 2.2: vector attention
// over the nearest neighbours with a learned position encoding.
type PointBlock[T Float] struct {
	C int

	geo           *Pyramid[T]
	level         int
	ctx           *Context
	l1            *Unit[T]
	q, k, v       *Linear[T]
	p1            *Unit[T] // Linear(3) with bias, BN, ReLU
	p2            *Linear[T]
	bw            *BatchNorm[T]
	w1            *Unit[T]
	w2            *Linear[T]
	bo            *BatchNorm[T]
	l3            *Unit[T]
	x             []T
	b             int
	y             []T
	qo, ko, vo    []T
	w0            []T // [b·N·k, C]
	att           []T // [b·N·k, C/8] softmax weights
	o, on, out    []T // [b·N, C]
	dout, dx      []T
	r, dr, dw0    []T // of the pyramid's work memory
	dq, dk, dv    []T
	don, datt     []T
	mixF, sumF    func(lo, hi int)
	addF, dsumF   func(lo, hi int)
	dmixF, dreluF func(lo, hi int)
	folded        *foldedAttention[T] // nil before Fold
}

// NewPointBlock builds a block on geo's level.
func NewPointBlock[T Float](s *Store[T], ctx *Context, name string, geo *Pyramid[T], level, c int) (*PointBlock[T], error) {
	if c%sharedPlanes != 0 {
		return nil, fmt.Errorf("point transformer width %d is not a multiple of %d", c, sharedPlanes)
	}
	p := &PointBlock[T]{C: c, geo: geo, level: level, ctx: ctx}
	bn := func(n string, c int) *BatchNorm[T] { return NewBatchNorm(s, ctx, name+"."+n, c, 1) }
	lin := func(n string, in, out int, bias bool) *Linear[T] { return NewLinear(s, name+"."+n, in, out, bias) }
	p.l1 = NewUnit[T](ctx, lin("linear1", c, c, false), bn("bn1", c), true)
	p.q, p.k, p.v = lin("attn.q", c, c, true), lin("attn.k", c, c, true), lin("attn.v", c, c, true)
	p.p1 = NewUnit[T](ctx, lin("attn.p1", 3, 3, true), bn("attn.bn_p", 3), true)
	p.p2 = lin("attn.p2", 3, c, true)
	p.bw = bn("attn.bn_w1", c)
	w := lin("attn.w1", c, c/sharedPlanes, true)
	p.w1 = NewUnit[T](ctx, w, bn("attn.bn_w2", c/sharedPlanes), true)
	p.w2 = lin("attn.w2", c/sharedPlanes, c/sharedPlanes, true)
	p.bo = bn("bn2", c)
	p.l3 = NewUnit[T](ctx, lin("linear3", c, c, false), bn("bn3", c), false)
	p.mixF, p.sumF, p.addF = p.mixRange, p.sumRange, p.addRange
	p.dsumF, p.dmixF, p.dreluF = p.dsumRange, p.dmixRange, p.dreluRange
	return p, nil
}

// OutShape returns points x channels.
func (p *PointBlock[T]) OutShape() []int { return []int{p.geo.Levels[p.level].N, p.C} }

// Forward takes b x points x C values.
func (p *PointBlock[T]) Forward(x []T, b int) []T {
	l := p.geo.Levels[p.level]
	n, c := b*l.N, p.C
	nk, cs := n*l.K, c/sharedPlanes
	p.x, p.b = x, b
	if p.folded != nil && p.ctx.Mode == Eval {
		return p.infer(x, n)
	}
	p.y = p.l1.Forward(x, n)
	p.q.Forward(p.y, grow(&p.qo, n*c), n)
	p.k.Forward(p.y, grow(&p.ko, n*c), n)
	p.v.Forward(p.y, grow(&p.vo, n*c), n)
	work := &p.geo.work
	p.r = grow(&work.a, nk*c)
	p.p2.Forward(p.p1.Forward(l.Rel, nk), p.r, nk)
	grow(&p.w0, nk*c)
	split(b, l.N*l.K*c, p.mixF)
	w0n := grow(&work.b, nk*c)
	p.bw.Forward(p.w0, w0n, nk, true)
	p.w2.Forward(p.w1.Forward(w0n, nk), grow(&p.att, nk*cs), nk)
	grow(&p.o, n*c)
	split(b, l.N*l.K*c, p.sumF)
	p.bo.Forward(p.o, grow(&p.on, n*c), n, true)
	// The sum goes into l3's output: its normalisation's backward pass does
	// not read it.
	p.out = p.l3.Forward(p.on, n)
	split(n*c, 1, p.addF)
	return p.out
}

func (p *PointBlock[T]) addRange(lo, hi int) { kernel.AddReLU(p.x[lo:hi], p.out[lo:hi]) }

// mixRange computes w0 = k_j - q_i + r.
func (p *PointBlock[T]) mixRange(lo, hi int) {
	l, c := p.geo.Levels[p.level], p.C
	for s := lo; s < hi; s++ {
		ko := p.ko[s*l.N*c : (s+1)*l.N*c]
		for i := s * l.N; i < (s+1)*l.N; i++ {
			r := i * l.K
			kernel.Mix(l.Self[r:r+l.K], ko, p.qo[i*c:(i+1)*c], p.r[r*c:], p.w0[r*c:])
		}
	}
}

// sumRange takes the softmax over the neighbours in place and sums the
// weighted values.
func (p *PointBlock[T]) sumRange(lo, hi int) {
	l, c := p.geo.Levels[p.level], p.C
	cs := c / sharedPlanes
	var wide wideWeights[T]
	for s := lo; s < hi; s++ {
		vo := p.vo[s*l.N*c : (s+1)*l.N*c]
		for i := s * l.N; i < (s+1)*l.N; i++ {
			r := i * l.K
			att := p.att[r*cs : (r+l.K)*cs]
			kernel.SoftmaxColumns(att, l.K, cs, nil, nil)
			att, e := wide.repeat(att, l.K, cs)
			kernel.Attend(l.Self[r:r+l.K], vo, p.r[r*c:], att, p.o[i*c:(i+1)*c], e)
		}
	}
}

// wideWeights is room for the weights of one point's neighbours, repeated so
// that they fill vectors, and for their gradients.
type wideWeights[T Float] struct{ w, g [MaxNeighbours * 16]T }

// repeat returns k rows of cs weights as rows of e, which is cs where that fits
// vectors or fits none.
func (w *wideWeights[T]) repeat(att []T, k, cs int) (wide []T, e int) {
	if 16%cs != 0 || cs == 16 {
		return att, cs
	}
	for n := range k {
		row, a := w.w[n*16:n*16+16], att[n*cs:]
		switch cs {
		case 8:
			v := [8]T(a)
			*(*[8]T)(row), *(*[8]T)(row[8:]) = v, v
		case 4:
			v := [4]T(a)
			*(*[4]T)(row), *(*[4]T)(row[4:]), *(*[4]T)(row[8:]), *(*[4]T)(row[12:]) = v, v, v, v
		case 2:
			u, v := a[0], a[1]
			*(*[16]T)(row) = [16]T{u, v, u, v, u, v, u, v, u, v, u, v, u, v, u, v}
		default:
			v := a[0]
			*(*[16]T)(row) = [16]T{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v}
		}
	}
	return w.w[:k*16], 16
}

// Backward implements Block.
func (p *PointBlock[T]) Backward(dy []T) []T {
	l, c := p.geo.Levels[p.level], p.C
	n := p.b * l.N
	nk, cs := n*l.K, c/sharedPlanes
	// ReLU after the sum; dout serves the branch, dx the identity.
	p.dout = dy
	grow(&p.dx, n*c)
	split(n*c, 1, p.dreluF)
	work := &p.geo.work
	p.don = grow(&work.o, n*c)
	p.l3.Backward(dy, p.don, 0)
	p.bo.Backward(p.o, p.don, p.don, n)
	p.r, p.dr = grow(&work.a, nk*c), grow(&work.b, nk*c)
	p.p2.Forward(p.p1.out, p.r, nk)
	p.dv, p.datt = grow(&work.v, n*c), grow(&work.att, nk*cs)
	split(p.b, 2*l.N*l.K*c, p.dsumF)
	dw1 := grow(&work.hidden, nk*cs)
	p.w2.Backward(p.w1.out, p.datt, dw1, 0, nk)
	p.w1.x, p.dw0 = p.r, grow(&work.c, nk*c) // r has done its work
	p.bw.Again(p.w0, p.w1.x, nk, true)
	p.w1.Backward(dw1, p.dw0, 0)
	p.bw.Backward(p.w0, p.dw0, p.dw0, nk)
	p.dq, p.dk = grow(&work.q, n*c), grow(&work.k, n*c)
	split(p.b, 2*l.N*l.K*c, p.dmixF)
	dp := grow(&work.pos, nk*3)
	p.p2.Backward(p.p1.out, p.dr, dp, 0, nk)
	p.p1.Backward(dp, nil, 0)
	dyv := grow(&work.y, n*c)
	p.q.Backward(p.y, p.dq, dyv, 0, n)
	p.k.Backward(p.y, p.dk, dyv, 1, n)
	p.v.Backward(p.y, p.dv, dyv, 1, n)
	p.l1.Backward(dyv, p.dx, 1)
	return p.dx
}

func (p *PointBlock[T]) dreluRange(lo, hi int) {
	kernel.ReLUGrad(p.out[lo:hi], p.dout[lo:hi], p.dx[lo:hi])
}

// dsumRange: gradients of the weighted sum and of the softmax.
func (p *PointBlock[T]) dsumRange(lo, hi int) {
	l, c := p.geo.Levels[p.level], p.C
	cs := c / sharedPlanes
	var wide wideWeights[T]
	for s := lo; s < hi; s++ {
		vo, dv := p.vo[s*l.N*c:(s+1)*l.N*c], p.dv[s*l.N*c:(s+1)*l.N*c]
		clear(dv)
		for i := s * l.N; i < (s+1)*l.N; i++ {
			r := i * l.K
			att, datt := p.att[r*cs:(r+l.K)*cs], p.datt[r*cs:(r+l.K)*cs]
			w, e := wide.repeat(att, l.K, cs)
			g := datt
			if e != cs {
				g = wide.g[:l.K*e]
			}
			kernel.AttendGrad(l.Self[r:r+l.K], vo, p.r[r*c:], w, p.don[i*c:(i+1)*c], dv, p.dr[r*c:], g, e)
			if e != cs {
				for n := range l.K {
					sumRepeats(datt[n*cs:(n+1)*cs], g[n*e:(n+1)*e])
				}
			}
			kernel.SoftmaxColumnsGrad(att, datt, l.K, cs)
		}
	}
}

// sumRepeats adds up the values that repeat sums' ones.
func sumRepeats[T Float](sums, x []T) {
	for j := range sums {
		var a T
		for i := j; i < len(x); i += len(sums) {
			a += x[i]
		}
		sums[j] = a
	}
}

// dmixRange: gradients of w0 = k_j - q_i + r.
func (p *PointBlock[T]) dmixRange(lo, hi int) {
	l, c := p.geo.Levels[p.level], p.C
	for s := lo; s < hi; s++ {
		dk := p.dk[s*l.N*c : (s+1)*l.N*c]
		clear(dk)
		for i := s * l.N; i < (s+1)*l.N; i++ {
			r, dq := i*l.K, p.dq[i*c:(i+1)*c]
			kernel.Scatter(l.Self[r:r+l.K], dk, p.dr[r*c:], p.dw0[r*c:], dq)
			for j, v := range dq {
				dq[j] = -v
			}
		}
	}
}
