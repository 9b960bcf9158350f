//go:build avo

package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// vectors maps names of constants to 64 bytes that repeat them.
var vectors = map[string]Mem{}

func constants() {
	put := func(name string, bits uint32) {
		m := GLOBL("vec_"+name, RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(bits))
		}
		vectors[name] = m
	}
	for _, c := range []struct {
		name string
		v    float32
	}{{"low", -87}, {"high", 87}, {"log2e", 1.44269504}, {"shift", 12582912}, {"ln2hi", 0.693359375}, {"ln2lo", 2.12194440e-4},
		{"e0", 1.9875691500e-4}, {"e1", 1.3981999507e-3}, {"e2", 8.3334519073e-3}, {"e3", 4.1665795894e-2}, {"e4", 1.6666665459e-1}, {"e5", 5.0000001201e-1},
		{"one", 1}, {"half", 0.5}, {"minushalf", -0.5}, {"p", 0.3275911 * 0.70710678}, {"density", 0.39894228},
		{"g0", 1.061405429}, {"g1", -1.453152027}, {"g2", 1.421413741}, {"g3", -0.284496736}, {"g4", 0.254829592}} {
		put(c.name, math.Float32bits(c.v))
	}
	bias := int64(127) - 0x4B400000
	put("bias", uint32(bias))
	put("abs", 0x7fffffff)
}

func (f *fn) constant(name string) reg.VecVirtual {
	v := f.Vec()
	VMOVUPS(vectors[name], v)
	return v
}

// expRange holds the bounds of exponents.
type expRange struct{ low, high reg.VecVirtual }

func (f *fn) expRange() expRange { return expRange{f.constant("low"), f.constant("high")} }

// exp replaces v by its exponential, by the steps of exp32 in package nn.
func (f *fn) exp(r expRange, v reg.VecVirtual) {
	VMAXPS(v, r.low, v) // a NaN in v stays
	VMINPS(v, r.high, v)
	t, n, p := f.constant("shift"), f.Vec(), f.constant("e0")
	VFMADD231PS(vectors["log2e"], v, t)
	VSUBPS(vectors["shift"], t, n)
	VFNMADD231PS(vectors["ln2hi"], n, v)
	VFMADD231PS(vectors["ln2lo"], n, v)
	for _, c := range []string{"e1", "e2", "e3", "e4", "e5"} {
		VFMADD213PS(vectors[c], v, p)
	}
	VMULPS(v, p, p)
	VFMADD213PS(v, v, p)
	VADDPS(vectors["one"], p, p)
	VPADDD(vectors["bias"], t, t)
	VPSLLD(Imm(23), t, t)
	VMULPS(t, p, v)
}

