package kernel

// WeightWidth returns how wide the rows of attention weights are that Attend
// and AttendPositions want for groups of cs channels: the weights repeated to
// a whole number of vectors.
func WeightWidth(cs int) int {
	if cs%16 == 0 {
		return cs
	}
	e := cs
	for e%16 != 0 {
		e += cs
	}
	return e
}

// checkGather panics if an index is outside a table of rows of c values.
func checkGather[T Float](idx []int32, table []T, c int) {
	rows := uint32(len(table) / c)
	for _, j := range idx {
		if uint32(j) >= rows {
			panic("kernel: index outside the table")
		}
	}
}

// SoftmaxColumns takes the softmax of each of c columns over the k rows of x
// in place, k at least 1. Unless h is nil, hs [3, c] receives the sums over the
// rows of x times each of the three columns of h [k, 3].
func SoftmaxColumns[T Float](x []T, k, c int, h, hs []T) {
	x = x[:k*c]
	if h != nil {
		h, hs = h[:3*k], hs[:3*c]
	}
	if v := vectors[T](c); v != nil {
		v.softcols(k, c, ptr(x), ptr(h), ptr(hs))
		return
	}
	var tops, sums [64]T
	for lo := 0; lo < c; lo += len(tops) {
		w := min(len(tops), c-lo)
		top, sum := tops[:w], sums[:w]
		copy(top, x[lo:])
		clear(sum)
		for n := 1; n < k; n++ {
			for j, v := range x[n*c+lo : n*c+lo+w] {
				top[j] = max(top[j], v)
			}
		}
		for n := range k {
			row := x[n*c+lo : n*c+lo+w]
			for j := range row {
				row[j] -= top[j]
			}
			ExpRow(row, row, 0)
			for j, v := range row {
				sum[j] += v
			}
		}
		for j := range sum {
			sum[j] = 1 / sum[j]
		}
		for n := range k {
			for j := range sum {
				x[n*c+lo+j] *= sum[j]
			}
		}
	}
	if h == nil {
		return
	}
	clear(hs)
	for n := range k {
		for d := range 3 {
			for j, w := range x[n*c : (n+1)*c] {
				hs[d*c+j] += w * h[3*n+d]
			}
		}
	}
}

// SoftmaxColumnsGrad turns dy, the gradient of the softmax y of SoftmaxColumns,
// into that of its input.
func SoftmaxColumnsGrad[T Float](y, dy []T, k, c int) {
	y, dy = y[:k*c], dy[:k*c]
	if v := vectors[T](c); v != nil {
		v.softcolsgrad(k, c, ptr(y), ptr(dy))
		return
	}
	for j := range c {
		var dot T
		for n := range k {
			dot += y[n*c+j] * dy[n*c+j]
		}
		for n := range k {
			dy[n*c+j] = y[n*c+j] * (dy[n*c+j] - dot)
		}
	}
}

// MixPositions writes w[n] = max(table[idx[n]] + base + h[n]*a, 0) for rows of
// len(base) values, h [len(idx), 3] and a [3, len(base)].
func MixPositions[T Float](idx []int32, table, base, h, a, w []T) {
	c, k := len(base), len(idx)
	h, a, w = h[:3*k], a[:3*c], w[:k*c]
	checkGather(idx, table, c)
	if v := vectors[T](c); v != nil {
		v.mixh(k, c, &idx[0], ptr(table), ptr(base), ptr(h), ptr(a), ptr(w))
		return
	}
	for n, j := range idx {
		t, o := table[int(j)*c:][:c], w[n*c:(n+1)*c]
		for i, b := range base {
			o[i] = max(t[i]+b+h[3*n]*a[i]+h[3*n+1]*a[c+i]+h[3*n+2]*a[2*c+i], 0)
		}
	}
}

// AttendPositions writes out = max(sum over n of att[n]*table[idx[n]] + bias +
// a*hs, 0), with rows of c = len(out) values, a [3, c], and weights that repeat
// over the channels: att [len(idx), e], hs [3, e], e = WeightWidth.
func AttendPositions[T Float](idx []int32, table, att, bias, a, hs, out []T, e int) {
	c, k := len(out), len(idx)
	att, bias, a, hs = att[:k*e], bias[:c], a[:3*c], hs[:3*e]
	checkGather(idx, table, c)
	if v := vectors[T](c); v != nil {
		v.attendh(k, c, e, &idx[0], ptr(table), ptr(att), ptr(bias), ptr(a), ptr(hs), ptr(out))
		return
	}
	for i := range out {
		b := i % e
		s := bias[i] + a[i]*hs[b] + a[c+i]*hs[e+b] + a[2*c+i]*hs[2*e+b]
		for n, j := range idx {
			s += att[n*e+b] * table[int(j)*c+i]
		}
		out[i] = max(s, 0)
	}
}

