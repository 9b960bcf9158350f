package kernel

// BatchStats writes the mean of each of len(mean) columns over the rows of x
// (at least one), and the sum of squared deviations from it.
func BatchStats[T Float](x, mean, sq []T, rows int) {
	c := len(mean)
	x, sq = x[:rows*c], sq[:c]
	f := 1 / T(rows)
	if v := vectors[T](c); v != nil {
		v.stats(rows, c, float32(f), ptr(x), ptr(mean), ptr(sq))
		return
	}
	ColumnSums(x, mean, rows)
	for j := range mean {
		mean[j] *= f
	}
	clear(sq)
	for r := range rows {
		row := x[r*c : (r+1)*c]
		row = row[:len(mean)]
		for j, v := range row {
			d := v - mean[j]
			sq[j] += d * d
		}
	}
}

// ColumnSums writes the sum of each of len(sum) columns over the rows of x, at
// least one.
func ColumnSums[T Float](x, sum []T, rows int) {
	c := len(sum)
	x = x[:rows*c]
	if v := vectors[T](c); v != nil {
		v.colsum(rows, c, ptr(x), ptr(sum))
		return
	}
	clear(sum)
	for r := range rows {
		row := x[r*c : (r+1)*c]
		row = row[:len(sum)]
		for j, v := range row {
			sum[j] += v
		}
	}
}

// ScaleShift writes y = x*scale + shift per column, at least 0 with relu; y may
// be x.
func ScaleShift[T Float](x, y, scale, shift []T, rows int, relu bool) {
	c := len(scale)
	x, y, shift = x[:rows*c], y[:rows*c], shift[:c]
	if v := vectors[T](c); v != nil && rows > 0 {
		v.apply(rows, c, ptr(x), ptr(y), ptr(scale), ptr(shift), flag(relu))
		return
	}
	for r := range rows {
		xr, yr := x[r*c:(r+1)*c], y[r*c:(r+1)*c]
		xr, yr = xr[:len(scale)], yr[:len(scale)]
		if relu {
			for j, s := range scale {
				yr[j] = max(xr[j]*s+shift[j], 0)
			}
		} else {
			for j, s := range scale {
				yr[j] = xr[j]*s + shift[j]
			}
		}
	}
}

// Norm holds what the backward pass of a batch normalisation needs to know per
// column: what ScaleShift used, and the mean.
type Norm[T Float] struct {
	Mean, Scale, Shift []T
	ReLU               bool
}

// behind returns dy, or 0 where the ReLU was closed.
func (n *Norm[T]) behind(j int, x, dy T) T {
	if !n.ReLU || x*n.Scale[j]+n.Shift[j] > 0 {
		return dy
	}
	return 0
}

// GradSums writes per column the sums over the rows of d and of d*(x - mean),
// where d is dy behind the ReLU.
func (n *Norm[T]) GradSums(x, dy, s, q []T, rows int) {
	c := len(s)
	x, dy, q = x[:rows*c], dy[:rows*c], q[:c]
	if v := vectors[T](c); v != nil {
		v.normgrad(rows, c, ptr(x), ptr(dy), ptr(n.Mean[:c]), ptr(n.Scale[:c]), ptr(n.Shift[:c]), ptr(s), ptr(q), flag(n.ReLU))
		return
	}
	clear(s)
	clear(q)
	for r := range rows {
		for j := range c {
			xv := x[r*c+j]
			d := n.behind(j, xv, dy[r*c+j])
			s[j] += d
			q[j] += d * (xv - n.Mean[j])
		}
	}
}

// GradInput writes dx = ca*d + cb*x + cc per column, with d as in GradSums; dx
// may be dy.
func (n *Norm[T]) GradInput(x, dy, dx, ca, cb, cc []T, rows int) {
	c := len(ca)
	x, dy, dx = x[:rows*c], dy[:rows*c], dx[:rows*c]
	if v := vectors[T](c); v != nil {
		v.normdx(rows, c, ptr(x), ptr(dy), ptr(dx), ptr(n.Scale[:c]), ptr(n.Shift[:c]), ptr(ca), ptr(cb[:c]), ptr(cc[:c]), flag(n.ReLU))
		return
	}
	for r := range rows {
		for j := range c {
			xv := x[r*c+j]
			dx[r*c+j] = ca[j]*n.behind(j, xv, dy[r*c+j]) + cb[j]*xv + cc[j]
		}
	}
}
