//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// gather walks the k rows of c values that idx names in a table.
type gather struct {
	f        *fn
	idx, ld  reg.GPVirtual
	at       reg.GPVirtual // offset of the columns in work, bytes
	row, tab reg.GPVirtual
}

func (f *fn) gather(c reg.GPVirtual) *gather {
	g := &gather{f: f, ld: stride(c), at: GP64(), row: GP64()}
	XORQ(g.at, g.at)
	return g
}

// column returns the address of the columns in work in the parameter's row 0.
func (g *gather) column(param string) reg.GPVirtual {
	p := arg(param)
	ADDQ(g.at, p)
	return p
}

// start begins a walk through the table.
func (g *gather) start(table string) {
	g.idx, g.tab = arg("idx"), g.column(table)
}

// next returns the address of the next row and advances.
func (g *gather) next() Mem {
	MOVLQSX(Mem{Base: g.idx}, g.row)
	ADDQ(Imm(4), g.idx)
	IMULQ(g.ld, g.row)
	return Mem{Base: g.tab, Index: g.row, Scale: 1}
}

// weights walks the columns of weight rows of e values that repeat over the
// channels.
type weights struct {
	ld, at reg.GPVirtual
}

func (f *fn) weights(e reg.GPVirtual) weights {
	w := weights{stride(e), GP64()}
	XORQ(w.at, w.at)
	return w
}

// advance goes to the next columns, those behind the last being the first.
func (w weights) advance(f *fn) {
	ADDQ(Imm(uint64(f.Bytes())), w.at)
	zero := GP64()
	XORQ(zero, zero)
	CMPQ(w.at, w.ld)
	CMOVQGE(zero, w.at)
}