// exponentials emits softmax and GELU.
func exponentials(s isa.Set) {
	function(s, "exprow", "func(n int, x, y *float32, top float32) float32", "writes y = exp(x-top) and returns the sum", func(f *fn) {
		n, x, y, top := arg("n"), arg("x"), arg("y"), f.broadcast("top")
		r, sum := f.expRange(), f.Vec()
		f.Zero(sum)
		f.columns(n, func() {
			v := f.load(Mem{Base: x})
			VSUBPS(top, v, v)
			f.exp(r, v)
			f.store(v, Mem{Base: y})
			if f.Masked() {
				VADDPS(v, sum, f.mask, sum)
			} else {
				VADDPS(v, sum, sum)
			}
		}, x, y)
		isa.ReturnFloat(f.total(sum), 0)
	})

	function(s, "softcols", "func(k, c int, x, h, hs *float32)", "takes the softmax of each of c columns over k rows in place and, unless h is nil, sums the rows times each of the 3 columns of h [k, 3] to hs [3, c]", func(f *fn) {
		k, c, x, h, hs := arg("k"), arg("c"), arg("x"), arg("h"), arg("hs")
		r, ld := f.expRange(), stride(c)
		f.columns(c, func() {
			p, v := copyOf(x), f.Vec()
			m := f.load(Mem{Base: p})
			f.rows(k, func() {
				f.loadTo(Mem{Base: p}, v)
				VMAXPS(v, m, m)
				ADDQ(ld, p)
			})
			sum := f.Vec()
			f.Zero(sum)
			MOVQ(x, p)
			f.rows(k, func() {
				f.loadTo(Mem{Base: p}, v)
				VSUBPS(m, v, v)
				f.exp(r, v)
				f.store(v, Mem{Base: p})
				VADDPS(v, sum, sum)
				ADDQ(ld, p)
			})
			inv := f.constant("one")
			VDIVPS(sum, inv, inv)
			MOVQ(x, p)
			f.either(h, func() {
				var a [3]reg.VecVirtual
				for d := range a {
					a[d] = f.Vec()
					f.Zero(a[d])
				}
				g, b := copyOf(h), f.Vec()
				f.rows(k, func() {
					f.loadTo(Mem{Base: p}, v)
					VMULPS(inv, v, v)
					f.store(v, Mem{Base: p})
					for d := range a {
						VBROADCASTSS(Mem{Base: g, Disp: 4 * d}, b)
						VFMADD231PS(b, v, a[d])
					}
					ADDQ(Imm(12), g)
					ADDQ(ld, p)
				})
				o := copyOf(hs)
				for d := range a {
					f.store(a[d], Mem{Base: o})
					ADDQ(ld, o)
				}
			}, func() {
				f.rows(k, func() {
					f.loadTo(Mem{Base: p}, v)
					VMULPS(inv, v, v)
					f.store(v, Mem{Base: p})
					ADDQ(ld, p)
				})
			})
		}, x, hs)
	})

	function(s, "softcolsgrad", "func(k, c int, y, dy *float32)", "replaces dy by y*(dy - sum of y*dy), the sum over the k rows of each column", func(f *fn) {
		k, c, y, dy := arg("k"), arg("c"), arg("y"), arg("dy")
		ld := stride(c)
		f.columns(c, func() {
			p, g, dot, v, d := copyOf(y), copyOf(dy), f.Vec(), f.Vec(), f.Vec()
			f.Zero(dot)
			f.rows(k, func() {
				f.loadTo(Mem{Base: p}, v)
				f.loadTo(Mem{Base: g}, d)
				VFMADD231PS(v, d, dot)
				ADDQ(ld, p)
				ADDQ(ld, g)
			})
			MOVQ(y, p)
			MOVQ(dy, g)
			f.rows(k, func() {
				f.loadTo(Mem{Base: p}, v)
				f.loadTo(Mem{Base: g}, d)
				VSUBPS(dot, d, d)
				VMULPS(v, d, d)
				f.store(d, Mem{Base: g})
				ADDQ(ld, p)
				ADDQ(ld, g)
			})
		}, y, dy)
	})

	function(s, "gelu", "func(n int, x, y, slope *float32)", "writes the Gaussian error linear unit of x and its slope", func(f *fn) {
		n, x, y, slope := arg("n"), arg("x"), arg("y"), arg("slope")
		r, zero := f.expRange(), f.Vec()
		f.Zero(zero)
		f.columns(n, func() {
			v := f.load(Mem{Base: x})
			e := f.Vec()
			VMULPS(v, v, e)
			VMULPS(vectors["minushalf"], e, e)
			f.exp(r, e)
			t, h := f.Vec(), f.constant("g0")
			if f.Masked() {
				VPANDD(vectors["abs"], v, t)
			} else {
				VPAND(vectors["abs"], v, t)
			}
			d := f.constant("one")
			VFMADD231PS(vectors["p"], t, d)
			VMOVUPS(vectors["one"], t)
			VDIVPS(d, t, t)
			for _, c := range []string{"g1", "g2", "g3", "g4"} {
				VFMADD213PS(vectors[c], t, h)
			}
			VMULPS(vectors["half"], t, t)
			VMULPS(t, h, h)
			VMULPS(e, h, h)
			phi := f.constant("one")
			VSUBPS(h, phi, phi)
			if f.Masked() {
				k := K()
				VCMPPS(Imm(0x1e), zero, v, k)
				VMOVAPS(phi, k, h)
			} else {
				m := f.Vec()
				VCMPPS(Imm(0x1e), zero, v, m)
				VBLENDVPS(m, phi, h, h)
			}
			VMULPS(v, h, t)
			f.store(t, Mem{Base: y})
			VMULPS(vectors["density"], v, v)
			VFMADD231PS(e, v, h)
			f.store(h, Mem{Base: slope})
		}, x, y, slope)
	})
}

