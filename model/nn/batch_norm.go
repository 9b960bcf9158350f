package nn

import (
	"math"

	"posefuse/model/nn/kernel"
)

const (
	bnEps      = 1e-5
	bnMomentum = 0.1
)

// BatchNorm normalises rows per channel, optionally followed by a ReLU. With
// Groups > 1 the rows fall into that many equal consecutive groups, each with
// batch statistics of its own, and the running statistics are updated once per
// group in order: one trunk that runs once per antenna.
type BatchNorm[T Float] struct {
	C, Groups                  int
	Weight, Bias, RunMean, Run *Tensor[T]

	ctx            *Context
	mean, inv      []T // [Groups, C]
	scale, shift   []T // [Groups, C]
	ca, cb, cc     []T // [Groups, C]: dx = ca·dz + cb·x + cc
	part           []T // per chunk: two rows of C
	fold           int // rows handled as one
	wide           []T // [Groups, numFolded, fold·C]
	x, y, dy, dx   []T
	relu           bool
	rows, ch, per  int // rows per group, rows per chunk, chunks per group
	statsF, applyF func(lo, hi int)
	gradF, dxF     func(lo, hi int)
	usedBatch      bool
}

// NewBatchNorm returns a batch normalisation over c channels.
func NewBatchNorm[T Float](s *Store[T], ctx *Context, name string, c, groups int) *BatchNorm[T] {
	b := &BatchNorm[T]{C: c, Groups: groups, ctx: ctx,
		Weight:  s.Tensor(name+".weight", NormWeight, c, c, c),
		Bias:    s.Tensor(name+".bias", NormBias, c, c, c),
		RunMean: s.Tensor(name+".running_mean", RunningMean, c, c, c),
		Run:     s.Tensor(name+".running_var", RunningVar, c, c, c)}
	n := groups * c
	for _, p := range []*[]T{&b.mean, &b.inv, &b.scale, &b.shift, &b.ca, &b.cb, &b.cc} {
		grow(p, n)
	}
	b.fold = foldRows(c)
	if b.fold > 1 {
		b.wide = make([]T, groups*numFolded*b.fold*c)
	}
	b.statsF, b.applyF, b.gradF, b.dxF = b.statsRange, b.applyRange, b.gradRange, b.dxRange
	return b
}

// affine returns the scale and shift of channel c in Eval mode.
func (b *BatchNorm[T]) affine(c int) (scale, shift T) {
	scale = b.Weight.Value[c] / sqrtT(b.Run.Value[c]+bnEps)
	return scale, b.Bias.Value[c] - b.RunMean.Value[c]*scale
}

func (b *BatchNorm[T]) plan(rows int) int {
	b.rows = rows / b.Groups
	b.ch = chunkRows(b.C)
	b.per = (b.rows + b.ch - 1) / b.ch
	return b.per * b.Groups
}

// span returns the group and the rows of chunk k.
func (b *BatchNorm[T]) span(k int) (g, lo, hi int) {
	g = k / b.per
	i := k % b.per
	return g, g*b.rows + i*b.ch, g*b.rows + min((i+1)*b.ch, b.rows)
}

// Forward writes the normalised x to y (which may be x) and applies a ReLU if
// asked.
func (b *BatchNorm[T]) Forward(x, y []T, rows int, relu bool) {
	n := b.plan(rows)
	b.x, b.y, b.relu = x, y, relu
	b.usedBatch = b.ctx.Mode != Eval
	if b.usedBatch {
		grow(&b.part, 2*n*b.C)
		split(n, 2*b.ch*b.C, b.statsF)
		b.combine()
	}
	for g := range b.Groups {
		for c := range b.C {
			i := g*b.C + c
			if !b.usedBatch {
				b.mean[i] = b.RunMean.Value[c]
				b.inv[i] = 1 / sqrtT(b.Run.Value[c]+bnEps)
			}
			b.scale[i] = b.Weight.Value[c] * b.inv[i]
			b.shift[i] = b.Bias.Value[c] - b.mean[i]*b.scale[i]
		}
	}
	b.widen()
	split(n, b.ch*b.C, b.applyF)
}

// Again repeats the last Forward on the same x without changing statistics, to
// compute y anew.
func (b *BatchNorm[T]) Again(x, y []T, rows int, relu bool) {
	n := b.plan(rows)
	b.x, b.y, b.relu = x, y, relu
	b.widen()
	split(n, b.ch*b.C, b.applyF)
}

