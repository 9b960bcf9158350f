package nn

// TemporalStem is the first layer of the VideoPose3D model in its one-output
// form: a convolution over Taps frames with stride Taps, batch normalisation,
// ReLU, dropout.
type TemporalStem[T Float] struct {
	Frames int // input frames

	unit *Unit[T]
	taps int
	cin  int
	cout int
	x    []T // of the last Forward
}

// NewTemporalStem builds the stem for frames input positions of cin values.
// names are the names of the convolution and the normalisation below name.
func NewTemporalStem[T Float](s *Store[T], ctx *Context, name string, frames, cin, cout, taps int, dropout float64) *TemporalStem[T] {
	u := NewUnit[T](ctx, NewStridedConv1d(s, name+".expand_conv", cin, cout, taps), NewBatchNorm(s, ctx, name+".expand_bn", cout, 1), true)
	u.Drop = NewDropout[T](ctx, dropout)
	return &TemporalStem[T]{Frames: frames, unit: u, taps: taps, cin: cin, cout: cout}
}

// OutShape returns positions x channels.
func (t *TemporalStem[T]) OutShape() []int { return []int{t.Frames / t.taps, t.cout} }

// Fold prepares Eval.
func (t *TemporalStem[T]) Fold() { t.unit.Fold() }

// Forward takes b x Frames x cin values.
func (t *TemporalStem[T]) Forward(x []T, b int) []T {
	t.x = x
	return t.unit.Forward(x, b*t.Frames/t.taps)
}

// Newest returns the cin values of the newest frame that the last Forward was given
// of a sample.
func (t *TemporalStem[T]) Newest(sample int) []T {
	end := (sample + 1) * t.Frames * t.cin
	return t.x[end-t.cin : end]
}

// Backward implements Block.
func (t *TemporalStem[T]) Backward(dy []T) []T {
	t.unit.Backward(dy, nil, 0)
	return nil
}

// TemporalBlock is a residual block of the VideoPose3D model: a convolution
// over Taps positions with stride Taps, a pointwise one, and the middle
// position of each group added.
type TemporalBlock[T Float] struct {
	Positions, C, Taps int // input positions

	wide, point *Unit[T]
	x, out, dx  []T
	dmid, dbr   []T
	b           int
}

// NewTemporalBlock builds a block for positions input positions.
func NewTemporalBlock[T Float](s *Store[T], ctx *Context, name string, index, positions, c, taps int, dropout float64) *TemporalBlock[T] {
	t := &TemporalBlock[T]{Positions: positions, C: c, Taps: taps}
	conv := func(i, taps int) *Unit[T] {
		k := itoa(2*index + i)
		u := NewUnit[T](ctx, NewStridedConv1d(s, name+".layers_conv."+k, c, c, taps), NewBatchNorm(s, ctx, name+".layers_bn."+k, c, 1), true)
		u.Drop = NewDropout[T](ctx, dropout)
		return u
	}
	t.wide, t.point = conv(0, taps), conv(1, 1)
	return t
}

// OutShape returns positions x channels.
func (t *TemporalBlock[T]) OutShape() []int { return []int{t.Positions / t.Taps, t.C} }

// Fold prepares Eval.
func (t *TemporalBlock[T]) Fold() {
	t.wide.Fold()
	t.point.Fold()
}

// Forward takes b x Positions x C values.
func (t *TemporalBlock[T]) Forward(x []T, b int) []T {
	rows, c := b*t.Positions/t.Taps, t.C
	t.x, t.b = x, b
	y := t.point.Forward(t.wide.Forward(x, rows), rows)
	out := grow(&t.out, rows*c)
	for r := range rows {
		m := x[(r*t.Taps+t.Taps/2)*c:][:c]
		o, v := out[r*c:(r+1)*c], y[r*c:(r+1)*c]
		m, v = m[:len(o)], v[:len(o)]
		for i := range o {
			o[i] = m[i] + v[i]
		}
	}
	return out
}

// Backward implements Block.
func (t *TemporalBlock[T]) Backward(dy []T) []T {
	rows, c := t.b*t.Positions/t.Taps, t.C
	copy(grow(&t.dmid, rows*c), dy)
	dbr := grow(&t.dbr, rows*c)
	t.point.Backward(dy, dbr, 0)
	dx := grow(&t.dx, rows*t.Taps*c)
	t.wide.Backward(dbr, dx, 0)
	for r := range rows {
		d := dx[(r*t.Taps+t.Taps/2)*c:][:c]
		for i, v := range t.dmid[r*c : (r+1)*c] {
			d[i] += v
		}
	}
	return dx
}
