package nn

import "posefuse/model/nn/kernel"

// TransitionDown is the point transformer's downsampling: farthest points,
// nearest neighbours in the previous level, linear layer on [p_j - p_i, x_j],
// batch normalisation, ReLU, maximum over the neighbours. The linear layer is
// applied once per source point, u_j = W·[p_j, x_j], and the centre's part
// W_p·p_i subtracted, which is the same sum with a quarter of the work.
//
// A first stage (stride 1) is linear, batch normalisation and ReLU per point.
type TransitionDown[T Float] struct {
	Cin, Cout int

	geo       *Pyramid[T]
	level     int
	first     bool
	unit      *Unit[T] // stride 1
	lin       *Linear[T]
	bn        *BatchNorm[T]
	ctx       *Context
	src, u    []T // [b, N, 3+Cin], [b, N, Cout]
	cen       []T // [b, m, Cout]
	pre, act  []T // [b, m, k, Cout], act in the pyramid's work memory
	out       []T
	arg       []int32
	dpre, du  []T
	dsrc, dcn []T
	dx        []T
	gp        []T // [Cout, 3]
	b         int
	dy        []T
	x         []T
	packF     func(lo, hi int)
	mixF      func(lo, hi int)
	maxF      func(lo, hi int)
	backF     func(lo, hi int)

	folded *foldedTransition[T] // nil before Fold
	downF  func(lo, hi int)
}

// foldedTransition is what Fold makes: shared by instances of a frozen network.
type foldedTransition[T Float] struct {
	p, x kernel.PackedB[T] // position and feature weights, normalisation folded in
	c    []T               // minus the normalisation's shift
}

// NewTransitionDown builds the transition into geo's level; the first stage of
// a network computes the pyramid from its input and returns no input gradient.
func NewTransitionDown[T Float](s *Store[T], ctx *Context, name string, geo *Pyramid[T], level, cin, cout int, first bool) *TransitionDown[T] {
	t := &TransitionDown[T]{Cin: cin, Cout: cout, geo: geo, level: level, first: first, ctx: ctx}
	if geo.Levels[level].DownK == 0 {
		t.lin = NewLinear(s, name+".linear", cin, cout, false)
		t.unit = NewUnit(ctx, t.lin, NewBatchNorm(s, ctx, name+".bn", cout, 1), true)
		return t
	}
	t.lin = NewLinear(s, name+".linear", 3+cin, cout, false)
	t.bn = NewBatchNorm(s, ctx, name+".bn", cout, 1)
	t.packF, t.mixF, t.maxF, t.backF = t.packRange, t.mixRange, t.maxRange, t.backRange
	return t
}

// OutShape returns points x channels.
func (t *TransitionDown[T]) OutShape() []int { return []int{t.geo.Levels[t.level].N, t.Cout} }

// Fold prepares Eval.
func (t *TransitionDown[T]) Fold() {
	if t.unit != nil {
		t.unit.Fold()
		return
	}
	t.folded = Derived(t.lin.Weight, "transition", t.foldWeights)
	t.downF = t.downRange
}

func (t *TransitionDown[T]) foldWeights() *foldedTransition[T] {
	c, w := t.Cout, 3+t.Cin
	scaled := make([]T, c*w)
	f := &foldedTransition[T]{c: make([]T, c)}
	for j := range c {
		scale, shift := t.bn.affine(j)
		f.c[j] = -shift
		for i, v := range t.lin.Weight.Value[j*w : (j+1)*w] {
			scaled[j*w+i] = scale * v
		}
	}
	f.p.PackB(true, 3, c, scaled, w)
	f.x.PackB(true, t.Cin, c, scaled[3:], w)
	return f
}

// infer computes max(ReLU(u_j - c_i)) as ReLU(max(u_j) - c_i).
func (t *TransitionDown[T]) infer(x []T, b int) []T {
	l, p := t.geo.Levels[t.level], t.geo.Levels[t.level-1]
	c := t.Cout
	grow(&t.u, b*p.N*c)
	grow(&t.cen, b*l.N*c)
	grow(&t.out, b*l.N*c)
	kernel.GemmPacked(b*p.N, p.P, 3, &t.folded.p, 0, t.u, c, kernel.Epilogue[T]{})
	kernel.GemmPacked(b*p.N, x, t.Cin, &t.folded.x, 1, t.u, c, kernel.Epilogue[T]{})
	kernel.GemmPacked(b*l.N, l.P, 3, &t.folded.p, 0, t.cen, c, kernel.Epilogue[T]{Bias: t.folded.c})
	split(b*l.N, l.DownK*c, t.downF)
	return t.out
}

func (t *TransitionDown[T]) downRange(lo, hi int) {
	l, p := t.geo.Levels[t.level], t.geo.Levels[t.level-1]
	c := t.Cout
	for i := lo; i < hi; i++ {
		u := t.u[i/l.N*p.N*c:][:p.N*c]
		kernel.GatherMax(l.Down[i*l.DownK:(i+1)*l.DownK], u, t.cen[i*c:(i+1)*c], t.out[i*c:(i+1)*c])
	}
}