// statsRange writes the mean and the sum of squared deviations of each chunk.
func (b *BatchNorm[T]) statsRange(klo, khi int) {
	c, f := b.C, b.fold
	var wide [2 * maxFolded]T
	for k := klo; k < khi; k++ {
		_, lo, hi := b.span(k)
		m, q := b.part[2*k*c:(2*k+1)*c], b.part[(2*k+1)*c:(2*k+2)*c]
		n := (hi - lo) / f // rows of f·C values
		if f == 1 || n == 0 {
			kernel.BatchStats(b.x[lo*c:hi*c], m, q, hi-lo)
			continue
		}
		wm, wq := wide[:min(f*c, maxFolded)], wide[maxFolded:][:min(f*c, maxFolded)] // unused if f is 1
		kernel.BatchStats(b.x[lo*c:], wm, wq, n)
		copy(m, wm)
		copy(q, wq)
		for i := 1; i < f; i++ {
			joinStats(m, q, T(i*n), wm[i*c:(i+1)*c], wq[i*c:(i+1)*c], T(n))
		}
		if rest := hi - lo - n*f; rest > 0 {
			kernel.BatchStats(b.x[(hi-rest)*c:], wm[:c], wq[:c], rest)
			joinStats(m, q, T(n*f), wm[:c], wq[:c], T(rest))
		}
	}
}

// joinStats adds the statistics m2, q2 of n2 rows to m, q of n rows.
func joinStats[T Float](m, q []T, n T, m2, q2 []T, n2 T) {
	w := n2 / (n + n2)
	for j := range m {
		d := m2[j] - m[j]
		m[j] += d * w
		q[j] += q2[j] + d*d*n*w
	}
}

// combine joins the chunks' statistics and updates the running ones.
func (b *BatchNorm[T]) combine() {
	c := b.C
	for g := range b.Groups {
		for j := range c {
			var sum float64
			for i := range b.per {
				k := g*b.per + i
				_, lo, hi := b.span(k)
				sum += float64(hi-lo) * float64(b.part[2*k*c+j])
			}
			mean := sum / float64(b.rows)
			var m2 float64
			for i := range b.per {
				k := g*b.per + i
				_, lo, hi := b.span(k)
				d := float64(b.part[2*k*c+j]) - mean
				m2 += float64(b.part[(2*k+1)*c+j]) + float64(hi-lo)*d*d
			}
			v := m2 / float64(b.rows)
			b.mean[g*c+j] = T(mean)
			b.inv[g*c+j] = T(1 / math.Sqrt(v+bnEps))
			if b.ctx.Mode == Train {
				u := v
				if b.rows > 1 {
					u = m2 / float64(b.rows-1)
				}
				b.RunMean.Value[j] = T((1-bnMomentum)*float64(b.RunMean.Value[j]) + bnMomentum*mean)
				b.Run.Value[j] = T((1-bnMomentum)*float64(b.Run.Value[j]) + bnMomentum*u)
			}
		}
	}
}

func (b *BatchNorm[T]) applyRange(klo, khi int) {
	c := b.C
	for k := klo; k < khi; k++ {
		g, lo, hi := b.span(k)
		wide := b.wideColumns(g)
		n := (hi - lo) / b.fold * b.fold
		kernel.ScaleShift(b.x[lo*c:], b.y[lo*c:], wide[foldScale], wide[foldShift], n/b.fold, b.relu)
		lo += n
		kernel.ScaleShift(b.x[lo*c:], b.y[lo*c:], wide[foldScale][:c], wide[foldShift][:c], hi-lo, b.relu)
	}
}

// Backward computes the gradient of the last Forward: x its input, dy the
// output's gradient; it writes dx (which may be dy) and overwrites the
// gradients of weight and bias.
func (b *BatchNorm[T]) Backward(x, dy, dx []T, rows int) {
	n := b.plan(rows)
	b.x, b.dy, b.dx = x, dy, dx
	grow(&b.part, 2*n*b.C)
	split(n, 3*b.ch*b.C, b.gradF)
	c := b.C
	for j := range c {
		var tb, tg float64
		for g := range b.Groups {
			var sb, sg float64
			for i := range b.per {
				k := g*b.per + i
				sb += float64(b.part[2*k*c+j])
				sg += float64(b.part[(2*k+1)*c+j])
			}
			i := g*c + j
			inv := float64(b.inv[i])
			sg *= inv
			tb += sb
			tg += sg
			a := float64(b.Weight.Value[j]) * inv
			b.ca[i] = T(a)
			b.cb[i], b.cc[i] = 0, 0
			if b.usedBatch {
				nn := float64(b.rows)
				cb := -a * inv * sg / nn
				b.cb[i] = T(cb)
				b.cc[i] = T(-a*sb/nn - cb*float64(b.mean[i]))
			}
		}
		b.Bias.Grad[j] = T(tb)
		b.Weight.Grad[j] = T(tg)
	}
	b.widen()
	split(n, 2*b.ch*c, b.dxF)
}

