package main

// depthwise emits one output row of a depthwise 3 x 3 convolution, four
// channels a turn. The columns of the image are walked once: each is added to
// the outputs it belongs to.
func depthwise(f *file) {
	const signature = "n int, c int, rows *[3]*float32, w *float32, y *float32, low float32, high float32"
	d := newDepthwiseRow(f, "depthwiseneon", "depthwiseneon writes one row of n outputs; c is a positive multiple of 4, w is packed, see depthwise.go.", signature)
	d.channels(d.every)
	d = newDepthwiseRow(f, "depthwisehalfneon", "depthwisehalfneon writes one row of n outputs of stride 2 from 2*n columns; c is a positive multiple of 4, w is packed, see depthwise.go.", signature)
	d.channels(d.second)
}

type depthwiseRow struct {
	*function
	n, c, w, y, step, count, out xreg
	rows, at                     [3]xreg
	taps                         []vreg
	bias, low, high              vreg
}

func newDepthwiseRow(f *file, name, doc, signature string) *depthwiseRow {
	fn := f.function(name, doc, signature)
	d := &depthwiseRow{function: fn, n: fn.load("n"), c: fn.load("c")}
	d.rows[2] = fn.load("rows")
	for i := range d.rows {
		if i < 2 {
			d.rows[i] = fn.gp()
		}
		fn.op("MOVD %d(%v), %v", 8*i, d.rows[2], d.rows[i])
	}
	d.w, d.y = fn.load("w"), fn.load("y")
	d.step, d.count, d.out = fn.gp(), fn.gp(), fn.gp()
	fn.op("LSL $2, %v, %v", d.c, d.step)
	for i := range d.at {
		d.at[i] = fn.gp()
	}
	d.low, d.high = fn.loadFloat("low"), fn.loadFloat("high")
	d.taps, d.bias = fn.vecs(9), fn.vec()
	return d
}

// channels repeats row for each vector of channels.
func (d *depthwiseRow) channels(row func()) {
	d.label("channels")
	d.ld1p(d.w, d.taps[:4]...)
	d.ld1p(d.w, d.taps[4:8]...)
	d.ld1p(d.w, d.taps[8], d.bias)
	for i, r := range d.rows {
		d.op("MOVD %v, %v", r, d.at[i])
		d.op("ADD $16, %v, %v", r, r)
	}
	d.op("MOVD %v, %v", d.y, d.out)
	d.op("ADD $16, %v, %v", d.y, d.y)
	d.op("MOVD %v, %v", d.n, d.count)
	row()
	d.op("SUBS $4, %v, %v", d.c, d.c)
	d.op("BNE channels")
	d.op("RET")
}

// add adds the next column of the image to accs, with the filter column of each.
func (d *depthwiseRow) add(v []vreg, accs []vreg, filter []int) {
	for r := range d.rows {
		d.loadStep(v[r], d.at[r], d.step)
	}
	for r := range d.rows {
		for i, a := range accs {
			d.fmla(a, v[r], d.taps[3*r+filter[i]])
		}
	}
}

// finish stores the next output, from a register of its own.
func (d *depthwiseRow) finish(acc, tmp vreg) {
	d.fmax(tmp, acc, d.low)
	d.fmin(tmp, tmp, d.high)
	d.storeStep(tmp, d.out, d.step)
}

// every is stride 1: a column ends the output on its left, stands in the middle
// of its own and begins the one on its right.
func (d *depthwiseRow) every() {
	left, own, right, tmp, v := d.vec(), d.vec(), d.vec(), d.vec(), d.vecs(3)
	d.move(left, d.bias)
	d.move(own, d.bias)
	d.add(v, []vreg{left, own}, []int{1, 0})
	d.label("loop")
	d.op("SUBS $1, %v, %v", d.count, d.count)
	d.op("BEQ end")
	d.move(right, d.bias)
	d.add(v, []vreg{left, own, right}, []int{2, 1, 0})
	d.finish(left, tmp)
	d.move(left, own)
	d.move(own, right)
	d.op("B loop")
	d.label("end")
	d.finish(left, tmp)
}

// second is stride 2 over an even number of columns: the padding is behind the
// last one.
func (d *depthwiseRow) second() {
	acc, next, tmp, v := d.vec(), d.vec(), d.vec(), d.vecs(3)
	d.move(acc, d.bias)
	d.add(v, []vreg{acc}, []int{0})
	d.add(v, []vreg{acc}, []int{1})
	d.label("loop")
	d.op("SUBS $1, %v, %v", d.count, d.count)
	d.op("BEQ end")
	d.move(next, d.bias)
	d.add(v, []vreg{acc, next}, []int{2, 0})
	d.finish(acc, tmp)
	d.move(acc, next)
	d.add(v, []vreg{acc}, []int{1})
	d.op("B loop")
	d.label("end")
	d.finish(acc, tmp)
}

// finishRow emits the epilogue of one row of a product.
func finishRow(f *file) {
	fn := f.function("finishrowneon", "finishrowneon writes y = min(max(y + bias, low), high); n is a positive multiple of 4.",
		"n int, bias *float32, y *float32, low float32, high float32")
	n, bias, y := fn.load("n"), fn.load("bias"), fn.load("y")
	low, high := fn.loadFloat("low"), fn.loadFloat("high")
	v, b := fn.vec(), fn.vec()
	fn.label("loop")
	fn.ld1(y, v)
	fn.ld1p(bias, b)
	fn.fadd(v, v, b)
	fn.fmax(v, v, low)
	fn.fmin(v, v, high)
	fn.st1p(y, v)
	fn.op("SUBS $4, %v, %v", n, n)
	fn.op("BNE loop")
	fn.op("RET")
}
