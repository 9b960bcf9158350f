// Command lowp writes the kernels of package kernel that convolve in int8
// (AMX, AVX512-VNNI, AVX-VNNI) and bfloat16 (AMX, AVX512-BF16). Run it with go generate
// in model/nn/kernel.
//
//go:build avo

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

const pixels = 12 // output positions of a tile

// All registers are physical: the bfloat16 instructions are encoded by hand,
// for neither avo nor Go's assembler knows them.
var (
	zmm = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
		reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22,
		reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
	ptr = []reg.GPPhysical{reg.RCX, reg.RDX, reg.RBX, reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.R15}
)

func main() {
	ConstraintExpr("amd64")
	dot("lowDotInt8", "products of unsigned activations and signed weights, four channels at a time, in int32", func(w, a, acc int) {
		Instruction(&ir.Instruction{Opcode: "VPDPBUSD", Operands: []Op{zmm[w], zmm[a], zmm[acc]},
			Inputs: []Op{zmm[w], zmm[a], zmm[acc]}, Outputs: []Op{zmm[acc]}})
	})
	dot("lowDotBF16", "bfloat16 products, two channels at a time, in float32", func(w, a, acc int) {
		evex(0x52, acc, a, w)
	})
	rows("lowRowsInt8", true, true)
	rows("lowRowsBF16", false, false)
	rows("lowRowsFloat8", false, true)
	dotVEX("lowDotVEX")
	rowsVEX("lowRowsInt8VEX", true)
	rowsVEX("lowRowsFloat8VEX", false)
	config := tileConfig("lowTileConfig")
	tiles("lowTilesInt8", "products of unsigned activations and signed weights in int32", config, isa.TDPBUSD)
	tiles("lowTilesBF16", "bfloat16 products in float32", config, isa.TDPBF16PS)
	Generate()
}

// evex emits the 512-bit instruction EVEX.512.F3.0F38.W0 opcode /r on registers
// dst, a (the one in vvvv) and b.
func evex(opcode byte, dst, a, b int) {
	bit := func(r, k int) byte { return byte(1 - r>>k&1) }
	code := []byte{0x62,
		bit(dst, 3)<<7 | bit(b, 4)<<6 | bit(b, 3)<<5 | bit(dst, 4)<<4 | 2,
		byte(^a&15)<<3 | 4 | 2,
		2<<5 | bit(a, 4)<<3,
		opcode,
		0xc0 | byte(dst&7)<<3 | byte(b&7)}
	emit("LONG", U32(uint32(code[0])|uint32(code[1])<<8|uint32(code[2])<<16|uint32(code[3])<<24))
	emit("WORD", U16(uint16(code[4])|uint16(code[5])<<8))
}

// emit writes a number among the instructions.
func emit(op string, v Op) {
	Instruction(&ir.Instruction{Opcode: op, Operands: []Op{v}})
}

// loadPointers emits how every position's pointer comes to stand behind the first
// tap's channels, so that k can count from start up to 0; w is lost.
func loadPointers(ptr []reg.GPPhysical, k, w reg.GPPhysical, start Op) {
	Load(Param("bytes"), k)
	Load(Param("off"), w)
	for i, p := range ptr {
		MOVLQSX(Mem{Base: w, Disp: 4 * i}, p)
		ADDQ(k, p)
	}
	NEGQ(k)
	MOVQ(k, start)
	Load(Param("x"), k)
	for _, p := range ptr {
		ADDQ(k, p)
	}
}