// Forward takes b x points x Cin values.
func (t *TransitionDown[T]) Forward(x []T, b int) []T {
	l := t.geo.Levels[t.level]
	if t.first {
		t.geo.Compute(x, t.Cin, b)
	}
	if t.unit != nil {
		return t.unit.Forward(x, b*l.N)
	}
	if t.folded != nil && t.ctx.Mode == Eval {
		return t.infer(x, b)
	}
	p := t.geo.Levels[t.level-1]
	w := 3 + t.Cin
	t.b, t.x = b, x
	grow(&t.src, b*p.N*w)
	grow(&t.u, b*p.N*t.Cout)
	grow(&t.cen, b*l.N*t.Cout)
	rows := b * l.N * l.DownK
	grow(&t.pre, rows*t.Cout)
	t.act = grow(&t.geo.work.a, rows*t.Cout)
	grow(&t.out, b*l.N*t.Cout)
	growIndex(&t.arg, b*l.N*t.Cout)
	split(b, p.N*w, t.packF)
	t.lin.Forward(t.src, t.u, b*p.N)
	kernel.Gemm(false, true, b*l.N, t.Cout, 3, 1, l.P, 3, t.lin.Weight.Value, w, 0, t.cen, t.Cout)
	split(b, l.N*l.DownK*t.Cout, t.mixF)
	t.bn.Forward(t.pre, t.act, rows, true)
	split(b, l.N*l.DownK*t.Cout, t.maxF)
	return t.out
}

func (t *TransitionDown[T]) packRange(lo, hi int) {
	p := t.geo.Levels[t.level-1]
	w := 3 + t.Cin
	for r := lo * p.N; r < hi*p.N; r++ {
		copy(t.src[r*w:r*w+3], p.P[r*3:r*3+3])
		copy(t.src[r*w+3:(r+1)*w], t.x[r*t.Cin:(r+1)*t.Cin])
	}
}

func (t *TransitionDown[T]) mixRange(lo, hi int) {
	l, p := t.geo.Levels[t.level], t.geo.Levels[t.level-1]
	c := t.Cout
	for s := lo; s < hi; s++ {
		u := t.u[s*p.N*c : (s+1)*p.N*c]
		for i := s * l.N; i < (s+1)*l.N; i++ {
			r := i * l.DownK
			kernel.Mix(l.Down[r:r+l.DownK], u, t.cen[i*c:(i+1)*c], nil, t.pre[r*c:])
		}
	}
}

func (t *TransitionDown[T]) maxRange(lo, hi int) {
	l := t.geo.Levels[t.level]
	c := t.Cout
	for i := lo * l.N; i < hi*l.N; i++ {
		kernel.RowMax(t.act[i*l.DownK*c:], l.DownK, t.out[i*c:(i+1)*c], t.arg[i*c:(i+1)*c])
	}
}

// Backward implements Block.
func (t *TransitionDown[T]) Backward(dy []T) []T {
	l := t.geo.Levels[t.level]
	if t.unit != nil {
		if t.first {
			t.unit.Backward(dy, nil, 0)
			return nil
		}
		dx := grow(&t.dx, t.unit.n*t.Cin)
		t.unit.Backward(dy, dx, 0)
		return dx
	}
	p := t.geo.Levels[t.level-1]
	c, w := t.Cout, 3+t.Cin
	rows := t.b * l.N * l.DownK
	t.dy = dy
	t.dpre = grow(&t.geo.work.a, rows*c)
	clear(t.dpre)
	for i := range t.b * l.N {
		for ch, n := range t.arg[i*c : (i+1)*c] {
			t.dpre[(i*l.DownK+int(n))*c+ch] = dy[i*c+ch]
		}
	}
	t.bn.Backward(t.pre, t.dpre, t.dpre, rows)
	grow(&t.du, t.b*p.N*c)
	grow(&t.dcn, t.b*l.N*c)
	split(t.b, l.N*l.DownK*c, t.backF)
	var dsrc []T
	if !t.first {
		dsrc = grow(&t.dsrc, t.b*p.N*w)
	}
	t.lin.Backward(t.src, t.du, dsrc, 0, t.b*p.N)
	gp := grow(&t.gp, c*3)
	kernel.Gemm(true, false, c, 3, t.b*l.N, 1, t.dcn, c, l.P, 3, 0, gp, 3)
	for o := range c {
		for d := range 3 {
			t.lin.Weight.Grad[o*w+d] -= gp[o*3+d]
		}
	}
	if t.first {
		return nil
	}
	dx := grow(&t.dx, t.b*p.N*t.Cin)
	for r := range t.b * p.N {
		copy(dx[r*t.Cin:(r+1)*t.Cin], dsrc[r*w+3:(r+1)*w])
	}
	return dx
}

// backRange sends the rows' gradients to the source points and the centres.
func (t *TransitionDown[T]) backRange(lo, hi int) {
	l, p := t.geo.Levels[t.level], t.geo.Levels[t.level-1]
	c := t.Cout
	for s := lo; s < hi; s++ {
		du := t.du[s*p.N*c : (s+1)*p.N*c]
		clear(du)
		for i := s * l.N; i < (s+1)*l.N; i++ {
			r := i * l.DownK
			kernel.Scatter(l.Down[r:r+l.DownK], du, nil, t.dpre[r*c:], t.dcn[i*c:(i+1)*c])
		}
	}
}
