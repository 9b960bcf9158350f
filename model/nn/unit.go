package nn

// affine is the linear part of a Unit: Linear or Conv2d.
type affine[T Float] interface {
	Forward(x, y []T, n int)
	Backward(x, dy, dx []T, beta T, n int)
	fold(bn *BatchNorm[T])
	// forwardFolded computes with the weights that fold prepared.
	forwardFolded(x, y []T, n int, relu bool)
	outRows(n int) int // rows of the output for n rows or images of input
}

func (l *Linear[T]) outRows(n int) int { return n }

// Unit is a linear layer or convolution, batch normalisation, optional ReLU
// and optional dropout.
type Unit[T Float] struct {
	Lin  affine[T]
	BN   *BatchNorm[T]
	ReLU bool
	Drop *Dropout[T] // nil without

	ctx         *Context
	folded      bool
	x, pre, out []T
	n           int
}

// NewUnit joins lin and bn.
func NewUnit[T Float](ctx *Context, lin affine[T], bn *BatchNorm[T], relu bool) *Unit[T] {
	return &Unit[T]{Lin: lin, BN: bn, ReLU: relu, ctx: ctx}
}

// Forward computes the unit for n rows (or images); the result belongs to it.
func (u *Unit[T]) Forward(x []T, n int) []T {
	rows := u.Lin.outRows(n)
	u.x, u.n = x, n
	out := grow(&u.out, rows*u.BN.C)
	if u.folded && u.ctx.Mode == Eval {
		u.Lin.forwardFolded(x, out, n, u.ReLU)
		return out
	}
	pre := grow(&u.pre, rows*u.BN.C)
	u.Lin.Forward(x, pre, n)
	u.BN.Forward(pre, out, rows, u.ReLU)
	if u.Drop != nil {
		u.Drop.Forward(out)
	}
	return out
}

// Backward overwrites dy and, unless dx is nil, writes dx = beta·dx + gradient.
func (u *Unit[T]) Backward(dy, dx []T, beta T) {
	rows := u.Lin.outRows(u.n)
	if u.Drop != nil {
		u.Drop.Backward(dy)
	}
	u.BN.Backward(u.pre, dy, dy, rows)
	u.Lin.Backward(u.x, dy, dx, beta, u.n)
}

// Fold prepares Eval.
func (u *Unit[T]) Fold() {
	u.Lin.fold(u.BN)
	u.folded = true
}