// neighbours emits the parts of the point transformer that gather rows.
func neighbours(s isa.Set) {
	function(s, "mixh", "func(k, c int, idx *int32, table, base, h, a, w *float32)", "writes w[n] = max(table[idx[n]] + base + h[n]*a, 0) with h [k, 3] and a [3, c]", func(f *fn) {
		k, c := arg("k"), arg("c")
		g := f.gather(c)
		f.columns(c, func() {
			base := f.load(Mem{Base: g.column("base")})
			var a [3]reg.VecVirtual
			p := g.column("a")
			for d := range a {
				a[d] = f.load(Mem{Base: p})
				ADDQ(g.ld, p)
			}
			h, w, v, b, zero := arg("h"), g.column("w"), f.Vec(), f.Vec(), f.Vec()
			f.Zero(zero)
			g.start("table")
			f.rows(k, func() {
				f.loadTo(g.next(), v)
				VADDPS(base, v, v)
				for d := range a {
					VBROADCASTSS(Mem{Base: h, Disp: 4 * d}, b)
					VFMADD231PS(b, a[d], v)
				}
				VMAXPS(v, zero, v)
				f.store(v, Mem{Base: w})
				ADDQ(Imm(12), h)
				ADDQ(g.ld, w)
			})
		}, g.at)
	})

	function(s, "attendh", "func(k, c, e int, idx *int32, table, att, bias, a, hs, out *float32)", "writes out = max(sum of att[n]*table[idx[n]] + bias + a*hs, 0) with a [3, c], hs [3, e], att [k, e], the e weights repeating over the channels", func(f *fn) {
		k, c, e := arg("k"), arg("c"), arg("e")
		g, w := f.gather(c), f.weights(e)
		f.columns(c, func() {
			sum := f.load(Mem{Base: g.column("bias")})
			zero, v, b := f.Vec(), f.Vec(), f.Vec()
			f.Zero(zero)
			p, q := g.column("a"), arg("hs")
			ADDQ(w.at, q)
			for d := range 3 {
				f.loadTo(Mem{Base: p}, v)
				f.loadTo(Mem{Base: q}, b)
				VFMADD231PS(v, b, sum)
				if d < 2 {
					ADDQ(g.ld, p)
					ADDQ(w.ld, q)
				}
			}
			att := arg("att")
			ADDQ(w.at, att)
			g.start("table")
			f.rows(k, func() {
				f.loadTo(g.next(), v)
				f.loadTo(Mem{Base: att}, b)
				VFMADD231PS(v, b, sum)
				ADDQ(w.ld, att)
			})
			VMAXPS(sum, zero, sum)
			f.store(sum, Mem{Base: g.column("out")})
			w.advance(f)
		}, g.at)
	})

	function(s, "gathermax", "func(k, c int, idx *int32, table, sub, out *float32)", "writes out = max(largest table[idx[n]] - sub, 0)", func(f *fn) {
		k, c := arg("k"), arg("c")
		g := f.gather(c)
		f.columns(c, func() {
			zero, v := f.Vec(), f.Vec()
			f.Zero(zero)
			g.start("table")
			m := f.load(g.next())
			SUBQ(Imm(4), g.idx)
			f.rows(k, func() {
				f.loadTo(g.next(), v)
				VMAXPS(v, m, m)
			})
			f.loadTo(Mem{Base: g.column("sub")}, v)
			VSUBPS(v, m, m)
			VMAXPS(m, zero, m)
			f.store(m, Mem{Base: g.column("out")})
		}, g.at)
	})

	function(s, "mix", "func(k, c int, idx *int32, table, q, r, w *float32)", "writes w[n] = table[idx[n]] - q + r[n], or without r if it is nil", func(f *fn) {
		k, c, hasR := arg("k"), arg("c"), arg("r")
		g := f.gather(c)
		f.columns(c, func() {
			q, w, v := f.load(Mem{Base: g.column("q")}), g.column("w"), f.Vec()
			g.start("table")
			f.either(hasR, func() {
				r := g.column("r")
				f.rows(k, func() {
					f.loadTo(g.next(), v)
					VSUBPS(q, v, v)
					t := f.load(Mem{Base: r})
					VADDPS(t, v, v)
					f.store(v, Mem{Base: w})
					ADDQ(g.ld, w)
					ADDQ(g.ld, r)
				})
			}, func() {
				f.rows(k, func() {
					f.loadTo(g.next(), v)
					VSUBPS(q, v, v)
					f.store(v, Mem{Base: w})
					ADDQ(g.ld, w)
				})
			})
		}, g.at)
	})

	function(s, "scatter", "func(k, c int, idx *int32, table, dr, dw, sum *float32)", "adds dw[n] to table[idx[n]] and, unless dr is nil, to dr[n], and writes the sum over n", func(f *fn) {
		k, c, hasR := arg("k"), arg("c"), arg("dr")
		g := f.gather(c)
		f.columns(c, func() {
			sum, v, t := f.Vec(), f.Vec(), f.Vec()
			f.Zero(sum)
			w := g.column("dw")
			g.start("table")
			body := func(r reg.GPVirtual) {
				f.rows(k, func() {
					f.loadTo(Mem{Base: w}, v)
					m := g.next()
					f.loadTo(m, t)
					VADDPS(v, t, t)
					f.store(t, m)
					VADDPS(v, sum, sum)
					ADDQ(g.ld, w)
					if r != nil {
						f.loadTo(Mem{Base: r}, t)
						VADDPS(v, t, t)
						f.store(t, Mem{Base: r})
						ADDQ(g.ld, r)
					}
				})
			}
			f.either(hasR, func() { body(g.column("dr")) }, func() { body(nil) })
			f.store(sum, Mem{Base: g.column("sum")})
		}, g.at)
	})

	function(s, "attend", "func(k, c, e int, idx *int32, table, r, att, out *float32)", "writes out = sum of att[n]*(table[idx[n]] + r[n]), the e weights of att repeating over the channels", func(f *fn) {
		k, c, e := arg("k"), arg("c"), arg("e")
		g, w := f.gather(c), f.weights(e)
		f.columns(c, func() {
			sum, v, b := f.Vec(), f.Vec(), f.Vec()
			f.Zero(sum)
			att, r := arg("att"), g.column("r")
			ADDQ(w.at, att)
			g.start("table")
			f.rows(k, func() {
				f.loadTo(g.next(), v)
				f.loadTo(Mem{Base: r}, b)
				VADDPS(b, v, v)
				f.loadTo(Mem{Base: att}, b)
				VFMADD231PS(v, b, sum)
				ADDQ(w.ld, att)
				ADDQ(g.ld, r)
			})
			f.store(sum, Mem{Base: g.column("out")})
			w.advance(f)
		}, g.at)
	})

	function(s, "attendgrad", "func(k, c, e int, idx *int32, table, r, att, dout, dtable, dr, datt *float32)", "is the gradient of attend: it adds to dtable and to datt and writes dr", func(f *fn) {
		k, c, e := arg("k"), arg("c"), arg("e")
		g, w := f.gather(c), f.weights(e)
		f.columns(c, func() {
			d, v, b := f.load(Mem{Base: g.column("dout")}), f.Vec(), f.Vec()
			att, datt, r, dr := arg("att"), arg("datt"), g.column("r"), g.column("dr")
			ADDQ(w.at, att)
			ADDQ(w.at, datt)
			dt := g.column("dtable")
			g.start("table")
			f.rows(k, func() {
				m := g.next()
				f.loadTo(m, v)
				f.loadTo(Mem{Base: r}, b)
				VADDPS(b, v, v)
				f.loadTo(Mem{Base: datt}, b)
				VFMADD231PS(v, d, b)
				f.store(b, Mem{Base: datt})
				f.loadTo(Mem{Base: att}, b)
				VMULPS(d, b, b)
				f.store(b, Mem{Base: dr})
				m.Base = dt
				f.loadTo(m, v)
				VADDPS(b, v, v)
				f.store(v, m)
				ADDQ(w.ld, att)
				ADDQ(w.ld, datt)
				ADDQ(g.ld, r)
				ADDQ(g.ld, dr)
			})
			w.advance(f)
		}, g.at)
	})

	function(s, "rowmax", "func(k, c int, x, out *float32, arg *int32)", "writes the largest of the k rows of each column and the first row that holds it", func(f *fn) {
		k, c, x, out, arg := arg("k"), arg("c"), arg("x"), arg("out"), arg("arg")
		ld := stride(c)
		f.columns(c, func() {
			p, n := copyOf(x), GP32()
			m, at, cur, v := f.load(Mem{Base: p}), f.Vec(), f.Vec(), f.Vec()
			f.Zero(at)
			XORL(n, n)
			f.rows(k, func() {
				f.loadTo(Mem{Base: p}, v)
				t := XMM()
				VMOVD(n, t)
				VPBROADCASTD(t, cur)
				if f.Masked() {
					kr := K()
					VCMPPS(Imm(0x1e), m, v, kr)
					VMOVAPS(v, kr, m)
					VMOVAPS(cur, kr, at)
				} else {
					mask := f.Vec()
					VCMPPS(Imm(0x1e), m, v, mask)
					VBLENDVPS(mask, v, m, m)
					VBLENDVPS(mask, cur, at, at)
				}
				INCL(n)
				ADDQ(ld, p)
			})
			f.store(m, Mem{Base: out})
			f.store(at, Mem{Base: arg})
		}, x, out, arg)
	})
}