// dot emits the product of a tile: 12 positions x 32 output channels, summed
// over all taps and input channels.
func dot(name, what string, multiply func(w, a, acc int)) {
	TEXT(name, NOSPLIT, "func(x *byte, off *int32, delta *int, taps, bytes int, w *byte, acc *int32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sums %s.", name, what))
	local := AllocLocal(24)
	tap, count, start := local, local.Offset(8), local.Offset(16)
	k, w := reg.RAX, reg.R14

	Load(Param("delta"), k)
	MOVQ(k, tap)
	Load(Param("taps"), k)
	MOVQ(k, count)
	loadPointers(ptr, k, w, start)
	Load(Param("w"), w)
	for i := range 2 * pixels {
		VPXORD(zmm[i], zmm[i], zmm[i])
	}
	Label("tap")
	MOVQ(start, k)
	Label("channels")
	VMOVDQU32(Mem{Base: w}, zmm[24])
	VMOVDQU32(Mem{Base: w, Disp: 64}, zmm[25])
	for i, p := range ptr {
		a := 26 + i%6
		VPBROADCASTD(Mem{Base: p, Index: k, Scale: 1}, zmm[a])
		multiply(24, a, 2*i)
		multiply(25, a, 2*i+1)
	}
	ADDQ(I32(128), w)
	ADDQ(Imm(4), k)
	JNZ(LabelRef("channels"))
	DECQ(count)
	JZ(LabelRef("done"))
	MOVQ(tap, k)
	ADDQ(Imm(8), tap)
	MOVQ(Mem{Base: k}, k)
	for _, p := range ptr {
		ADDQ(k, p)
	}
	JMP(LabelRef("tap"))

	Label("done")
	Load(Param("acc"), w)
	for i := range 2 * pixels {
		VMOVDQU32(zmm[i], Mem{Base: w, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

// rows emits the end of a convolution for a run of positions x 32 channels:
// max(sum*scale + bias + residual, floor), written as float32 and in the low
// format as the rows ask.
func rows(name string, fromInt, toInt bool) {
	TEXT(name, NOSPLIT, "func(acc *int32, accStride int, scale, bias, res, out *float32, stride int, low *byte, off *int32, n int, mask uint32, floor, inv float32)")
	Pragma("noescape")
	from, to := "float32", "bfloat16"
	if fromInt {
		from = "int32"
	}
	if toInt {
		to = "uint8"
	}
	Doc(fmt.Sprintf("%s scales %s sums, adds bias and residual, bounds them below and stores float32 and %s.", name, from, to))
	acc, accStride, res, out, stride, low, off, n, at := reg.RAX, reg.RCX, reg.RDX, reg.RBX, reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10
	scale := []reg.VecPhysical{zmm[16], zmm[17]}
	bias := []reg.VecPhysical{zmm[18], zmm[19]}
	floor, inv, top := zmm[20], zmm[21], zmm[22]
	mask := []reg.OpmaskPhysical{reg.K1, reg.K2}
	Load(Param("scale"), at)
	for j := range 2 {
		VMOVUPS(Mem{Base: at, Disp: 64 * j}, scale[j])
	}
	Load(Param("bias"), at)
	for j := range 2 {
		VMOVUPS(Mem{Base: at, Disp: 64 * j}, bias[j])
	}
	for _, c := range []struct {
		name string
		to   reg.VecPhysical
	}{{"floor", floor}, {"inv", inv}} {
		v := zmm[0].AsX()
		isa.LoadFloat(c.name, v)
		VBROADCASTSS(v, c.to)
	}
	MOVL(U32(0x437f0000), at.As32()) // 255
	VPBROADCASTD(at.As32(), top)
	Load(Param("mask"), at.As32())
	KMOVW(at.As32(), mask[0])
	SHRQ(Imm(16), at)
	KMOVW(at.As32(), mask[1])
	Load(Param("acc"), acc)
	Load(Param("accStride"), accStride)
	Load(Param("res"), res)
	Load(Param("out"), out)
	Load(Param("stride"), stride)
	Load(Param("low"), low)
	Load(Param("off"), off)
	Load(Param("n"), n)

	Label("row")
	for j := range 2 {
		v := zmm[j]
		if fromInt {
			VCVTDQ2PS(Mem{Base: acc, Disp: 64 * j}, v)
		} else {
			VMOVUPS_Z(Mem{Base: acc, Disp: 64 * j}, mask[j], v)
		}
		VMULPS(scale[j], v, v)
		VADDPS(bias[j], v, v)
	}
	TESTQ(res, res)
	JZ(LabelRef("bound"))
	for j := range 2 {
		VMOVUPS_Z(Mem{Base: res, Disp: 64 * j}, mask[j], zmm[2+j])
		VADDPS(zmm[2+j], zmm[j], zmm[j])
	}
	ADDQ(stride, res)
	Label("bound")
	for j := range 2 {
		VMAXPS(floor, zmm[j], zmm[j])
	}
	TESTQ(out, out)
	JZ(LabelRef("low"))
	for j := range 2 {
		VMOVUPS(zmm[j], mask[j], Mem{Base: out, Disp: 64 * j})
	}
	ADDQ(stride, out)
	Label("low")
	TESTQ(low, low)
	JZ(LabelRef("next"))
	MOVLQSX(Mem{Base: off}, at)
	ADDQ(low, at)
	for j := range 2 {
		if toInt {
			VMULPS(inv, zmm[j], zmm[j])
			VMINPS(top, zmm[j], zmm[j])
			VCVTPS2DQ(zmm[j], zmm[j])
			VPMOVUSDB(zmm[j], mask[j], Mem{Base: at, Disp: 16 * j})
			continue
		}
		evex(0x72, j, 0, j) // VCVTNEPS2BF16
		VMOVDQU16(zmm[j].AsY(), mask[j], Mem{Base: at, Disp: 32 * j})
	}
	ADDQ(Imm(4), off)
	Label("next")
	ADDQ(accStride, acc)
	DECQ(n)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
