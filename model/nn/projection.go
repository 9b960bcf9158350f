package nn

// Projection ends every encoder: mean over the positions, linear, ReLU,
// linear, both bias-free.
type Projection[T Float] struct {
	Positions, C, Out int
	// Gate, if not nil, holds one factor per sample that multiplies its
	// feature: 0 for an absent modality.
	Gate []T
	// Carry is how many of the Out values are not computed: they come last and are
	// those that Carried returns of a sample, of the encoder's input as a rule. No
	// gradient flows into them.
	Carry   int
	Carried func(sample int) []T

	a, b    *Linear[T]
	n       int
	mean, h []T
	out     []T
	said    []T // computed values, and their gradient, where some are carried
	dh, dm  []T
	dx      []T
}

// NewProjection builds the projection c → c/2 → out - carry, whose feature
// ends with carry values that Carried returns.
func NewProjection[T Float](s *Store[T], name string, positions, c, out, carry int) *Projection[T] {
	return &Projection[T]{Positions: positions, C: c, Out: out, Carry: carry,
		a: NewLinear(s, name+".0", c, c/2, false), b: NewLinear(s, name+".2", c/2, out-carry, false)}
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
	if p.Carry == 0 {
		p.b.Forward(h, out, b)
	} else {
		p.carry(h, out)
	}
	p.gate(out)
	return out
}

// carry writes what is computed and what is carried.
func (p *Projection[T]) carry(h, out []T) {
	k := p.b.Out
	said := grow(&p.said, p.n*k)
	p.b.Forward(h, said, p.n)
	for s := range p.n {
		row := out[s*p.Out : (s+1)*p.Out]
		copy(row, said[s*k:(s+1)*k])
		copy(row[k:], p.Carried(s)[:p.Carry])
	}
}

// computed returns the part of a gradient that belongs to what is computed.
func (p *Projection[T]) computed(dy []T) []T {
	if p.Carry == 0 {
		return dy
	}
	k := p.b.Out
	d := grow(&p.said, p.n*k)
	for s := range p.n {
		copy(d[s*k:(s+1)*k], dy[s*p.Out:])
	}
	return d
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
	p.b.Backward(p.h, p.computed(dy), dh, 0, p.n)
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
