package nn

import "math"

// SelectiveKernelConfig sizes a SelectiveKernel.
type SelectiveKernelConfig struct {
	In, Out   int   // channels
	H, W      int   // size of the maps
	Dilations []int // of the branches
	Groups    int   // of the branches' convolutions, a divisor of Out
	Squeeze   int   // width of the squeezed description
}

// SelectiveKernel is a unit of a selective-kernel network (Li et al. 2019) in
// the form of HPE-Li: a pointwise convolution; branches of different reach;
// their sum, averaged over the second axis, squeezed and expanded to one
// weight per branch, line and channel, a softmax over the branches; the
// branches' weighted sum; batch normalisation and ReLU. There is no shortcut.
type SelectiveKernel[T Float] struct {
	SelectiveKernelConfig

	point    *Unit[T]
	branches *DilatedBranches[T]
	norms    []*BatchNorm[T] // of the branches
	squeeze  *Unit[T]
	expand   *Linear[T]
	norm     *BatchNorm[T]
	first    bool

	b                  int
	pre, f             [][]T // of each branch before and after its normalisation; f becomes its gradient
	mean, dmean        []T   // [b·H, Out]
	z, dz              []T   // [b·H, Squeeze]
	a, da              []T   // [b·H, branches, Out]
	mix, dmix, out, dx []T
	meanF, mixF, dmixF func(lo, hi int)
	spreadF            func(lo, hi int)
}

// NewSelectiveKernel builds a unit; the first of a chain returns no gradient
// of its input.
func NewSelectiveKernel[T Float](s *Store[T], ctx *Context, name string, cfg SelectiveKernelConfig, first bool) *SelectiveKernel[T] {
	t := &SelectiveKernel[T]{SelectiveKernelConfig: cfg, first: first}
	t.point = NewUnit[T](ctx, NewLinear(s, name+".conv1.0", cfg.In, cfg.Out, false), NewBatchNorm(s, ctx, name+".conv1.1", cfg.Out, 1), true)
	t.branches = NewDilatedBranches(s, name+".branches", cfg.Out, cfg.Groups, cfg.H, cfg.W, cfg.Dilations)
	for i := range cfg.Dilations {
		t.norms = append(t.norms, NewBatchNorm(s, ctx, name+".branch_norms."+itoa(i), cfg.Out, 1))
	}
	t.squeeze = NewUnit[T](ctx, NewLinear(s, name+".squeeze.0", cfg.Out, cfg.Squeeze, true), NewBatchNorm(s, ctx, name+".squeeze.1", cfg.Squeeze, 1), true)
	t.expand = NewLinear(s, name+".expand", cfg.Squeeze, len(cfg.Dilations)*cfg.Out, true)
	t.norm = NewBatchNorm(s, ctx, name+".norm", cfg.Out, 1)
	t.f = make([][]T, len(cfg.Dilations))
	t.meanF, t.mixF, t.dmixF, t.spreadF = t.meanRange, t.mixRange, t.dmixRange, t.spreadRange
	return t
}

// OutShape returns height x width x channels.
func (t *SelectiveKernel[T]) OutShape() []int { return []int{t.H, t.W, t.Out} }

// Fold implements Block. Only the small layers gain by folding, so nothing is.
func (t *SelectiveKernel[T]) Fold() {}

// Forward takes b x H x W x In values.
func (t *SelectiveKernel[T]) Forward(x []T, b int) []T {
	t.b = b
	rows, lines := b*t.H*t.W, b*t.H
	t.pre = t.branches.Forward(t.point.Forward(x, rows), b)
	for k, n := range t.norms {
		n.Forward(t.pre[k], grow(&t.f[k], rows*t.Out), rows, true)
	}
	grow(&t.mean, lines*t.Out)
	split(lines, len(t.f)*t.W*t.Out, t.meanF)
	t.z = t.squeeze.Forward(t.mean, lines)
	t.expand.Forward(t.z, grow(&t.a, lines*len(t.f)*t.Out), lines)
	grow(&t.mix, rows*t.Out)
	split(lines, 8*len(t.f)*t.Out, t.mixF)
	t.norm.Forward(t.mix, grow(&t.out, rows*t.Out), rows, true)
	return t.out
}

