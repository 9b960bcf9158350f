package nn

import "posefuse/model/nn/kernel"

// Linear is y = x·Wᵀ + b on rows. With Taps > 1 it is a temporal convolution
// whose stride equals its kernel size: a row is Taps consecutive positions of
// In channels, and the weight is stored as [Out, In, Taps].
type Linear[T Float] struct {
	In, Out, Taps int
	Weight, Bias  *Tensor[T] // Bias may be nil

	folded kernel.PackedB[T] // [Taps·In, Out] of inference
	foldB  []T               // [Out] of inference, nil for none
	xp, dp []T               // x and dx as [rows, In, Taps], the weight's order
	spent  bool              // xp holds a gradient
	sum    colSum[T]
	low    *lowLinear // of inference in low precision
}

// NewLinear returns a linear layer; the weight is named name.weight.
func NewLinear[T Float](s *Store[T], name string, in, out int, bias bool) *Linear[T] {
	l := &Linear[T]{In: in, Out: out, Taps: 1, Weight: s.Tensor(name+".weight", Weight, in, out, out, in)}
	if bias {
		l.Bias = s.Tensor(name+".bias", Bias, in, out, out)
	}
	l.sum.init()
	return l
}

// NewStridedConv1d returns a bias-free temporal convolution whose stride is its
// kernel size.
func NewStridedConv1d[T Float](s *Store[T], name string, in, out, taps int) *Linear[T] {
	l := &Linear[T]{In: in, Out: out, Taps: taps,
		Weight: s.Tensor(name+".weight", Weight, in*taps, out*taps, out, in, taps)}
	l.sum.init()
	return l
}

func (l *Linear[T]) width() int { return l.In * l.Taps }

// aligned returns x in the order of the weight's columns. With several taps
// the rows are turned, not the weight: they are fewer.
func (l *Linear[T]) aligned(x []T, rows int) []T {
	if l.Taps == 1 {
		return x
	}
	p := grow(&l.xp, rows*l.width())
	permuteTaps(p, x, rows, l.Taps, l.In)
	l.spent = false
	return p
}

// permuteTaps writes [o][i][t] as [o][t][i].
func permuteTaps[T Float](dst, src []T, o, in, taps int) {
	for k := range o {
		d, s := dst[k*in*taps:(k+1)*in*taps], src[k*in*taps:(k+1)*in*taps]
		for i := range in {
			for t := range taps {
				d[t*in+i] = s[i*taps+t]
			}
		}
	}
}

// Forward computes rows of y.
func (l *Linear[T]) Forward(x, y []T, rows int) {
	if l.low != nil {
		x32, _ := any(x).([]float32)
		y32, _ := any(y).([]float32)
		l.low.forward(x32, y32, rows)
		return
	}
	if l.folded.Filled() {
		l.forwardFolded(x, y, rows, false)
		return
	}
	k := l.width()
	var beta T
	if l.Bias != nil {
		beta = 1
		fillRows(y[:rows*l.Out], l.Bias.Value)
	}
	kernel.Gemm(false, true, rows, l.Out, k, 1, l.aligned(x, rows), k, l.Weight.Value, k, beta, y, l.Out)
}

// forwardFolded computes rows of y with the weights that fold prepared.
func (l *Linear[T]) forwardFolded(x, y []T, rows int, relu bool) {
	k := l.width()
	kernel.GemmPacked(rows, x, k, &l.folded, 0, y, l.Out, kernel.Epilogue[T]{Bias: l.foldB, ReLU: relu})
}

// forwardAdd is forwardFolded of the sum with add, which has the shape of y.
func (l *Linear[T]) forwardAdd(x, y, add []T, rows int, relu bool) {
	kernel.GemmPacked(rows, x, l.width(), &l.folded, 0, y, l.Out, kernel.Epilogue[T]{Bias: l.foldB, Add: add, LdAdd: l.Out, ReLU: relu})
}

func fillRows[T Float](y, row []T) {
	if len(y) == 0 {
		return
	}
	n := copy(y, row)
	for n < len(y) {
		n += copy(y[n:], y[:n])
	}
}

