package nn

import (
	"sync"

	"posefuse/model/nn/kernel"
)

// foldedAttention is the vector attention of a PointBlock for inference, with
// the normalisations in its weights. With r = h·P + b, where h is the hidden
// position encoding of three values, and weights that sum to one,
//
//	w = ReLU(k'_j + q'_i + h·pw)   k', q', pw: scaled by the first norm
//	o = ReLU(Σ a·v'_j + (Σ a·h)·po + bo)   v', po, bo: scaled by the second
//
// so that neither r nor w is ever held for more than a few points.
type foldedAttention[T Float] struct {
	attentionWeights[T]
	e int

	base, ko, vo, h, on, out []T
	tiles, points            int // per sample; points per tile
	scratch                  sync.Pool
	tileF                    func(lo, hi int)
}

// attentionWeights is shared by instances of a frozen network.
type attentionWeights[T Float] struct {
	q, k, v    kernel.PackedB[T]
	qb, kb, vb []T
	pw, po     []T // [3, C]
	bo         []T
	w2         kernel.PackedB[T] // columns repeated to E
	w2b        []T
}

// attentionTile is what one thread holds of a tile of points.
type attentionTile[T Float] struct {
	w, hidden, att []T // [points·K, C], [points·K, C/8], [points·K, E]
	hs             []T // [3, E]
}

// tileValues is how many values of w a tile holds: they stay in the cache of a
// core beside the weights.
const tileValues = 1 << 15

// Fold prepares Eval.
func (p *PointBlock[T]) Fold() {
	p.l1.Fold()
	p.p1.Fold()
	p.w1.Fold()
	p.l3.Fold()
	f := p.folded
	if f == nil {
		f = &foldedAttention[T]{e: kernel.WeightWidth(p.C / sharedPlanes)}
		f.scratch.New = func() any { return new(attentionTile[T]) }
		f.tileF = p.tileRange
		p.folded = f
	}
	f.attentionWeights = Derived(p.q.Weight, "attention", func() attentionWeights[T] { return p.foldWeights(f.e) })
}

func (p *PointBlock[T]) foldWeights(e int) (f attentionWeights[T]) {
	c := p.C
	sw, so := make([]T, c), make([]T, c)
	for _, v := range []*[]T{&f.qb, &f.kb, &f.vb, &f.bo} {
		grow(v, c)
	}
	grow(&f.pw, 3*c)
	grow(&f.po, 3*c)
	for j := range c {
		var tw, to T
		sw[j], tw = p.bw.affine(j)
		so[j], to = p.bo.affine(j)
		r := p.p2.Bias.Value[j]
		f.kb[j] = sw[j] * p.k.Bias.Value[j]
		f.qb[j] = sw[j]*(r-p.q.Bias.Value[j]) + tw
		f.vb[j] = so[j] * p.v.Bias.Value[j]
		f.bo[j] = so[j]*r + to
		for d := range 3 {
			w := p.p2.Weight.Value[3*j+d]
			f.pw[d*c+j], f.po[d*c+j] = sw[j]*w, so[j]*w
		}
	}
	scaled := make([]T, c*c)
	pack := func(dst *kernel.PackedB[T], l *Linear[T], scale []T, sign T) {
		for j := range c {
			for i, w := range l.Weight.Value[j*c : (j+1)*c] {
				scaled[j*c+i] = sign * scale[j] * w
			}
		}
		dst.PackB(true, c, c, scaled, c)
	}
	pack(&f.q, p.q, sw, -1)
	pack(&f.k, p.k, sw, 1)
	pack(&f.v, p.v, so, 1)
	cs := c / sharedPlanes
	wide := make([]T, e*cs)
	fillRows(wide, p.w2.Weight.Value)
	f.w2.PackB(true, cs, e, wide, cs)
	fillRows(grow(&f.w2b, e), p.w2.Bias.Value)
	return f
}

// infer computes n points in all.
func (p *PointBlock[T]) infer(x []T, n int) []T {
	l, c, f := p.geo.Levels[p.level], p.C, p.folded
	y := p.l1.Forward(x, n)
	kernel.GemmPacked(n, y, c, &f.q, 0, grow(&f.base, n*c), c, kernel.Epilogue[T]{Bias: f.qb})
	kernel.GemmPacked(n, y, c, &f.k, 0, grow(&f.ko, n*c), c, kernel.Epilogue[T]{Bias: f.kb})
	kernel.GemmPacked(n, y, c, &f.v, 0, grow(&f.vo, n*c), c, kernel.Epilogue[T]{Bias: f.vb})
	f.h = p.p1.Forward(l.Rel, n*l.K)
	grow(&f.on, n*c)
	f.points = max(1, min(l.N, tileValues/(l.K*c)))
	f.tiles = (l.N + f.points - 1) / f.points
	split(p.b*f.tiles, f.points*l.K*c*(c/sharedPlanes), f.tileF)
	out := grow(&f.out, n*c)
	p.l3.Lin.(*Linear[T]).forwardAdd(f.on, out, x, n, true)
	return out
}

func (p *PointBlock[T]) tileRange(lo, hi int) {
	l, c, f := p.geo.Levels[p.level], p.C, p.folded
	cs, e := c/sharedPlanes, f.e
	t := f.scratch.Get().(*attentionTile[T])
	most := f.points * l.K
	grow(&t.w, most*c)
	grow(&t.hidden, most*cs)
	grow(&t.att, most*e)
	grow(&t.hs, 3*e)
	for q := lo; q < hi; q++ {
		s := q / f.tiles
		first := s*l.N + q%f.tiles*f.points
		count := min(f.points, (s+1)*l.N-first)
		ko, vo := f.ko[s*l.N*c:(s+1)*l.N*c], f.vo[s*l.N*c:(s+1)*l.N*c]
		for i := range count {
			r := (first + i) * l.K
			kernel.MixPositions(l.Self[r:r+l.K], ko, f.base[(first+i)*c:(first+i+1)*c], f.h[3*r:], f.pw, t.w[i*l.K*c:])
		}
		rows := count * l.K
		p.w1.Lin.forwardFolded(t.w, t.hidden, rows, true)
		kernel.GemmPacked(rows, t.hidden, cs, &f.w2, 0, t.att, e, kernel.Epilogue[T]{Bias: f.w2b})
		for i := range count {
			r := (first + i) * l.K
			att := t.att[i*l.K*e : (i+1)*l.K*e]
			kernel.SoftmaxColumns(att, l.K, e, f.h[3*r:], t.hs)
			kernel.AttendPositions(l.Self[r:r+l.K], vo, att, f.bo, f.po, t.hs, f.on[(first+i)*c:(first+i+1)*c], e)
		}
	}
	f.scratch.Put(t)
}
