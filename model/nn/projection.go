package nn

// Projection ends every encoder: mean over the positions, linear, ReLU,
// linear, both bias-free.
type Projection[T Float] struct {
	Positions, C, Out int
	// Gate, if not nil, holds one factor per sample that multiplies its
	// feature: 0 for an absent modality.
	Gate []T

	a, b    *Linear[T]
	n       int
	mean, h []T
	out     []T
	dh, dm  []T
	dx      []T
}

// NewProjection builds the projection c → c/2 → out.
func NewProjection[T Float](s *Store[T], name string, positions, c, out int) *Projection[T] {
	return &Projection[T]{Positions: positions, C: c, Out: out,
		a: NewLinear(s, name+".0", c, c/2, false), b: NewLinear(s, name+".2", c/2, out, false)}
}

// OutShape returns the feature width.
func (p *Projection[T]) OutShape() []int { return []int{p.Out} }

// Fold prepares Eval.
func (p *Projection[T]) Fold() {
	p.a.fold(nil)
	p.b.fold(nil)
}

// Forward takes b x Positions x C values.
func (p *Projection[T]) Forward(x []T, b int) []T {
	p.n = b
	c := p.C
	mean := grow(&p.mean, b*c)
	f := 1 / T(p.Positions)
	for s := range b {
		m := mean[s*c : (s+1)*c]
		clear(m)
		for t := range p.Positions {
			add(m, x[(s*p.Positions+t)*c:(s*p.Positions+t+1)*c])
		}
		for i := range m {
			m[i] *= f
		}
	}
	h := grow(&p.h, b*(c/2))
	p.a.Forward(mean, h, b)
	for i, v := range h {
		h[i] = max(v, 0)
	}
	out := grow(&p.out, b*p.Out)
	p.b.Forward(h, out, b)
	p.gate(out)
	return out
}

func (p *Projection[T]) gate(x []T) {
	if p.Gate == nil {
		return
	}
	for s := range p.n {
		if g := p.Gate[s]; g != 1 {
			for i := range p.Out {
				x[s*p.Out+i] *= g
			}
		}
	}
}

// Backward implements Block.
func (p *Projection[T]) Backward(dy []T) []T {
	p.gate(dy)
	c := p.C
	dh := grow(&p.dh, p.n*(c/2))
	p.b.Backward(p.h, dy, dh, 0, p.n)
	for i, v := range p.h {
		if v <= 0 {
			dh[i] = 0
		}
	}
	dm := grow(&p.dm, p.n*c)
	p.a.Backward(p.mean, dh, dm, 0, p.n)
	f := 1 / T(p.Positions)
	dx := grow(&p.dx, p.n*p.Positions*c)
	for s := range p.n {
		m := dm[s*c : (s+1)*c]
		for i := range m {
			m[i] *= f
		}
		for t := range p.Positions {
			copy(dx[(s*p.Positions+t)*c:], m)
		}
	}
	return dx
}
