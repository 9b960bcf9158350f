package nn

// AveragePool is the mean over windows of 2 x 2 positions; a last odd line or
// column is left out. It takes and gives [b, H, W, C].
type AveragePool[T Float] struct {
	H, W, C int // of the input

	b       int
	out, dx []T
}

// NewAveragePool builds the pooling of h x w maps of c channels.
func NewAveragePool[T Float](h, w, c int) *AveragePool[T] {
	return &AveragePool[T]{H: h, W: w, C: c}
}

// OutShape returns height x width x channels.
func (p *AveragePool[T]) OutShape() []int { return []int{p.H / 2, p.W / 2, p.C} }

// Fold implements Block; there is nothing to fold.
func (p *AveragePool[T]) Fold() {}

// each calls f with the offsets of each position of the input that counts and
// of the window it belongs to.
func (p *AveragePool[T]) each(f func(in, out int)) {
	ho, wo := p.H/2, p.W/2
	for s := range p.b {
		for y := range 2 * ho {
			for x := range 2 * wo {
				f(((s*p.H+y)*p.W+x)*p.C, ((s*ho+y/2)*wo+x/2)*p.C)
			}
		}
	}
}

// Forward implements Block.
func (p *AveragePool[T]) Forward(x []T, b int) []T {
	p.b = b
	out := grow(&p.out, b*(p.H/2)*(p.W/2)*p.C)
	clear(out)
	p.each(func(i, o int) { addRow(out[o:o+p.C], x[i:], 0.25) })
	return out
}

// Backward implements Block.
func (p *AveragePool[T]) Backward(dy []T) []T {
	dx := grow(&p.dx, p.b*p.H*p.W*p.C)
	clear(dx)
	p.each(func(i, o int) { addRow(dx[i:i+p.C], dy[o:], 0.25) })
	return dx
}