// GatherMax writes out = max(largest table[idx[n]] - sub, 0) for rows of
// len(out) values.
func GatherMax[T Float](idx []int32, table, sub, out []T) {
	c := len(out)
	sub = sub[:c]
	checkGather(idx, table, c)
	if v := vectors[T](c); v != nil {
		v.gathermax(len(idx), c, &idx[0], ptr(table), ptr(sub), ptr(out))
		return
	}
	copy(out, table[int(idx[0])*c:][:c])
	for _, j := range idx[1:] {
		for i, t := range table[int(j)*c:][:c] {
			out[i] = max(out[i], t)
		}
	}
	for i, s := range sub {
		out[i] = max(out[i]-s, 0)
	}
}

// Mix writes w[n] = table[idx[n]] - q + r[n] for rows of len(q) values; without
// the last term if r is nil.
func Mix[T Float](idx []int32, table, q, r, w []T) {
	c, k := len(q), len(idx)
	w = w[:k*c]
	if r != nil {
		r = r[:k*c]
	}
	checkGather(idx, table, c)
	if v := vectors[T](c); v != nil {
		v.mix(k, c, &idx[0], ptr(table), ptr(q), ptr(r), ptr(w))
		return
	}
	for n, j := range idx {
		t, o := table[int(j)*c:][:c], w[n*c:(n+1)*c]
		for i, b := range q {
			o[i] = t[i] - b
			if r != nil {
				o[i] += r[n*c+i]
			}
		}
	}
}

// Scatter is the gradient of Mix: it adds dw[n] to table[idx[n]] and, unless dr
// is nil, to dr[n], and writes the sum over n, for rows of len(sum) values.
func Scatter[T Float](idx []int32, table, dr, dw, sum []T) {
	c, k := len(sum), len(idx)
	dw = dw[:k*c]
	if dr != nil {
		dr = dr[:k*c]
	}
	checkGather(idx, table, c)
	if v := vectors[T](c); v != nil {
		v.scatter(k, c, &idx[0], ptr(table), ptr(dr), ptr(dw), ptr(sum))
		return
	}
	clear(sum)
	for n, j := range idx {
		t := table[int(j)*c:][:c]
		for i, d := range dw[n*c : (n+1)*c] {
			t[i] += d
			sum[i] += d
			if dr != nil {
				dr[n*c+i] += d
			}
		}
	}
}

// Attend writes out = sum over n of att[n]*(table[idx[n]] + r[n]) for rows of
// len(out) values; the e weights of a row of att [len(idx), e] repeat over the
// channels.
func Attend[T Float](idx []int32, table, r, att, out []T, e int) {
	c, k := len(out), len(idx)
	r, att = r[:k*c], att[:k*e]
	checkGather(idx, table, c)
	if v := vectors[T](c); v != nil && e%16 == 0 {
		v.attend(k, c, e, &idx[0], ptr(table), ptr(r), ptr(att), ptr(out))
		return
	}
	clear(out)
	for n, j := range idx {
		t, rr, w := table[int(j)*c:][:c], r[n*c:(n+1)*c], att[n*e:(n+1)*e]
		for lo := 0; lo < c; lo += e {
			for i, a := range w[:min(e, c-lo)] {
				out[lo+i] += a * (t[lo+i] + rr[lo+i])
			}
		}
	}
}

// AttendGrad is the gradient of Attend for dout = len(dout) values: it adds to
// dtable, writes dr and overwrites datt.
func AttendGrad[T Float](idx []int32, table, r, att, dout, dtable, dr, datt []T, e int) {
	c, k := len(dout), len(idx)
	r, dr, att, datt = r[:k*c], dr[:k*c], att[:k*e], datt[:k*e]
	checkGather(idx, table, c)
	checkGather(idx, dtable, c)
	clear(datt)
	if v := vectors[T](c); v != nil && e%16 == 0 {
		v.attendgrad(k, c, e, &idx[0], ptr(table), ptr(r), ptr(att), ptr(dout), ptr(dtable), ptr(dr), ptr(datt))
		return
	}
	for n, j := range idx {
		t, dt := table[int(j)*c:][:c], dtable[int(j)*c:][:c]
		rr, drr, w, dw := r[n*c:(n+1)*c], dr[n*c:(n+1)*c], att[n*e:(n+1)*e], datt[n*e:(n+1)*e]
		for lo := 0; lo < c; lo += e {
			for i, a := range w[:min(e, c-lo)] {
				g := dout[lo+i]
				dw[i] += g * (t[lo+i] + rr[lo+i])
				g *= a
				drr[lo+i] = g
				dt[lo+i] += g
			}
		}
	}
}

// RowMax writes per column the largest of the k rows of x and the first row
// that holds it, for rows of len(out) values.
func RowMax[T Float](x []T, k int, out []T, arg []int32) {
	c := len(out)
	x, arg = x[:k*c], arg[:c]
	if v := vectors[T](c); v != nil {
		v.rowmax(k, c, ptr(x), ptr(out), &arg[0])
		return
	}
	copy(out, x)
	clear(arg)
	for n := 1; n < k; n++ {
		for i, v := range x[n*c : (n+1)*c] {
			if v > out[i] {
				out[i], arg[i] = v, int32(n)
			}
		}
	}
}