// gradRange sums dz and dz·(x - mean) per chunk, dz being dy behind the ReLU.
func (b *BatchNorm[T]) gradRange(klo, khi int) {
	c, f := b.C, b.fold
	var wide [2 * maxFolded]T
	ws, wq := wide[:min(f*c, maxFolded)], wide[maxFolded:][:min(f*c, maxFolded)] // unused if f is 1
	for k := klo; k < khi; k++ {
		g, lo, hi := b.span(k)
		s, q := b.part[2*k*c:(2*k+1)*c], b.part[(2*k+1)*c:(2*k+2)*c]
		cols := b.wideColumns(g)
		norm := kernel.Norm[T]{Mean: cols[foldMean], Scale: cols[foldScale], Shift: cols[foldShift], ReLU: b.relu}
		n := (hi - lo) / f
		if f == 1 {
			norm.GradSums(b.x[lo*c:], b.dy[lo*c:], s, q, n)
			continue
		}
		clear(s)
		clear(q)
		if n > 0 {
			norm.GradSums(b.x[lo*c:], b.dy[lo*c:], ws, wq, n)
			for i := range ws {
				s[i%c] += ws[i]
				q[i%c] += wq[i]
			}
		}
		if lo += n * f; lo < hi {
			norm.GradSums(b.x[lo*c:], b.dy[lo*c:], ws[:c], wq[:c], hi-lo)
			for i := range s {
				s[i] += ws[i]
				q[i] += wq[i]
			}
		}
	}
}

func (b *BatchNorm[T]) dxRange(klo, khi int) {
	c := b.C
	for k := klo; k < khi; k++ {
		g, lo, hi := b.span(k)
		cols := b.wideColumns(g)
		norm := kernel.Norm[T]{Mean: cols[foldMean], Scale: cols[foldScale], Shift: cols[foldShift], ReLU: b.relu}
		ca, cb, cc := cols[foldA], cols[foldB], cols[foldC]
		if n := (hi - lo) / b.fold; n > 0 {
			norm.GradInput(b.x[lo*c:], b.dy[lo*c:], b.dx[lo*c:], ca, cb, cc, n)
			lo += n * b.fold
		}
		if lo < hi {
			norm.GradInput(b.x[lo*c:], b.dy[lo*c:], b.dx[lo*c:], ca[:c], cb[:c], cc[:c], hi-lo)
		}
	}
}

// The rows of wide, which repeat the columns' constants fold times.
const (
	foldMean = iota
	foldScale
	foldShift
	foldA
	foldB
	foldC
	numFolded
)

// maxFolded is the widest row that several narrow ones make up: 15 of 16.
const maxFolded = 240

// foldRows returns how many rows of c channels to treat as one, so that
// vectors of 16 values are full: 1 from 16 channels on.
func foldRows(c int) int {
	f := 1
	if c < 16 {
		for f*c%16 != 0 {
			f++
		}
	}
	return f
}

// widen repeats the constants of every group for rows of fold·C values.
func (b *BatchNorm[T]) widen() {
	if b.fold == 1 {
		return
	}
	c := b.C
	for g := range b.Groups {
		for i, src := range [numFolded][]T{b.mean, b.scale, b.shift, b.ca, b.cb, b.cc} {
			dst := b.wide[(g*numFolded+i)*b.fold*c:][:b.fold*c]
			fillRows(dst, src[g*c:(g+1)*c])
		}
	}
}

// wideColumns returns the constants of group g for rows of fold·C values.
func (b *BatchNorm[T]) wideColumns(g int) (w [numFolded][]T) {
	c := b.C
	for i, src := range [numFolded][]T{b.mean, b.scale, b.shift, b.ca, b.cb, b.cc} {
		if b.fold == 1 {
			w[i] = src[g*c : (g+1)*c]
			continue
		}
		w[i] = b.wide[(g*numFolded+i)*b.fold*c:][:b.fold*c]
	}
	return w
}
