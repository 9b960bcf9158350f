package main

import "fmt"

// The interpolation points of Winograd's F(4x4, 3x3) are 0, ±pointA, ±pointB
// and infinity; see winograd_tile.go for the transforms in plain Go.
const (
	pointA = 2.0 / 3
	pointB = 3.0 / 2
	a2     = pointA * pointA
	b2     = pointB * pointB
)

// of the weights' transform at ±pointA and ±pointB
const (
	scaleA = 1 / (2 * a2 * (a2 - b2))
	scaleB = 1 / (2 * b2 * (b2 - a2))
)

// walk emits transforms of a tile whose rows of the image lie apart, four
// channels a turn. Products come out row by row, each from the columns that it
// needs, so that everything stays in registers.
type walk struct {
	*function
	rows                 []xreg
	off, step, cols      xreg
	n, dst, fs           xreg
	q, p, tmp            xreg
	pa, pb, sqA, sqB, sm lane
}

func newWalk(f *file, name, doc, table string, size int) *walk {
	fn := f.function(name, doc, "rows *[6]*float32, off int, step int, cols int, n int, dst *float32, fstride int")
	t := &walk{function: fn, rows: make([]xreg, size)}
	at := fn.load("rows")
	for i := size - 1; i >= 0; i-- {
		t.rows[i] = at
		if i > 0 {
			t.rows[i] = fn.gp()
		}
		fn.op("MOVD %d(%v), %v", 8*i, at, t.rows[i])
	}
	t.off, t.step, t.cols, t.n, t.dst, t.fs = fn.load("off"), fn.load("step"), fn.load("cols"), fn.load("n"), fn.load("dst"), fn.load("fstride")
	t.q, t.p, t.tmp = fn.gp(), fn.gp(), fn.gp()
	c := fn.constants(table, t.tmp, pointA, pointB, a2, b2, a2+b2)
	t.pa, t.pb, t.sqA, t.sqB, t.sm = c[0], c[1], c[2], c[3], c[4]
	fn.label("loop")
	fn.op("MOVD %v, %v", t.dst, t.p)
	return t
}

func (t *walk) end() {
	t.op("ADD $16, %v, %v", t.off, t.off)
	t.op("ADD $16, %v, %v", t.dst, t.dst)
	t.op("SUBS $1, %v, %v", t.n, t.n)
	t.op("BNE loop")
	t.op("RET")
}

// store writes the next product.
func (t *walk) store(v vreg) {
	t.storeStep(v, t.p, t.fs)
	t.release(v)
}

// halves returns t + k*v in a new register, leaves t - k*v in t and drops v.
func (t *walk) halves(m, v vreg, k lane) vreg {
	plus := t.vec()
	t.move(plus, m)
	t.addTimes(plus, v, k)
	t.subTimes(m, v, k)
	t.release(v)
	return plus
}

// columns computes outs vectors from the rows of each of the tile's columns,
// zeros for a column outside the image.
func (t *walk) columns(group string, outs int, compute func(load func(r int) vreg) []vreg) [][]vreg {
	res := make([][]vreg, outs)
	t.op("MOVD %v, %v", t.off, t.q)
	for j := range t.rows {
		outside, done := fmt.Sprintf("outside%s%d", group, j), fmt.Sprintf("done%s%d", group, j)
		t.op("TBZ $%d, %v, %s", j, t.cols, outside)
		vs := compute(func(r int) vreg {
			v := t.vec()
			t.loadAt(v, t.rows[r], t.q, t.tmp)
			return v
		})
		t.op("B %s", done)
		t.label(outside)
		for _, v := range vs {
			t.zero(v)
		}
		t.label(done)
		if j < len(t.rows)-1 {
			t.op("ADD %v, %v, %v", t.step, t.q, t.q)
		}
		for i, v := range vs {
			res[i] = append(res[i], v)
		}
	}
	return res
}

