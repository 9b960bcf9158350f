//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// axpy emits y += alpha*x for n a multiple of 8.
func axpy() {
	TEXT("axpyavx2", NOSPLIT|NOFRAME, "func(n int, alpha float32, x, y *float32)")
	Pragma("noescape")
	Doc("axpyavx2 adds alpha*x to y; n is a positive multiple of 8.")
	isa.FlushSubnormals()
	n := Load(Param("n"), GP64())
	x := Load(Param("x"), GP64())
	y := Load(Param("y"), GP64())
	al := YMM()
	alpha := isa.Float("alpha")
	VBROADCASTSS(alpha, al)
	Label("loop")
	v := YMM()
	VMOVUPS(Mem{Base: y}, v)
	VFMADD231PS(Mem{Base: x}, al, v)
	VMOVUPS(v, Mem{Base: y})
	ADDQ(Imm(32), x)
	ADDQ(Imm(32), y)
	SUBQ(Imm(8), n)
	JNZ(LabelRef("loop"))
	isa.End()
}

// adam emits one Adam step with coupled weight decay on n a multiple of 8.
func adam() {
	TEXT("adamavx2", NOSPLIT|NOFRAME, "func(n int, w, grad, m, v *float32, c *[8]float32)")
	Pragma("noescape")
	Doc("adamavx2 updates w, m, v from grad; c = decay, beta1, 1-beta1, beta2, 1-beta2, lr/bias1, 1/sqrt(bias2), eps; n is a positive multiple of 8.")
	isa.FlushSubnormals()
	n := Load(Param("n"), GP64())
	w := Load(Param("w"), GP64())
	g := Load(Param("grad"), GP64())
	m := Load(Param("m"), GP64())
	v := Load(Param("v"), GP64())
	c := Load(Param("c"), GP64())
	k := make([]reg.VecVirtual, 8)
	for i := range k {
		k[i] = YMM()
		VBROADCASTSS(Mem{Base: c, Disp: 4 * i}, k[i])
	}
	Label("loop")
	wv, gv, mv, vv, t := YMM(), YMM(), YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: w}, wv)
	VMOVUPS(Mem{Base: g}, gv)
	VFMADD231PS(wv, k[0], gv) // g += decay*w
	VMULPS(Mem{Base: m}, k[1], mv)
	VFMADD231PS(gv, k[2], mv)
	VMOVUPS(mv, Mem{Base: m})
	VMULPS(gv, gv, t)
	VMULPS(Mem{Base: v}, k[3], vv)
	VFMADD231PS(t, k[4], vv)
	VMOVUPS(vv, Mem{Base: v})
	VSQRTPS(vv, vv)
	VMULPS(k[6], vv, vv)
	VADDPS(k[7], vv, vv)
	VMULPS(k[5], mv, mv)
	VDIVPS(vv, mv, mv)
	VSUBPS(mv, wv, wv)
	VMOVUPS(wv, Mem{Base: w})
	for _, p := range []reg.GPVirtual{w.(reg.GPVirtual), g.(reg.GPVirtual), m.(reg.GPVirtual), v.(reg.GPVirtual)} {
		ADDQ(Imm(32), p)
	}
	SUBQ(Imm(8), n)
	JNZ(LabelRef("loop"))
	isa.End()
}