// rowwise emits what layer norm and the softmax of rows need besides.
func rowwise(s isa.Set) {
	function(s, "rowtop", "func(n int, x *float32) float32", "returns the largest of n values", func(f *fn) {
		n, x := arg("n"), arg("x")
		top := f.Vec()
		VBROADCASTSS(Mem{Base: x}, top)
		f.columns(n, func() {
			v := f.load(Mem{Base: x})
			if f.Masked() {
				VMAXPS(v, top, f.mask, top)
			} else {
				VMAXPS(v, top, top)
			}
		}, x)
		half, q, r := YMM(), XMM(), XMM()
		if f.Masked() {
			VEXTRACTF64X4(Imm(1), top, half)
			VMAXPS(top.AsY(), half, half)
		} else {
			VMOVAPS(top, half)
		}
		VEXTRACTF128(Imm(1), half, q)
		VMAXPS(half.AsX(), q, q)
		VMOVHLPS(q, q, r)
		VMAXPS(r, q, q)
		VPSHUFD(Imm(1), q, r)
		VMAXSS(r, q, q)
		isa.ReturnFloat(q, 0)
	})
	function(s, "scalerow", "func(n int, a float32, x *float32)", "multiplies n values by a", func(f *fn) {
		n, a, x := arg("n"), f.broadcast("a"), arg("x")
		f.columns(n, func() {
			v := f.load(Mem{Base: x})
			VMULPS(a, v, v)
			f.store(v, Mem{Base: x})
		}, x)
	})
	function(s, "normrow", "func(n int, mean, inv float32, x, y, w, b *float32)", "writes y = (x-mean)*inv*w + b", func(f *fn) {
		n, mean, inv := arg("n"), f.broadcast("mean"), f.broadcast("inv")
		x, y, w, b := arg("x"), arg("y"), arg("w"), arg("b")
		f.columns(n, func() {
			v, c, d := f.load(Mem{Base: x}), f.load(Mem{Base: w}), f.load(Mem{Base: b})
			VSUBPS(mean, v, v)
			VMULPS(inv, v, v)
			VFMADD213PS(d, c, v)
			f.store(v, Mem{Base: y})
		}, x, y, w, b)
	})
	function(s, "softrowgrad", "func(n int, y, x, dy *float32, sums *[2]float32)", "replaces dy by y*(dy - sum of y*dy) and adds its sum and that of its products with x to sums", func(f *fn) {
		n, y, x, dy := arg("n"), arg("y"), arg("x"), arg("dy")
		dot, a, b := f.Vec(), f.Vec(), f.Vec()
		f.Zero(dot)
		f.Zero(a)
		f.Zero(b)
		m, p, q := copyOf(n), copyOf(y), copyOf(dy)
		f.columns(m, func() {
			v, d := f.load(Mem{Base: p}), f.load(Mem{Base: q})
			VFMADD231PS(v, d, dot) // lanes beyond the mask are zero
		}, p, q)
		t := f.total(dot)
		VBROADCASTSS(t, dot)
		f.columns(n, func() {
			v, d, z := f.load(Mem{Base: y}), f.load(Mem{Base: dy}), f.load(Mem{Base: x})
			VSUBPS(dot, d, d)
			VMULPS(v, d, d)
			f.store(d, Mem{Base: dy})
			VADDPS(d, a, a)
			VFMADD231PS(z, d, b)
		}, y, dy, x)
		sums := arg("sums")
		for i, v := range []reg.VecVirtual{a, b} {
			t := f.total(v)
			VADDSS(Mem{Base: sums, Disp: 4 * i}, t, t)
			VMOVSS(t, Mem{Base: sums, Disp: 4 * i})
		}
	})
}

// total returns the sum of v's lanes.
func (f *fn) total(v reg.VecVirtual) reg.VecVirtual {
	half, q := YMM(), XMM()
	if f.Masked() {
		VEXTRACTF64X4(Imm(1), v, half)
		VADDPS(v.AsY(), half, half)
	} else {
		VMOVAPS(v, half)
	}
	VEXTRACTF128(Imm(1), half, q)
	VADDPS(half.AsX(), q, q)
	VHADDPS(q, q, q)
	VHADDPS(q, q, q)
	return q
}
