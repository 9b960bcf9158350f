package nn

// ImageStem resizes the channel state of each antenna to an image and applies
// the first convolution of the trunk: [b, A, h, w] to [A·b, Ho, Wo, C],
// antenna-major, so that batch statistics are per antenna.
type ImageStem[T Float] struct {
	Antennas int

	resize *Resize[T]
	unit   *Unit[T]
	img, x []T
	b      int
	fn     func(lo, hi int)
}

// NewImageStem builds the stem; the trunk's convolution is 3 x 3, stride 1.
func NewImageStem[T Float](s *Store[T], ctx *Context, name string, antennas, h, w, ho, wo, c int) *ImageStem[T] {
	t := &ImageStem[T]{Antennas: antennas, resize: NewResize[T](h, w, ho, wo)}
	t.unit = NewUnit[T](ctx, NewConv2d(s, name+".conv1", 1, c, 3, 1, ho, wo), NewBatchNorm(s, ctx, name+".bn1", c, antennas), true)
	t.fn = t.resizeRange
	return t
}

// OutShape returns antennas x height x width x channels.
func (t *ImageStem[T]) OutShape() []int {
	return []int{t.Antennas, t.resize.Ho, t.resize.Wo, t.unit.BN.C}
}

// Fold prepares Eval.
func (t *ImageStem[T]) Fold() { t.unit.Fold() }

// Forward takes b x antennas x h x w values.
func (t *ImageStem[T]) Forward(x []T, b int) []T {
	n := t.resize.Ho * t.resize.Wo
	t.x, t.b = x, b
	grow(&t.img, t.Antennas*b*n)
	split(t.Antennas*b, 4*n, t.fn)
	return t.unit.Forward(t.img, t.Antennas*b)
}

func (t *ImageStem[T]) resizeRange(lo, hi int) {
	in, out := t.resize.H*t.resize.W, t.resize.Ho*t.resize.Wo
	for i := lo; i < hi; i++ {
		a, s := i/t.b, i%t.b
		t.resize.Apply(t.img[i*out:(i+1)*out], t.x[(s*t.Antennas+a)*in:(s*t.Antennas+a+1)*in])
	}
}

// Backward implements Block.
func (t *ImageStem[T]) Backward(dy []T) []T {
	t.unit.Backward(dy, nil, 0)
	return nil
}

// BasicBlock is the residual block of ResNet-34 on A·b images.
type BasicBlock[T Float] struct {
	Antennas int

	c1, c2, short *Unit[T]
	conv          *Conv2d[T] // the second
	x, out        []T
	dy, dsh       []T
	dmid, dx      []T
	reluF, dreluF func(lo, hi int)
	n             int
	id            []T
}

// NewBasicBlock builds a block on h x w inputs.
func NewBasicBlock[T Float](s *Store[T], ctx *Context, name string, antennas, cin, cout, stride, h, w int) *BasicBlock[T] {
	t := &BasicBlock[T]{Antennas: antennas}
	a := NewConv2d(s, name+".conv1", cin, cout, 3, stride, h, w)
	t.c1 = NewUnit[T](ctx, a, NewBatchNorm(s, ctx, name+".bn1", cout, antennas), true)
	t.conv = NewConv2d(s, name+".conv2", cout, cout, 3, 1, a.Ho, a.Wo)
	t.c2 = NewUnit[T](ctx, t.conv, NewBatchNorm(s, ctx, name+".bn2", cout, antennas), false)
	if stride != 1 || cin != cout {
		t.short = NewUnit[T](ctx, NewConv2d(s, name+".downsample.0", cin, cout, 1, stride, h, w), NewBatchNorm(s, ctx, name+".downsample.1", cout, antennas), false)
	}
	t.reluF, t.dreluF = t.reluRange, t.dreluRange
	return t
}

// OutShape returns antennas x height x width x channels.
func (t *BasicBlock[T]) OutShape() []int {
	return []int{t.Antennas, t.conv.Ho, t.conv.Wo, t.conv.Cout}
}

// Fold prepares Eval.
func (t *BasicBlock[T]) Fold() {
	t.c1.Fold()
	t.c2.Fold()
	if t.short != nil {
		t.short.Fold()
	}
}

// Forward takes antennas·b images.
func (t *BasicBlock[T]) Forward(x []T, b int) []T {
	t.x, t.n = x, t.Antennas*b
	// The sum goes into c2's output: its normalisation's backward pass does
	// not read it.
	t.out = t.c2.Forward(t.c1.Forward(x, t.n), t.n)
	t.id = x
	if t.short != nil {
		t.id = t.short.Forward(x, t.n)
	}
	split(len(t.out), 1, t.reluF)
	return t.out
}

func (t *BasicBlock[T]) reluRange(lo, hi int) {
	o, x := t.out[lo:hi], t.id[lo:hi]
	x = x[:len(o)]
	for i, v := range o {
		o[i] = max(v+x[i], 0)
	}
}

func (t *BasicBlock[T]) dreluRange(lo, hi int) {
	d, o, s := t.dy[lo:hi], t.out[lo:hi], t.dsh[lo:hi]
	o, s = o[:len(d)], s[:len(d)]
	for i, v := range d {
		v *= step(o[i])
		d[i], s[i] = v, v
	}
}

// Backward implements Block.
func (t *BasicBlock[T]) Backward(dy []T) []T {
	t.dy = dy
	dx := grow(&t.dx, len(t.x))
	if t.short == nil {
		t.dsh = dx
	} else {
		grow(&t.dsh, len(dy))
	}
	split(len(dy), 1, t.dreluF)
	dmid := grow(&t.dmid, len(t.c1.out))
	t.c2.Backward(dy, dmid, 0)
	if t.short == nil {
		t.c1.Backward(dmid, dx, 1)
		return dx
	}
	t.c1.Backward(dmid, dx, 0)
	t.short.Backward(t.dsh, dx, 1)
	return dx
}
