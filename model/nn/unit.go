package nn

// affine is the linear part of a Unit: Linear or Conv2d.
type affine[T Float] interface {
	Forward(x, y []T, n int)
	Backward(x, dy, dx []T, beta T, n int)
	fold(bn *BatchNorm[T])
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
	reluF       func(lo, hi int)
}

// NewUnit joins lin and bn.
func NewUnit[T Float](ctx *Context, lin affine[T], bn *BatchNorm[T], relu bool) *Unit[T] {
	u := &Unit[T]{Lin: lin, BN: bn, ReLU: relu, ctx: ctx}
	u.reluF = u.reluRange
	return u
}

// Forward computes the unit for n rows (or images); the result belongs to it.
func (u *Unit[T]) Forward(x []T, n int) []T {
	rows := u.Lin.outRows(n)
	u.x, u.n = x, n
	out := grow(&u.out, rows*u.BN.C)
	if u.folded && u.ctx.Mode == Eval {
		if l, ok := u.Lin.(*Linear[T]); ok {
			l.forwardFolded(x, out, n, u.ReLU)
			return out
		}
		u.Lin.Forward(x, out, n)
		if u.ReLU {
			split(len(out), 1, u.reluF)
		}
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
	u.BN.Backward(u.pre, u.out, dy, dy, rows)
	u.Lin.Backward(u.x, dy, dx, beta, u.n)
}

// Fold prepares Eval.
func (u *Unit[T]) Fold() {
	u.Lin.fold(u.BN)
	u.folded = true
}

func (u *Unit[T]) reluRange(lo, hi int) {
	s := u.out[lo:hi]
	for i, v := range s {
		s[i] = max(v, 0)
	}
}
