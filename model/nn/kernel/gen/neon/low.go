package main

import "fmt"

// The kernels of convolutions in int8: a panel's step is 32 outputs of four
// channels each, a position's sums are 32.
const panelBytes = 32 * 4

const dotSignature = "x *byte, off *int32, delta *int, taps int, bytes int, w *byte, acc *int32"

// lowDot is a kernel that sums, over taps and channels, the products of some
// positions and 16 of a panel's outputs.
type lowDot struct {
	*function
	delta, taps, bytes, w, acc, k xreg
	pixel                         []xreg
}

func newLowDot(f *file, name, doc, signature string, pixels int) *lowDot {
	fn := f.function(name, doc, signature)
	d := &lowDot{function: fn, acc: fn.load("off"), k: fn.load("x"), delta: fn.load("delta"), taps: fn.load("taps"), bytes: fn.load("bytes"), w: fn.load("w")}
	for i := range pixels {
		p := fn.gp()
		fn.op("MOVW %d(%v), %v", 4*i, d.acc, p) // sign-extended
		fn.op("ADD %v, %v, %v", d.k, p, p)
		d.pixel = append(d.pixel, p)
	}
	fn.op("MOVD acc+%d(FP), %v", fn.param("acc", ""), d.acc)
	return d
}

// eachTap emits a loop over the taps; channels walks a position's channels and
// moves every position's pointer past them.
func (d *lowDot) eachTap(channels func()) {
	d.label("tap")
	d.op("MOVD %v, %v", d.bytes, d.k)
	channels()
	d.op("MOVD.P 8(%v), %v", d.delta, d.k)
	d.op("SUB %v, %v, %v", d.bytes, d.k, d.k)
	for _, p := range d.pixel {
		d.op("ADD %v, %v, %v", d.k, p, p)
	}
	d.op("SUBS $1, %v, %v", d.taps, d.taps)
	d.op("BNE tap")
}

// weights loads a step's 16 outputs.
func (d *lowDot) weights(to []vreg) {
	d.ld1(d.w, to...)
	d.op("ADD $%d, %v, %v", panelBytes, d.w, d.w)
}

// dotProducts emits the kernel on signed dot products: activations are made
// signed by taking 128 away, for which the sums start with 128 times the
// weights' sum.
func dotProducts(f *file) {
	d := newLowDot(f, "lowDotProductsneon", "lowDotProductsneon sums products of unsigned activations and signed weights in int32, 4 positions x 16 outputs; the sums start with start.",
		dotSignature+", start *int32", 4)
	sums := make([][]vreg, len(d.pixel))
	for i := range sums {
		sums[i] = d.vecs(4)
	}
	from := d.load("start")
	d.ld1(from, sums[0]...)
	for _, s := range sums[1:] {
		for j, v := range s {
			d.move(v, sums[0][j])
		}
	}
	flip := d.vec()
	d.op("VMOVI $128, V%d.B16", int(flip))
	a, w := d.vecs(len(d.pixel)), [2][]vreg{d.vecs(4), d.vecs(4)}
	signed := func() {
		for _, v := range a {
			d.op("VEOR V%d.B16, V%d.B16, V%d.B16", int(flip), int(v), int(v))
		}
	}
	step := func(w []vreg, i int) {
		d.weights(w)
		for p, s := range sums {
			for j, v := range s {
				d.sdotLane(v, w[j], a[p], i)
			}
		}
	}
	d.eachTap(func() {
		d.op("SUBS $16, %v, %v", d.k, d.k)
		d.op("BLT single")
		d.label("four")
		for i, p := range d.pixel {
			d.ld1p(p, a[i])
		}
		signed()
		for i := range 4 {
			step(w[i%2], i)
		}
		d.op("SUBS $16, %v, %v", d.k, d.k)
		d.op("BGE four")
		d.label("single")
		d.op("ADDS $16, %v, %v", d.k, d.k)
		d.op("BEQ next")
		d.label("one")
		for i, p := range d.pixel {
			d.op("VLD1R.P 4(%v), [%s]", p, a[i].s4())
		}
		signed()
		step(w[0], 0)
		d.op("SUBS $4, %v, %v", d.k, d.k)
		d.op("BNE one")
		d.label("next")
	})
	for _, s := range sums {
		d.st1(d.acc, s...)
		d.op("ADD $%d, %v, %v", panelBytes, d.acc, d.acc)
	}
	d.op("RET")
}

