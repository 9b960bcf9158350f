package nn

// Regressor ends a network with three linear layers: ReLU and dropout after
// the first, batch normalisation, ReLU and dropout after the second.
type Regressor[T Float] struct {
	In int

	l1, l3       *Linear[T]
	l2           *Unit[T]
	drop         *Dropout[T]
	x            []T
	h1, h2, out  []T
	dh1, dh2, dx []T
	b            int
}

// NewRegressor builds the layers in → h1 → h2 → out.
func NewRegressor[T Float](s *Store[T], ctx *Context, name string, in, h1, h2, out int, dropout float64) *Regressor[T] {
	r := &Regressor[T]{In: in, l1: NewLinear(s, name+".fc1", in, h1, true)}
	r.drop = NewDropout[T](ctx, dropout)
	r.l2 = NewUnit[T](ctx, NewLinear(s, name+".fc2", h1, h2, true), NewBatchNorm(s, ctx, name+".bn", h2, 1), true)
	r.l2.Drop = NewDropout[T](ctx, dropout)
	r.l3 = NewLinear(s, name+".fc3", h2, out, true)
	return r
}

// OutBias returns the bias of the last layer.
func (r *Regressor[T]) OutBias() *Tensor[T] { return r.l3.Bias }

// OutShape returns the output's width.
func (r *Regressor[T]) OutShape() []int { return []int{r.l3.Out} }

// Fold implements Block; the layers are small enough to stay.
func (r *Regressor[T]) Fold() {}

// Forward implements Block.
func (r *Regressor[T]) Forward(x []T, b int) []T {
	r.x, r.b = x, b
	h := grow(&r.h1, b*r.l1.Out)
	r.l1.Forward(x, h, b)
	for i, v := range h {
		h[i] = max(v, 0)
	}
	if r.drop != nil {
		r.drop.Forward(h)
	}
	r.h2 = r.l2.Forward(h, b)
	r.l3.Forward(r.h2, grow(&r.out, b*r.l3.Out), b)
	return r.out
}

// Backward implements Block.
func (r *Regressor[T]) Backward(dy []T) []T {
	dh2 := grow(&r.dh2, r.b*r.l3.In)
	r.l3.Backward(r.h2, dy, dh2, 0, r.b)
	dh1 := grow(&r.dh1, r.b*r.l1.Out)
	r.l2.Backward(dh2, dh1, 0)
	if r.drop != nil {
		r.drop.Backward(dh1)
	}
	for i, v := range r.h1 { // behind its dropout, which keeps the sign
		if v <= 0 {
			dh1[i] = 0
		}
	}
	dx := grow(&r.dx, r.b*r.In)
	r.l1.Backward(r.x, dh1, dx, 0, r.b)
	return dx
}
