// Command gen writes the amd64 matrix-multiply micro-kernels of package
// kernel. Run it with go generate in model/nn/kernel.
//
//go:build avo

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	microKernel("avx512x2", 12, 2, 64, true)
	microKernel("avx512x1", 12, 1, 64, true)
	microKernel("avx2x2", 6, 2, 32, false)
	microKernel("avx2x1", 6, 1, 32, false)
	axpy()
	adam()
	Generate()
}

// microKernel emits C[mr x nv*lanes] = A*B (acc 0) or C += A*B (acc 1), where A is packed
// k x mr and B is packed k x (nv*lanes); ldc is in elements.
func microKernel(name string, mr, nv, width int, zmm bool) {
	TEXT("micro"+name, NOSPLIT|NOFRAME, "func(k int, a, b, c *float32, ldc int, acc int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("micro%s multiplies a packed k x %d panel by a packed k x %d panel.", name, mr, nv*width/4))
	k := Load(Param("k"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	c := Load(Param("c"), GP64())
	ldc := Load(Param("ldc"), GP64())
	acc := Load(Param("acc"), GP64())
	SHLQ(Imm(2), ldc)

	vec := func() reg.VecVirtual {
		if zmm {
			return ZMM()
		}
		return YMM()
	}
	sum := make([]reg.VecVirtual, mr*nv)
	for i := range sum {
		sum[i] = vec()
		if zmm {
			VPXORD(sum[i], sum[i], sum[i])
		} else {
			VXORPS(sum[i], sum[i], sum[i])
		}
	}
	bv := make([]reg.VecVirtual, nv)
	for i := range bv {
		bv[i] = vec()
	}
	av := []reg.VecVirtual{vec(), vec()}

	TESTQ(k, k)
	JZ(LabelRef("store"))
	Label("loop")
	for j := range bv {
		VMOVUPS(Mem{Base: b, Disp: j * width}, bv[j])
	}
	for i := range mr {
		v := av[i%2]
		VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, v)
		for j := range bv {
			VFMADD231PS(v, bv[j], sum[i*nv+j])
		}
	}
	ADDQ(Imm(uint64(4*mr)), a)
	ADDQ(I32(int32(nv*width)), b)
	DECQ(k)
	JNZ(LabelRef("loop"))

	Label("store")
	TESTQ(acc, acc)
	JZ(LabelRef("overwrite"))
	p := GP64()
	MOVQ(c, p)
	for i := range mr {
		for j := range nv {
			VADDPS(Mem{Base: p, Disp: j * width}, sum[i*nv+j], sum[i*nv+j])
		}
		if i < mr-1 {
			ADDQ(ldc, p)
		}
	}
	Label("overwrite")
	for i := range mr {
		for j := range nv {
			VMOVUPS(sum[i*nv+j], Mem{Base: c, Disp: j * width})
		}
		if i < mr-1 {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// axpy emits y += alpha*x for n a multiple of 8.
func axpy() {
	TEXT("axpyavx2", NOSPLIT|NOFRAME, "func(n int, alpha float32, x, y *float32)")
	Pragma("noescape")
	Doc("axpyavx2 adds alpha*x to y; n is a positive multiple of 8.")
	n := Load(Param("n"), GP64())
	x := Load(Param("x"), GP64())
	y := Load(Param("y"), GP64())
	al := YMM()
	alpha := Load(Param("alpha"), XMM())
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
	VZEROUPPER()
	RET()
}

// adam emits one Adam step with coupled weight decay on n a multiple of 8.
func adam() {
	TEXT("adamavx2", NOSPLIT|NOFRAME, "func(n int, w, grad, m, v *float32, c *[8]float32)")
	Pragma("noescape")
	Doc("adamavx2 updates w, m, v from grad; c = decay, beta1, 1-beta1, beta2, 1-beta2, lr/bias1, 1/sqrt(bias2), eps; n is a positive multiple of 8.")
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
	VZEROUPPER()
	RET()
}
