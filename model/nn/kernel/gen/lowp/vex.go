//go:build avo

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// The kernels for processors with AVX-VNNI, most of which have no AVX-512:
// sixteen registers of 256 bits.

const (
	pixelsVEX  = 6      // output positions of a tile
	vectorsVEX = 2      // of eight output channels each
	rowBytes   = 32 * 4 // of a step's weights, and of a position's sums
)

var ymm = []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10,
	reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}

// vpdpbusd emits the instruction VEX.256.66.0F38.W0 50 /r on registers: dst +=
// unsigned a * signed b. Go's assembler has only the EVEX form, which such
// processors lack.
func vpdpbusd(dst, a, b int) {
	bit := func(r int) uint32 { return uint32(1 - r>>3&1) }
	emit("LONG", U32(0xc4|(bit(dst)<<7|1<<6|bit(b)<<5|2)<<8|uint32(^a&15<<3|1<<2|1)<<16|0x50<<24))
	emit("BYTE", U8(0xc0|dst&7<<3|b&7))
}

// dotVEX emits the product of 6 positions x 16 output channels, summed over all
// taps and input channels; the weights and sums of the panel's other 16 lie
// beside them.
func dotVEX(name string) {
	TEXT(name, NOSPLIT, "func(x *byte, off *int32, delta *int, taps, bytes int, w *byte, acc *int32)")
	Pragma("noescape")
	Doc(name + " sums products of unsigned activations and signed weights, four channels at a time, in int32, for 6 positions x 16 outputs.")
	tap, count, start, k, w := reg.R9, reg.R10, reg.R11, reg.RAX, reg.R13
	p := ptr[:pixelsVEX]

	loadPointers(p, k, w, start)
	Load(Param("delta"), tap)
	Load(Param("taps"), count)
	Load(Param("w"), w)
	for i := range pixelsVEX * vectorsVEX {
		VPXOR(ymm[i], ymm[i], ymm[i])
	}
	weights, a := pixelsVEX*vectorsVEX, pixelsVEX*vectorsVEX+vectorsVEX
	Label("tap")
	MOVQ(start, k)
	Label("channels")
	for j := range vectorsVEX {
		VMOVDQU(Mem{Base: w, Disp: 32 * j}, ymm[weights+j])
	}
	for i, p := range p {
		VPBROADCASTD(Mem{Base: p, Index: k, Scale: 1}, ymm[a+i%2])
		for j := range vectorsVEX {
			vpdpbusd(vectorsVEX*i+j, a+i%2, weights+j)
		}
	}
	ADDQ(I32(rowBytes), w)
	ADDQ(Imm(4), k)
	JNZ(LabelRef("channels"))
	DECQ(count)
	JZ(LabelRef("done"))
	MOVQ(Mem{Base: tap}, k)
	ADDQ(Imm(8), tap)
	for _, p := range p {
		ADDQ(k, p)
	}
	JMP(LabelRef("tap"))

	Label("done")
	Load(Param("acc"), w)
	for i := range pixelsVEX {
		for j := range vectorsVEX {
			VMOVDQU(ymm[vectorsVEX*i+j], Mem{Base: w, Disp: rowBytes*i + 32*j})
		}
	}
	VZEROUPPER()
	RET()
}

// rowsVEX emits the end of a convolution for a run of positions x whole vectors
// of eight channels.
func rowsVEX(name string, fromInt bool) {
	TEXT(name, NOSPLIT, "func(acc *int32, accStride int, scale, bias, res, out *float32, stride int, low *byte, off *int32, n, vectors int, floor, inv float32)")
	Pragma("noescape")
	from := "float32"
	if fromInt {
		from = "int32"
	}
	Doc(fmt.Sprintf("%s scales %s sums, adds bias and residual, bounds them below and stores float32 and uint8, n rows of whole vectors of 8.", name, from))
	acc, accStride, scale, bias, res, out, stride := reg.RAX, reg.RCX, reg.R11, reg.R12, reg.RDX, reg.RBX, reg.RSI
	low, off, n, at, j, end := reg.RDI, reg.R8, reg.R9, reg.R10, reg.R13, reg.R15
	v, packed, floor, inv, top := reg.Y0, reg.X1, reg.Y2, reg.Y3, reg.Y4
	for _, c := range []struct {
		name string
		to   reg.VecPhysical
	}{{"floor", floor}, {"inv", inv}} {
		isa.LoadFloat(c.name, v.AsX())
		VBROADCASTSS(v.AsX(), c.to)
	}
	MOVL(U32(0x437f0000), at.As32()) // 255
	VMOVD(at.As32(), v.AsX())
	VBROADCASTSS(v.AsX(), top)
	Load(Param("acc"), acc)
	Load(Param("accStride"), accStride)
	Load(Param("scale"), scale)
	Load(Param("bias"), bias)
	Load(Param("res"), res)
	Load(Param("out"), out)
	Load(Param("stride"), stride)
	Load(Param("low"), low)
	Load(Param("off"), off)
	Load(Param("n"), n)
	Load(Param("vectors"), end)
	SHLQ(Imm(5), end)
	beside := func(base reg.Register) Mem { return Mem{Base: base, Index: j, Scale: 1} }

	Label("row")
	XORQ(j, j)
	TESTQ(low, low)
	JZ(LabelRef("vector"))
	MOVLQSX(Mem{Base: off}, at)
	ADDQ(low, at)
	ADDQ(Imm(4), off)
	Label("vector")
	if fromInt {
		VCVTDQ2PS(beside(acc), v)
	} else {
		VMOVUPS(beside(acc), v)
	}
	VMULPS(beside(scale), v, v)
	VADDPS(beside(bias), v, v)
	TESTQ(res, res)
	JZ(LabelRef("bound"))
	VADDPS(beside(res), v, v)
	Label("bound")
	VMAXPS(floor, v, v)
	TESTQ(out, out)
	JZ(LabelRef("low"))
	VMOVUPS(v, beside(out))
	Label("low")
	TESTQ(low, low)
	JZ(LabelRef("next"))
	VMULPS(inv, v, v)
	VMINPS(top, v, v)
	VCVTPS2DQ(v, v)
	VEXTRACTI128(Imm(1), v, packed)
	VPACKUSDW(packed, v.AsX(), packed)
	VPACKUSWB(packed, packed, packed)
	VMOVQ(packed, Mem{Base: at})
	ADDQ(Imm(8), at)
	Label("next")
	ADDQ(Imm(32), j)
	CMPQ(j, end)
	JLT(LabelRef("vector"))
	ADDQ(accStride, acc)
	TESTQ(res, res)
	JZ(LabelRef("noResidual"))
	ADDQ(stride, res)
	Label("noResidual")
	TESTQ(out, out)
	JZ(LabelRef("noOutput"))
	ADDQ(stride, out)
	Label("noOutput")
	DECQ(n)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
