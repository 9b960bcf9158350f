package nn

import "math"

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
	split(n, b.ch*b.C, b.applyF)
}

// statsRange writes the mean and the sum of squared deviations of each chunk.
func (b *BatchNorm[T]) statsRange(klo, khi int) {
	c := b.C
	for k := klo; k < khi; k++ {
		_, lo, hi := b.span(k)
		m, q := b.part[2*k*c:(2*k+1)*c], b.part[(2*k+1)*c:(2*k+2)*c]
		clear(m)
		clear(q)
		for r := lo; r < hi; r++ {
			row := b.x[r*c : (r+1)*c]
			row = row[:len(m)]
			for j, v := range row {
				m[j] += v
			}
		}
		f := 1 / T(hi-lo)
		for j := range m {
			m[j] *= f
		}
		q = q[:len(m)]
		for r := lo; r < hi; r++ {
			row := b.x[r*c : (r+1)*c]
			row = row[:len(m)]
			for j, v := range row {
				d := v - m[j]
				q[j] += d * d
			}
		}
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
		sc := b.scale[g*c : (g+1)*c]
		sh := b.shift[g*c : (g+1)*c]
		sh = sh[:len(sc)]
		for r := lo; r < hi; r++ {
			xr, yr := b.x[r*c:(r+1)*c], b.y[r*c:(r+1)*c]
			xr, yr = xr[:len(sc)], yr[:len(sc)]
			if b.relu {
				for j, s := range sc {
					yr[j] = max(xr[j]*s+sh[j], 0)
				}
			} else {
				for j, s := range sc {
					yr[j] = xr[j]*s + sh[j]
				}
			}
		}
	}
}

// Backward computes the gradient of the last Forward: x its input, y its
// output (read only for the ReLU), dy the output's gradient; it writes dx
// (which may be dy) and overwrites the gradients of weight and bias.
func (b *BatchNorm[T]) Backward(x, y, dy, dx []T, rows int) {
	n := b.plan(rows)
	b.x, b.y, b.dy, b.dx = x, y, dy, dx
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
	split(n, 2*b.ch*c, b.dxF)
}

// gradRange sums dz and dz·(x - mean) per chunk, dz being dy behind the ReLU.
func (b *BatchNorm[T]) gradRange(klo, khi int) {
	c := b.C
	for k := klo; k < khi; k++ {
		g, lo, hi := b.span(k)
		s, q := b.part[2*k*c:(2*k+1)*c], b.part[(2*k+1)*c:(2*k+2)*c]
		clear(s)
		clear(q)
		q = q[:len(s)]
		mean := b.mean[g*c : (g+1)*c]
		mean = mean[:len(s)]
		for r := lo; r < hi; r++ {
			xr, dr := b.x[r*c:(r+1)*c], b.dy[r*c:(r+1)*c]
			xr, dr = xr[:len(s)], dr[:len(s)]
			if b.relu {
				yr := b.y[r*c : (r+1)*c]
				yr = yr[:len(s)]
				for j, d := range dr {
					d *= step(yr[j])
					dr[j] = d
					s[j] += d
					q[j] += d * (xr[j] - mean[j])
				}
			} else {
				for j, d := range dr {
					s[j] += d
					q[j] += d * (xr[j] - mean[j])
				}
			}
		}
	}
}

// dxRange relies on gradRange having put the ReLU's mask into dy.
func (b *BatchNorm[T]) dxRange(klo, khi int) {
	c := b.C
	for k := klo; k < khi; k++ {
		g, lo, hi := b.span(k)
		ca, cb, cc := b.ca[g*c:(g+1)*c], b.cb[g*c:(g+1)*c], b.cc[g*c:(g+1)*c]
		cb, cc = cb[:len(ca)], cc[:len(ca)]
		for r := lo; r < hi; r++ {
			xr, dr, or := b.x[r*c:(r+1)*c], b.dy[r*c:(r+1)*c], b.dx[r*c:(r+1)*c]
			xr, dr, or = xr[:len(ca)], dr[:len(ca)], or[:len(ca)]
			for j, a := range ca {
				or[j] = a*dr[j] + cb[j]*xr[j] + cc[j]
			}
		}
	}
}
