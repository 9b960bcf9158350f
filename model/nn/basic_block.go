package nn

import "posefuse/model/nn/kernel"

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

// BasicBlock is the residual block of ResNet-34 on A·b images. For the backward
// pass it keeps the outputs of its convolutions and its own; what lies between
// is computed again.
type BasicBlock[T Float] struct {
	Antennas int

	c1, c2, short  *Unit[T]
	ctx            *Context
	work           *trunkWork[T]
	folded         bool
	x, out         []T // of the last forward pass
	pre1, pre2     []T // of the convolutions
	preS           []T
	n              int
	add, sum, dout []T // operands of sumRange and maskRange
	sumF, maskF    func(lo, hi int)
}

// NewBasicBlock builds a block on h x w inputs.
func NewBasicBlock[T Float](s *Store[T], ctx *Context, name string, antennas, cin, cout, stride, h, w int) *BasicBlock[T] {
	t := &BasicBlock[T]{Antennas: antennas, ctx: ctx, work: trunkWorkOf[T](ctx)}
	unit := func(conv, bn string, cin, k, stride, h, w int, relu bool) *Unit[T] {
		c := NewConv2d(s, name+"."+conv, cin, cout, k, stride, h, w)
		c.share(t.work)
		return NewUnit[T](ctx, c, NewBatchNorm(s, ctx, name+"."+bn, cout, antennas), relu)
	}
	t.c1 = unit("conv1", "bn1", cin, 3, stride, h, w, true)
	c := t.c1.Lin.(*Conv2d[T])
	t.c2 = unit("conv2", "bn2", cout, 3, 1, c.Ho, c.Wo, false)
	if stride != 1 || cin != cout {
		t.short = unit("downsample.0", "downsample.1", cin, 1, stride, h, w, false)
	}
	t.sumF, t.maskF = t.sumRange, t.maskRange
	return t
}

// OutShape returns antennas x height x width x channels.
func (t *BasicBlock[T]) OutShape() []int {
	c := t.c2.Lin.(*Conv2d[T])
	return []int{t.Antennas, c.Ho, c.Wo, c.Cout}
}

// Fold prepares Eval. From then on an output in that mode lives only until the
// next but one block of the trunk runs.
func (t *BasicBlock[T]) Fold() {
	t.c1.Fold()
	t.c2.Fold()
	if t.short != nil {
		t.short.Fold()
	}
	t.folded = true
}

// Forward takes antennas·b images.
func (t *BasicBlock[T]) Forward(x []T, b int) []T {
	t.x, t.n = x, t.Antennas*b
	rows := t.c2.Lin.outRows(t.n)
	size := rows * t.c2.BN.C
	if t.folded && t.ctx.Mode == Eval {
		return t.infer(size)
	}
	mid := t.work.take(size, x)
	t.c1.Lin.Forward(x, grow(&t.pre1, size), t.n)
	t.c1.BN.Forward(t.pre1, mid, rows, true)
	t.c2.Lin.Forward(mid, grow(&t.pre2, size), t.n)
	t.c2.BN.Forward(t.pre2, grow(&t.out, size), rows, false)
	t.add = x
	if t.short != nil {
		t.short.Lin.Forward(x, grow(&t.preS, size), t.n)
		t.short.BN.Forward(t.preS, mid, rows, false)
		t.add = mid
	}
	t.sum = t.out
	split(size, 1, t.sumF)
	return t.out
}

func (t *BasicBlock[T]) infer(size int) []T {
	t.work.lend(nil) // the output outlives this block
	mid := t.work.take(size, t.x)
	t.c1.Lin.forwardFolded(t.x, mid, t.n, true)
	out := t.work.take(size, t.x, mid)
	res := t.x
	if t.short != nil {
		t.short.Lin.forwardFolded(t.x, out, t.n, false)
		res = out
	}
	t.c2.Lin.(*Conv2d[T]).forwardAdd(mid, out, res, t.n, true)
	return out
}

func (t *BasicBlock[T]) sumRange(lo, hi int) {
	kernel.AddReLU(t.add[lo:hi], t.sum[lo:hi])
}

func (t *BasicBlock[T]) maskRange(lo, hi int) {
	d := t.dout[lo:hi]
	kernel.ReLUGrad(t.out[lo:hi], d, d)
}

// Backward implements Block. The gradient returned is dy's memory, or memory
// that the trunk's next backward pass but one uses again.
func (t *BasicBlock[T]) Backward(dy []T) []T {
	rows := t.c2.Lin.outRows(t.n)
	t.dout = dy
	split(len(dy), 1, t.maskF)
	mid := t.work.take(len(dy), t.x, dy)
	t.c1.BN.Again(t.pre1, mid, rows, true)
	dpre := t.work.take(len(dy), t.x, dy, mid)
	t.c2.BN.Backward(t.pre2, dy, dpre, rows)
	dmid := t.work.take(len(dy), t.x, dy, mid, dpre)
	t.c2.Lin.Backward(mid, dpre, dmid, 0, t.n)
	t.c1.BN.Backward(t.pre1, dmid, dmid, rows)
	if t.short == nil {
		t.c1.Lin.Backward(t.x, dmid, dy, 1, t.n)
		return dy
	}
	dx := t.work.take(len(t.x), t.x, dy, dmid)
	t.c1.Lin.Backward(t.x, dmid, dx, 0, t.n)
	t.short.BN.Backward(t.preS, dy, dy, rows)
	t.short.Lin.Backward(t.x, dy, dx, 1, t.n)
	return dx
}