// matrixProducts emits the kernel on the 8-bit matrix product, which takes two
// positions of eight channels by two outputs of as many. Two steps' weights are
// zipped to outputs of eight channels.
func matrixProducts(f *file) {
	d := newLowDot(f, "lowMatrixneon", "lowMatrixneon sums products of unsigned activations and signed weights in int32, 6 positions x 16 outputs; bytes is a multiple of 8.", dotSignature, 6)
	pairs := len(d.pixel) / 2
	sums := make([][]vreg, pairs)
	for i := range sums {
		sums[i] = d.vecs(8)
		for _, v := range sums[i] {
			d.zero(v)
		}
	}
	a := d.vecs(pairs)
	w := d.vecs(2)
	zipped := d.vecs(2)
	second := d.gp()
	d.eachTap(func() {
		d.label("channels")
		for i, p := range d.pixel {
			d.op("VLD1.P 8(%v), V%d.D[%d]", p, int(a[i/2]), i%2)
		}
		d.op("ADD $%d, %v, %v", panelBytes, d.w, second)
		for j := range 4 {
			d.ld1p(d.w, w[0])
			d.ld1p(second, w[1])
			d.op("VZIP1 %s, %s, %s", w[1].s4(), w[0].s4(), zipped[0].s4())
			d.op("VZIP2 %s, %s, %s", w[1].s4(), w[0].s4(), zipped[1].s4())
			for p, s := range sums {
				d.usmmla(s[2*j], a[p], zipped[0])
				d.usmmla(s[2*j+1], a[p], zipped[1])
			}
		}
		d.op("ADD $%d, %v, %v", 2*panelBytes-64, d.w, d.w)
		d.op("SUBS $8, %v, %v", d.k, d.k)
		d.op("BNE channels")
	})
	for _, s := range sums {
		d.op("ADD $%d, %v, %v", panelBytes, d.acc, second)
		for _, v := range s {
			d.op("VST1.P V%d.D[0], 8(%v)", int(v), d.acc)
			d.op("VST1.P V%d.D[1], 8(%v)", int(v), second)
		}
		d.op("ADD $%d, %v, %v", 2*panelBytes-64, d.acc, d.acc)
	}
	d.op("RET")
}

// lowRows emits the end of a convolution for a run of positions x whole vectors
// of four channels: max(sum*scale + bias + residual, floor), written as float32
// and uint8 as the rows ask.
func lowRows(f *file, name string, fromInt bool) {
	from := "float32"
	if fromInt {
		from = "int32"
	}
	fn := f.function(name, fmt.Sprintf("%s scales %s sums, adds bias and residual, bounds them below and stores float32 and uint8, n rows of whole vectors of 4.", name, from),
		"acc *int32, accStride int, scale *float32, bias *float32, res *float32, out *float32, stride int, low *byte, off *int32, n int, vectors int, floor float32, inv float32")
	acc, accStride, scale, bias, res, out, stride := fn.load("acc"), fn.load("accStride"), fn.load("scale"), fn.load("bias"), fn.load("res"), fn.load("out"), fn.load("stride")
	low, off, n, end := fn.load("low"), fn.load("off"), fn.load("n"), fn.load("vectors")
	at, j, tmp := fn.gp(), fn.gp(), fn.gp()
	floor, inv, top := fn.loadFloat("floor"), fn.loadFloat("inv"), fn.vec()
	v, t := fn.vec(), fn.vec()
	fn.op("MOVD $0x437f0000, %v", tmp) // 255
	fn.op("VDUP %v, %s", tmp, top.s4())
	fn.op("LSL $4, %v, %v", end, end)

	fn.label("row")
	fn.op("MOVD $0, %v", j)
	fn.op("CBZ %v, vector", low)
	fn.op("MOVW.P 4(%v), %v", off, at)
	fn.op("ADD %v, %v, %v", low, at, at)
	fn.label("vector")
	fn.loadAt(v, acc, j, tmp)
	if fromInt {
		fn.scvtf(v, v)
	}
	fn.loadAt(t, scale, j, tmp)
	fn.fmul(v, v, t)
	fn.loadAt(t, bias, j, tmp)
	fn.fadd(v, v, t)
	fn.op("CBZ %v, bound", res)
	fn.loadAt(t, res, j, tmp)
	fn.fadd(v, v, t)
	fn.label("bound")
	fn.fmaxnm(v, v, floor)
	fn.op("CBZ %v, low", out)
	fn.op("ADD %v, %v, %v", j, out, tmp)
	fn.st1(tmp, v)
	fn.label("low")
	fn.op("CBZ %v, next", low)
	fn.fmul(v, v, inv)
	fn.fmin(v, v, top)
	fn.toBytes(v)
	fn.op("VST1.P V%d.S[0], 4(%v)", int(v), at)
	fn.label("next")
	fn.op("ADD $16, %v, %v", j, j)
	fn.op("CMP %v, %v", end, j)
	fn.op("BLT vector")
	fn.op("ADD %v, %v, %v", accStride, acc, acc)
	fn.op("CBZ %v, noResidual", res)
	fn.op("ADD %v, %v, %v", stride, res, res)
	fn.label("noResidual")
	fn.op("CBZ %v, noOutput", out)
	fn.op("ADD %v, %v, %v", stride, out, out)
	fn.label("noOutput")
	fn.op("SUBS $1, %v, %v", n, n)
	fn.op("BNE row")
	fn.op("RET")
}