// winogradInput emits the transform of one 6 x 6 tile of the input.
func winogradInput(f *file) {
	t := newWalk(f, "winogradInputneon", "winogradInputneon transforms one 6 x 6 tile of n vectors of channels; see conv in strip.go.", "winogradinputneon", 6)
	// line transforms six values along a row and stores the results.
	line := func(d []vreg) {
		o := t.vec()
		t.fadd(o, d[0], d[4])
		t.subTimes(o, d[2], t.sm)
		t.store(o)
		for _, k := range [][2]lane{{t.sqB, t.pa}, {t.sqA, t.pb}} {
			m, v := t.vec(), t.vec()
			t.move(m, d[4])
			t.subTimes(m, d[2], k[0])
			t.move(v, d[3])
			t.subTimes(v, d[1], k[0])
			t.store(t.halves(m, v, k[1]))
			t.store(m)
		}
		o = t.vec()
		t.fadd(o, d[1], d[5])
		t.subTimes(o, d[3], t.sm)
		t.store(o)
		t.release(d...)
	}
	outer := func(group string, r0, r2, r4 int) {
		line(t.columns(group, 1, func(load func(int) vreg) []vreg {
			o, x, y := load(r0), load(r4), load(r2)
			t.fadd(o, o, x)
			t.subTimes(o, y, t.sm)
			t.release(x, y)
			return []vreg{o}
		})[0])
	}
	inner := func(group string, sq, k lane) {
		d := t.columns(group, 2, func(load func(int) vreg) []vreg {
			minus, v, x, y := load(4), load(3), load(2), load(1)
			t.subTimes(minus, x, sq)
			t.subTimes(v, y, sq)
			t.release(x, y)
			return []vreg{t.halves(minus, v, k), minus}
		})
		line(d[0])
		line(d[1])
	}
	outer("A", 0, 2, 4)
	inner("B", t.sqB, t.pa)
	inner("C", t.sqA, t.pb)
	outer("D", 1, 3, 5)
	t.end()
}

// winogradGradient emits the transform of a 4 x 4 tile of the gradient of the
// output.
func winogradGradient(f *file) {
	t := newWalk(f, "winogradGradientneon", "winogradGradientneon transforms the output gradient of one 4 x 4 tile, n vectors of channels; see conv in strip.go.", "winogradgradientneon", 4)
	line := func(y []vreg) {
		t.storeStep(y[0], t.p, t.fs)
		for _, k := range [][2]lane{{t.sqA, t.pa}, {t.sqB, t.pb}} {
			e, v := t.vec(), t.vec()
			t.move(e, y[0])
			t.addTimes(e, y[2], k[0])
			t.move(v, y[1])
			t.addTimes(v, y[3], k[0])
			t.store(t.halves(e, v, k[1]))
			t.store(e)
		}
		t.storeStep(y[3], t.p, t.fs)
		t.release(y...)
	}
	outer := func(group string, r int) {
		line(t.columns(group, 1, func(load func(int) vreg) []vreg { return []vreg{load(r)} })[0])
	}
	inner := func(group string, sq, k lane) {
		y := t.columns(group, 2, func(load func(int) vreg) []vreg {
			e, v, x, z := load(0), load(1), load(2), load(3)
			t.addTimes(e, x, sq)
			t.addTimes(v, z, sq)
			t.release(x, z)
			return []vreg{t.halves(e, v, k), e}
		})
		line(y[0])
		line(y[1])
	}
	outer("A", 0)
	inner("B", t.sqA, t.pa)
	inner("C", t.sqB, t.pb)
	outer("D", 3)
	t.end()
}

