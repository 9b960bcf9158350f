//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"

	"posefuse/model/nn/kernel/gen/isa"
)

// batchNorm emits the passes of batch normalisation over rows of c channels.
func batchNorm(s isa.Set) {
	function(s, "stats", "func(rows, c int, inv float32, x, mean, sq *float32)", "writes each column's mean, inv being 1/rows, and sum of squared deviations", func(f *fn) {
		rows, c, inv := arg("rows"), arg("c"), f.broadcast("inv")
		x, mean, sq := arg("x"), arg("mean"), arg("sq")
		ld := stride(c)
		f.columns(c, func() {
			m, m2, q, q2, v := f.Vec(), f.Vec(), f.Vec(), f.Vec(), f.Vec()
			f.Zero(m)
			f.Zero(m2)
			p := copyOf(x)
			f.pairs(rows, func(odd bool) {
				f.loadTo(Mem{Base: p}, v)
				if odd {
					VADDPS(v, m2, m2)
				} else {
					VADDPS(v, m, m)
				}
				ADDQ(ld, p)
			})
			VADDPS(m2, m, m)
			VMULPS(inv, m, m)
			f.store(m, Mem{Base: mean})
			f.Zero(q)
			f.Zero(q2)
			MOVQ(x, p)
			f.pairs(rows, func(odd bool) {
				f.loadTo(Mem{Base: p}, v)
				VSUBPS(m, v, v)
				if odd {
					VFMADD231PS(v, v, q2)
				} else {
					VFMADD231PS(v, v, q)
				}
				ADDQ(ld, p)
			})
			VADDPS(q2, q, q)
			f.store(q, Mem{Base: sq})
		}, x, mean, sq)
	})

	function(s, "apply", "func(rows, c int, x, y, scale, shift *float32, relu int)", "writes y = x*scale + shift, at least 0 if relu is not 0", func(f *fn) {
		rows, c, x, y := arg("rows"), arg("c"), arg("x"), arg("y")
		scale, shift := arg("scale"), arg("shift")
		low := f.low("relu")
		ld := stride(c)
		f.columns(c, func() {
			a, b := f.load(Mem{Base: scale}), f.load(Mem{Base: shift})
			p, o, v := copyOf(x), copyOf(y), f.Vec()
			f.rows(rows, func() {
				f.loadTo(Mem{Base: p}, v)
				VFMADD213PS(b, a, v)
				VMAXPS(v, low, v)
				f.store(v, Mem{Base: o})
				ADDQ(ld, p)
				ADDQ(ld, o)
			})
		}, x, y, scale, shift)
	})

	function(s, "normgrad", "func(rows, c int, x, dy, mean, scale, shift, s, q *float32, relu int)", "sums d and d*(x-mean) per column, d being dy, or with relu not 0 that behind a ReLU of x*scale + shift", func(f *fn) {
		rows, c, x, dy := arg("rows"), arg("c"), arg("x"), arg("dy")
		mean, scale, shift, s, q := arg("mean"), arg("scale"), arg("shift"), arg("s"), arg("q")
		relu := arg("relu")
		zero := f.Vec()
		f.Zero(zero)
		ld := stride(c)
		f.columns(c, func() {
			m, a, b := f.load(Mem{Base: mean}), f.load(Mem{Base: scale}), f.load(Mem{Base: shift})
			sv, qv, v, d, z := f.Vec(), f.Vec(), f.Vec(), f.Vec(), f.Vec()
			f.Zero(sv)
			f.Zero(qv)
			p, g := copyOf(x), copyOf(dy)
			sums := func(masked bool) {
				f.rows(rows, func() {
					f.loadTo(Mem{Base: p}, v)
					f.loadTo(Mem{Base: g}, d)
					if masked {
						VMOVAPS(v, z)
						VFMADD213PS(b, a, z)
						f.positive(z, zero, d)
					}
					VADDPS(d, sv, sv)
					VSUBPS(m, v, v)
					VFMADD231PS(v, d, qv)
					ADDQ(ld, p)
					ADDQ(ld, g)
				})
			}
			f.either(relu, func() { sums(true) }, func() { sums(false) })
			f.store(sv, Mem{Base: s})
			f.store(qv, Mem{Base: q})
		}, x, dy, mean, scale, shift, s, q)
	})

	function(s, "normdx", "func(rows, c int, x, dy, dx, scale, shift, ca, cb, cc *float32, relu int)", "writes dx = ca*d + cb*x + cc, d as in normgrad", func(f *fn) {
		rows, c, x, dy, dx := arg("rows"), arg("c"), arg("x"), arg("dy"), arg("dx")
		scale, shift, ca, cb, cc := Param("scale"), Param("shift"), Param("ca"), Param("cb"), Param("cc")
		relu := arg("relu")
		zero := f.Vec()
		f.Zero(zero)
		ld := stride(c)
		at := GP64() // offset of the columns in work
		XORQ(at, at)
		f.columns(c, func() {
			column := func(p gotypes.Component) Mem {
				r := Load(p, GP64())
				return Mem{Base: r, Index: at, Scale: 1}
			}
			a, b := f.load(column(scale)), f.load(column(shift))
			av, bv, cv := f.load(column(ca)), f.load(column(cb)), f.load(column(cc))
			v, d, z := f.Vec(), f.Vec(), f.Vec()
			p, g, o := copyOf(x), copyOf(dy), copyOf(dx)
			write := func(masked bool) {
				f.rows(rows, func() {
					f.loadTo(Mem{Base: p}, v)
					f.loadTo(Mem{Base: g}, d)
					if masked {
						VMOVAPS(v, z)
						VFMADD213PS(b, a, z)
						f.positive(z, zero, d)
					}
					VFMADD213PS(cv, bv, v)
					VFMADD231PS(d, av, v)
					f.store(v, Mem{Base: o})
					ADDQ(ld, p)
					ADDQ(ld, g)
					ADDQ(ld, o)
				})
			}
			f.either(relu, func() { write(true) }, func() { write(false) })
		}, x, dy, dx, at)
	})

	function(s, "colsum", "func(rows, c int, x, sum *float32)", "sums each column", func(f *fn) {
		rows, c, x, sum := arg("rows"), arg("c"), arg("x"), arg("sum")
		ld := stride(c)
		f.columns(c, func() {
			a, b, v := f.Vec(), f.Vec(), f.Vec()
			f.Zero(a)
			f.Zero(b)
			p := copyOf(x)
			f.pairs(rows, func(odd bool) {
				f.loadTo(Mem{Base: p}, v)
				if odd {
					VADDPS(v, b, b)
				} else {
					VADDPS(v, a, a)
				}
				ADDQ(ld, p)
			})
			VADDPS(b, a, a)
			f.store(a, Mem{Base: sum})
		}, x, sum)
	})
}