// Backward overwrites the parameter gradients and, unless dx is nil, writes
// dx = beta·dx + dy·W. x must be that of the last Forward.
func (l *Linear[T]) Backward(x, dy, dx []T, beta T, rows int) {
	k := l.width()
	switch {
	case l.Taps == 1:
	case l.spent:
		x = l.aligned(x, rows)
	default:
		x = l.xp
	}
	kernel.Gemm(true, false, l.Out, k, rows, 1, dy, l.Out, x, k, 0, l.Weight.Grad, k)
	if l.Bias != nil {
		l.sum.run(dy, l.Bias.Grad, rows)
	}
	switch {
	case dx == nil:
	case l.Taps == 1:
		kernel.Gemm(false, false, rows, k, l.Out, 1, dy, l.Out, l.Weight.Value, k, beta, dx, k)
	default:
		// The turned rows of the forward pass have done their work.
		dp := l.xp
		l.spent = true
		kernel.Gemm(false, false, rows, k, l.Out, 1, dy, l.Out, l.Weight.Value, k, 0, dp, k)
		turned := dx
		if beta != 0 {
			turned = grow(&l.dp, rows*k)
		}
		permuteTaps(turned, dp, rows, l.In, l.Taps)
		if beta != 0 {
			for i, v := range turned {
				dx[i] = beta*dx[i] + v
			}
		}
	}
}

// fold sets the weights that Forward uses from now on: scale·W and
// scale·b + shift per output, or a copy without bn.
func (l *Linear[T]) fold(bn *BatchNorm[T]) {
	if l.low != nil {
		l.foldLow()
		return
	}
	f := Derived(l.Weight, "linear", func() foldedLinear[T] {
		f := foldedLinear[T]{l.folded, l.foldB}
		var bias, w []T
		if l.Bias != nil {
			bias = l.Bias.Value
		}
		weight := l.Weight.Value
		if l.Taps > 1 {
			weight = make([]T, len(weight))
			permuteTaps(weight, l.Weight.Value, l.Out, l.In, l.Taps)
		}
		foldInto(&w, &f.b, weight, bias, l.Out, bn)
		f.w.PackB(false, l.width(), l.Out, w, l.Out)
		return f
	})
	l.folded, l.foldB = f.w, f.b
}

// foldedLinear is what fold makes: shared by instances of a frozen network.
type foldedLinear[T Float] struct {
	w kernel.PackedB[T]
	b []T
}

// foldInto folds bn (if any) into the weight [out, k] and the bias (if any).
// The result is laid out [k, out], the order in which the kernel reads it.
func foldInto[T Float](foldW, foldB *[]T, weight, bias []T, out int, bn *BatchNorm[T]) {
	k := len(weight) / out
	w := grow(foldW, len(weight))
	if bn != nil || bias != nil {
		copy(grow(foldB, out), bias)
	}
	for o := range out {
		scale := T(1)
		if bn != nil {
			var shift T
			scale, shift = bn.affine(o)
			if bias == nil {
				(*foldB)[o] = shift
			} else {
				(*foldB)[o] = bias[o]*scale + shift
			}
		}
		for i, v := range weight[o*k : (o+1)*k] {
			w[i*out+o] = v * scale
		}
	}
}

// colSum adds up columns in chunks of fixed size, so that the result does not
// depend on the number of threads.
type colSum[T Float] struct {
	x           []T
	part        []T
	rows, c, ch int
	fn          func(lo, hi int)
}

func (s *colSum[T]) init() { s.fn = s.chunks }

func (s *colSum[T]) run(x, dst []T, rows int) {
	s.x, s.rows, s.c = x, rows, len(dst)
	s.ch = chunkRows(s.c)
	n := (rows + s.ch - 1) / s.ch
	grow(&s.part, n*s.c)
	split(n, s.ch*s.c, s.fn)
	for j := range dst {
		var a float64
		for k := range n {
			a += float64(s.part[k*s.c+j])
		}
		dst[j] = T(a)
	}
}

func (s *colSum[T]) chunks(lo, hi int) {
	for k := lo; k < hi; k++ {
		from, to := k*s.ch, min((k+1)*s.ch, s.rows)
		kernel.ColumnSums(s.x[from*s.c:to*s.c], s.part[k*s.c:(k+1)*s.c], to-from)
	}
}