// winogradWeights emits the transform of one vector of 3 x 3 filters.
func winogradWeights(f *file) {
	fn := f.function("winogradWeightsneon", "winogradWeightsneon transforms one vector of 3 x 3 filters, whose weights are wstride apart, to 36 vectors ustride apart; strides in bytes.",
		"w *float32, wstride int, u *float32, ustride int")
	w, ws, u, us := fn.load("w"), fn.load("wstride"), fn.load("u"), fn.load("ustride")
	c := fn.constants("winogradweightsneon", fn.gp(), scaleA, scaleA*pointA, scaleA*a2, scaleB, scaleB*pointB, scaleB*b2)
	var g [9]vreg
	for i := range g {
		g[i] = fn.vec()
		fn.loadStep(g[i], w, ws)
	}
	store := func(v vreg) { fn.storeStep(v, u, us) }
	// pair returns the values at plus and minus a point.
	pair := func(g0, g1, g2 vreg, k []lane) (plus, minus vreg) {
		plus, minus = fn.vec(), fn.vec()
		fn.times(plus, g0, k[0])
		fn.addTimes(plus, g2, k[2])
		fn.move(minus, plus)
		fn.addTimes(plus, g1, k[1])
		fn.subTimes(minus, g1, k[1])
		return plus, minus
	}
	line := func(t [3]vreg) {
		store(t[0])
		for _, k := range [][]lane{c[:3], c[3:]} {
			plus, minus := pair(t[0], t[1], t[2], k)
			store(plus)
			store(minus)
			fn.release(plus, minus)
		}
		store(t[2])
	}
	both := func(k []lane) {
		var t [2][3]vreg
		for j := range 3 {
			t[0][j], t[1][j] = pair(g[j], g[3+j], g[6+j], k)
		}
		line(t[0])
		line(t[1])
		fn.release(t[0][:]...)
		fn.release(t[1][:]...)
	}
	line([3]vreg(g[:3]))
	both(c[:3])
	both(c[3:])
	line([3]vreg(g[6:]))
	fn.op("RET")
}

// winogradFilter emits the gradient of one vector of 3 x 3 filters from that of
// its transform.
func winogradFilter(f *file) {
	fn := f.function("winogradFilterneon", "winogradFilterneon turns the gradient of 36 vectors of transformed weights, ustride apart, into that of 3 x 3 filters, whose weights are wstride apart; strides in bytes.",
		"u *float32, ustride int, w *float32, wstride int")
	u, us, w, ws := fn.load("u"), fn.load("ustride"), fn.load("w"), fn.load("wstride")
	p, us6 := fn.gp(), fn.gp()
	c := fn.constants("winogradfilterneon", p, scaleA, scaleA*pointA, scaleA*a2, scaleB, scaleB*pointB, scaleB*b2)
	fn.op("ADD %v<<1, %v, %v", us, us, us6)
	fn.op("LSL $1, %v, %v", us6, us6)
	// line returns value number r of three from six.
	line := func(v []vreg, r int) vreg {
		x, y, o := fn.vec(), fn.vec(), fn.vec()
		combine := fn.fadd
		if r == 1 {
			combine = fn.fsub
		}
		combine(x, v[1], v[2])
		combine(y, v[3], v[4])
		if r == 1 {
			fn.times(o, x, c[1])
		} else {
			fn.move(o, v[r/2*5])
			fn.addTimes(o, x, c[r])
		}
		fn.addTimes(o, y, c[3+r])
		fn.release(x, y)
		return o
	}
	for r := range 3 {
		t := make([]vreg, 6)
		for j := range t {
			fn.op("MOVD %v, %v", u, p)
			for range j {
				fn.op("ADD %v, %v, %v", us, p, p)
			}
			v := make([]vreg, 6)
			for i := range v {
				v[i] = fn.vec()
				fn.loadStep(v[i], p, us6)
			}
			t[j] = line(v, r)
			fn.release(v...)
		}
		for k := range 3 {
			o := line(t, k)
			fn.storeStep(o, w, ws)
			fn.release(o)
		}
		fn.release(t...)
	}
	fn.op("RET")
}