// line returns line i of a map of every position.
func (t *SelectiveKernel[T]) line(x []T, i int) []T {
	return x[i*t.W*t.Out : (i+1)*t.W*t.Out]
}

func (t *SelectiveKernel[T]) meanRange(lo, hi int) {
	c, by := t.Out, 1/T(t.W)
	for i := lo; i < hi; i++ {
		m := t.mean[i*c : (i+1)*c]
		clear(m)
		for _, f := range t.f {
			line := t.line(f, i)
			for w := range t.W {
				addRow(m, line[w*c:], by)
			}
		}
	}
}

// mixRange turns the expanded rows into weights and adds up the branches.
func (t *SelectiveKernel[T]) mixRange(lo, hi int) {
	c, n := t.Out, len(t.f)
	for i := lo; i < hi; i++ {
		a := t.a[i*n*c : (i+1)*n*c]
		for j := range c {
			top := a[j]
			for k := 1; k < n; k++ {
				top = max(top, a[k*c+j])
			}
			var sum T
			for k := range n {
				e := T(math.Exp(float64(a[k*c+j] - top)))
				a[k*c+j] = e
				sum += e
			}
			for k := range n {
				a[k*c+j] /= sum
			}
		}
		mix := t.line(t.mix, i)
		clear(mix)
		for k, f := range t.f {
			line, ak := t.line(f, i), a[k*c:(k+1)*c]
			for w := range t.W {
				fmaRow(mix[w*c:(w+1)*c], line[w*c:(w+1)*c], ak)
			}
		}
	}
}

// fmaRow adds the products of x and y to dst.
func fmaRow[T Float](dst, x, y []T) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] += x[i] * y[i]
	}
}

// Backward implements Block.
func (t *SelectiveKernel[T]) Backward(dy []T) []T {
	rows, lines := t.b*t.H*t.W, t.b*t.H
	t.norm.Backward(t.mix, dy, dy, rows)
	t.dmix = dy
	grow(&t.da, len(t.a))
	split(lines, 8*len(t.f)*t.Out, t.dmixF)
	t.expand.Backward(t.z, t.da, grow(&t.dz, lines*t.Squeeze), 0, lines)
	t.squeeze.Backward(t.dz, grow(&t.dmean, lines*t.Out), 0)
	split(lines, len(t.f)*t.W*t.Out, t.spreadF)
	for k, n := range t.norms {
		n.Backward(t.pre[k], t.f[k], t.f[k], rows)
	}
	d := t.branches.Backward(t.f)
	if t.first {
		t.point.Backward(d, nil, 0)
		return nil
	}
	dx := grow(&t.dx, rows*t.In)
	t.point.Backward(d, dx, 0)
	return dx
}

// dmixRange writes the gradients of the branches, as far as the weighted sum
// gives one, over the branches, and those of the expanded rows.
func (t *SelectiveKernel[T]) dmixRange(lo, hi int) {
	c, n := t.Out, len(t.f)
	for i := lo; i < hi; i++ {
		a, da, d := t.a[i*n*c:(i+1)*n*c], t.da[i*n*c:(i+1)*n*c], t.line(t.dmix, i)
		clear(da)
		for k := range n {
			line, ak, dak := t.line(t.f[k], i), a[k*c:(k+1)*c], da[k*c:(k+1)*c]
			for w := range t.W {
				f := line[w*c : (w+1)*c]
				for j, v := range d[w*c : (w+1)*c] {
					dak[j] += f[j] * v
					f[j] = ak[j] * v
				}
			}
		}
		for j := range c {
			var mean T
			for k := range n {
				mean += a[k*c+j] * da[k*c+j]
			}
			for k := range n {
				da[k*c+j] = a[k*c+j] * (da[k*c+j] - mean)
			}
		}
	}
}

// spreadRange adds the gradient that reaches the branches through their mean.
func (t *SelectiveKernel[T]) spreadRange(lo, hi int) {
	c, by := t.Out, 1/T(t.W)
	for i := lo; i < hi; i++ {
		m := t.dmean[i*c : (i+1)*c]
		for _, f := range t.f {
			df := t.line(f, i)
			for w := range t.W {
				addRow(df[w*c:(w+1)*c], m, by)
			}
		}
	}
}
