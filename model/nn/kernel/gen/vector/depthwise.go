//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// depthwise emits one output row of a depthwise 3 x 3 convolution. The columns
// of the image are walked once: each is added to the outputs it belongs to, so
// that every value is read once and the borders need no padding.
func depthwise(s isa.Set) {
	const signature = "func(n, c int, rows *[3]*float32, w, y *float32, low, high float32)"
	function(s, "depthwise", signature, "writes one row of n outputs; w is packed, see depthwise.go", func(f *fn) {
		d := newDepthwiseRow(f)
		// An output is stored when the two columns behind it have been read.
		SUBQ(d.step, d.y)
		SUBQ(d.step, d.y)
		d.channels(d.every)
	})
	function(s, "depthwisehalf", signature, "writes one row of n outputs of stride 2 from 2*n columns; w is packed, see depthwise.go", func(f *fn) {
		d := newDepthwiseRow(f)
		d.out = GP64()
		d.channels(d.second)
	})
}

type depthwiseRow struct {
	*fn
	n, c, w, y, step, in, out reg.GPVirtual
	rows                      [3]reg.GPVirtual
	taps                      [9]reg.VecVirtual
	bias, low, high           reg.VecVirtual
}

func newDepthwiseRow(f *fn) *depthwiseRow {
	d := &depthwiseRow{fn: f, n: arg("n"), c: arg("c")}
	rows := arg("rows")
	for i := range d.rows {
		d.rows[i] = GP64()
		MOVQ(isa.At(rows, 8*i), d.rows[i])
	}
	d.w, d.y, d.in = arg("w"), arg("y"), GP64()
	d.low, d.high = d.broadcast("low"), d.broadcast("high")
	d.step = stride(d.c)
	return d
}

// channels repeats row for each vector of channels.
func (d *depthwiseRow) channels(row func()) {
	d.columns(d.c, func() {
		for t := range d.taps {
			d.taps[t] = d.Vec()
			VMOVUPS(isa.At(d.w, t*d.Bytes()), d.taps[t])
		}
		d.bias = d.Vec()
		VMOVUPS(isa.At(d.w, 9*d.Bytes()), d.bias)
		XORQ(d.in, d.in)
		row()
		ADDQ(U32(uint32(10*d.Bytes())), d.w)
	}, append(d.rows[:], d.y)...)
}

// add adds a column of the image to accs, with the filter column of each, and
// moves to the next.
func (d *depthwiseRow) add(accs []reg.VecVirtual, filter []int) {
	for r := range d.rows {
		v := d.load(Mem{Base: d.rows[r], Index: d.in, Scale: 1})
		for i, a := range accs {
			VFMADD231PS(v, d.taps[3*r+filter[i]], a)
		}
	}
	ADDQ(d.step, d.in)
}

func (d *depthwiseRow) finish(acc reg.VecVirtual, at reg.GPVirtual) {
	VMAXPS(acc, d.low, acc) // a NaN in acc stays
	VMINPS(acc, d.high, acc)
	d.store(acc, Mem{Base: d.y, Index: at, Scale: 1})
}

// every is stride 1: a column ends the output on its left, stands in the middle
// of its own and begins the one on its right.
func (d *depthwiseRow) every() {
	left, own, right := d.Vec(), d.Vec(), d.Vec()
	VMOVAPS(d.bias, left)
	VMOVAPS(d.bias, own)
	d.add([]reg.VecVirtual{left, own}, []int{1, 0})
	n, loop, end := GP64(), d.label("every"), d.label("everyend")
	MOVQ(d.n, n)
	Label(loop)
	DECQ(n)
	JZ(LabelRef(end))
	VMOVAPS(d.bias, right)
	d.add([]reg.VecVirtual{left, own, right}, []int{2, 1, 0})
	d.finish(left, d.in)
	VMOVAPS(own, left)
	VMOVAPS(right, own)
	JMP(LabelRef(loop))
	Label(end)
	ADDQ(d.step, d.in)
	d.finish(left, d.in)
}

// second is stride 2 over an even number of columns: the padding is behind the
// last one.
func (d *depthwiseRow) second() {
	acc, next := d.Vec(), d.Vec()
	VMOVAPS(d.bias, acc)
	XORQ(d.out, d.out)
	d.add([]reg.VecVirtual{acc}, []int{0})
	d.add([]reg.VecVirtual{acc}, []int{1})
	n, loop, end := GP64(), d.label("second"), d.label("secondend")
	MOVQ(d.n, n)
	Label(loop)
	DECQ(n)
	JZ(LabelRef(end))
	VMOVAPS(d.bias, next)
	d.add([]reg.VecVirtual{acc, next}, []int{2, 0})
	d.finish(acc, d.out)
	ADDQ(d.step, d.out)
	VMOVAPS(next, acc)
	d.add([]reg.VecVirtual{acc}, []int{1})
	JMP(LabelRef(loop))
	Label(end)
	d.finish(acc, d.out)
}