// winogradOutput emits the transform of the 36 products of one tile to its
// outputs, four channels a turn. Output columns 0 and 2, then 1 and 3, share a
// pass over the products: all four would not fit in the registers.
func winogradOutput(f *file) {
	fn := f.function("winogradOutputneon", "winogradOutputneon transforms the products of one tile, n vectors of channels, to h x w outputs; see conv in strip.go.",
		"m *float32, fstride int, n int, bias *float32, y *float32, row int, col int, h int, w int, res *float32, floor float32")
	m, fs, n, bias, y := fn.load("m"), fn.load("fstride"), fn.load("n"), fn.load("bias"), fn.load("y")
	row, col, h, w, res := fn.load("row"), fn.load("col"), fn.load("h"), fn.load("w"), fn.load("res")
	floor := fn.loadFloat("floor")
	p, at, diff, tmp := fn.gp(), fn.gp(), fn.gp(), fn.gp()
	fn.op("SUB %v, %v, %v", y, res, diff) // the residual lies this far behind y
	c := fn.constants("winogradoutputneon", tmp, pointA, pointB, a2, b2, a2*pointA, b2*pointB)
	pa, pb, sqA, sqB, cubeA, cubeB := c[0], c[1], c[2], c[3], c[4], c[5]

	// even and odd return two of the four outputs of six values; even does
	// not need the last value, odd not the first.
	even := func(v []vreg) (o0, o2 vreg) {
		s1, s2 := fn.vec(), fn.vec()
		fn.fadd(s1, v[1], v[2])
		fn.fadd(s2, v[3], v[4])
		o0, o2 = fn.vec(), fn.vec()
		fn.fadd(o0, v[0], s1)
		fn.fadd(o0, o0, s2)
		fn.times(o2, s1, sqA)
		fn.addTimes(o2, s2, sqB)
		fn.release(s1, s2)
		return o0, o2
	}
	odd := func(v []vreg) (o1, o3 vreg) {
		d1, d2 := fn.vec(), fn.vec()
		fn.fsub(d1, v[1], v[2])
		fn.fsub(d2, v[3], v[4])
		o1, o3 = fn.vec(), fn.vec()
		fn.times(o1, d1, pa)
		fn.addTimes(o1, d2, pb)
		fn.move(o3, v[5])
		fn.addTimes(o3, d1, cubeA)
		fn.addTimes(o3, d2, cubeB)
		fn.release(d1, d2)
		return o1, o3
	}
	// pass returns, for two columns of the output, six values down each.
	pass := func(part func([]vreg) (vreg, vreg)) (t [2][]vreg) {
		fn.op("MOVD %v, %v", m, p)
		for range 6 {
			v := make([]vreg, 6)
			for i := range v {
				v[i] = fn.vec()
				fn.loadStep(v[i], p, fs)
			}
			x, z := part(v)
			fn.release(v...)
			t[0], t[1] = append(t[0], x), append(t[1], z)
		}
		return t
	}
	// write finishes column number c.
	write := func(t []vreg, c int) {
		if c > 0 {
			fn.op("CMP $%d, %v", c, w)
			fn.op("BLE after%d", c)
		}
		var o [4]vreg
		o[0], o[2] = even(t)
		o[1], o[3] = odd(t)
		fn.op("MOVD %v, %v", y, at)
		for range c {
			fn.op("ADD %v, %v, %v", col, at, at)
		}
		b, x := fn.vec(), fn.vec()
		fn.ld1(bias, b)
		for r, v := range o {
			if r > 0 {
				fn.op("CMP $%d, %v", r, h)
				fn.op("BLE after%d", c)
				fn.op("ADD %v, %v, %v", row, at, at)
			}
			fn.fadd(v, v, b)
			plain := fmt.Sprintf("plain%d%d", c, r)
			fn.op("CBZ %v, %s", res, plain)
			fn.loadAt(x, at, diff, tmp)
			fn.fadd(v, v, x)
			fn.label(plain)
			fn.fmax(v, v, floor)
			fn.st1(at, v)
		}
		fn.label(fmt.Sprintf("after%d", c))
		fn.release(b, x)
		fn.release(o[:]...)
		fn.release(t...)
	}
	fn.label("loop")
	t := pass(even)
	write(t[0], 0)
	write(t[1], 2)
	fn.op("CMP $1, %v", w)
	fn.op("BLE next")
	t = pass(odd)
	write(t[0], 1)
	write(t[1], 3)
	fn.label("next")
	for _, r := range []xreg{m, bias, y} {
		fn.op("ADD $16, %v, %v", r, r)
	}
	fn.op("SUBS $1, %v, %v", n, n)
	fn.op("BNE loop")
	fn.op("RET")
}
