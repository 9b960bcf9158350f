package nn

// TokenJoin lays the antennas' feature maps side by side on the width, applies
// batch normalisation over all positions, adds a position embedding and
// applies dropout: [A·b, h, w, C] to [b, h·A·w, C].
type TokenJoin[T Float] struct {
	Antennas, H, W, C int

	bn       *BatchNorm[T]
	pos      *Tensor[T]
	drop     *Dropout[T]
	tok, out []T
	dx       []T
	sum      colSum[T]
	b        int
}

// NewTokenJoin builds the join.
func NewTokenJoin[T Float](s *Store[T], ctx *Context, name string, antennas, h, w, c int, dropout float64) *TokenJoin[T] {
	t := &TokenJoin[T]{Antennas: antennas, H: h, W: w, C: c, bn: NewBatchNorm(s, ctx, name+".bn", c, 1)}
	t.pos = s.Tensor(name+".position_embedding", Position, 1, 1, 1, h*w*antennas, c)
	t.drop = NewDropout[T](ctx, dropout)
	t.sum.init()
	return t
}

// OutShape returns tokens x channels.
func (t *TokenJoin[T]) OutShape() []int { return []int{t.H * t.W * t.Antennas, t.C} }

// Fold implements Block; the normalisation is cheap enough to stay.
func (t *TokenJoin[T]) Fold() {}

// each calls f with the offset of every image line and of its tokens.
func (t *TokenJoin[T]) each(f func(image, token int)) {
	line := t.W * t.C
	for s := range t.b {
		for y := range t.H {
			for a := range t.Antennas {
				f(((a*t.b+s)*t.H+y)*line, ((s*t.H+y)*t.Antennas+a)*line)
			}
		}
	}
}

// Forward takes antennas·b feature maps.
func (t *TokenJoin[T]) Forward(x []T, b int) []T {
	t.b = b
	line := t.W * t.C
	tok, out := grow(&t.tok, len(x)), grow(&t.out, len(x))
	t.each(func(i, k int) { copy(tok[k:k+line], x[i:i+line]) })
	n := t.H * t.W * t.Antennas
	t.bn.Forward(tok, out, b*n, false)
	for s := range b {
		o := out[s*n*t.C : (s+1)*n*t.C]
		for i, v := range t.pos.Value {
			o[i] += v
		}
	}
	if t.drop != nil {
		t.drop.Forward(out)
	}
	return out
}

// Backward implements Block.
func (t *TokenJoin[T]) Backward(dy []T) []T {
	if t.drop != nil {
		t.drop.Backward(dy)
	}
	n := t.H * t.W * t.Antennas
	t.sum.run(dy, t.pos.Grad, t.b)
	t.bn.Backward(t.tok, dy, dy, t.b*n)
	dx := grow(&t.dx, len(dy))
	line := t.W * t.C
	t.each(func(i, k int) { copy(dx[i:i+line], dy[k:k+line]) })
	return dx
}
