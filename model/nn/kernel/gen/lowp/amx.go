//go:build avo

package main

import (
	"encoding/binary"
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// The kernels on AMX's tiles of 16 rows x 64 bytes. Four tiles hold the sums of
// 32 positions x 32 outputs, two the activations of 16 positions each, two the
// weights of 16 outputs each.

const (
	tileRows = 16
	tileStep = 64 // bytes of activations a product takes at once
)

// tileConfig writes what LDTILECFG reads: palette 1, all eight tiles whole.
func tileConfig(name string) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	var b [64]byte
	b[0] = 1
	for i := range 8 {
		b[16+2*i], b[48+i] = tileStep, tileRows
	}
	for i := 0; i < len(b); i += 8 {
		DATA(i, U64(binary.LittleEndian.Uint64(b[i:])))
	}
	return m
}

// tiles emits the sums of 32 positions x panels of 32 output channels over all
// taps and input channels.
func tiles(name, what string, config Mem, multiply func(dst, a, b int) isa.Code) {
	TEXT(name, NOSPLIT, "func(first, second *byte, step int, delta *int, taps, steps int, w *byte, panels int, acc *int32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sums %s, for 32 positions x panels of 32 outputs.", name, what))
	x0, x1, a0, a1, stride, w, wStride := reg.RAX, reg.RCX, reg.RDX, reg.RBX, reg.RSI, reg.RDI, reg.R8
	panels, acc, taps, delta, k := reg.R9, reg.R10, reg.R11, reg.R12, reg.R13
	LEAQ(config, k)
	isa.Emit(isa.LDTILECFG(isa.Number(k)))
	Load(Param("first"), x0)
	Load(Param("second"), x1)
	Load(Param("step"), stride)
	Load(Param("w"), w)
	MOVQ(I32(rowBytes), wStride)
	Load(Param("panels"), panels)
	Load(Param("acc"), acc)
	Label("panel")
	for i := range 4 {
		isa.Emit(isa.TILEZERO(i))
	}
	MOVQ(x0, a0)
	MOVQ(x1, a1)
	Load(Param("delta"), delta)
	Load(Param("taps"), taps)
	Label("tap")
	Load(Param("steps"), k)
	Label("channels")
	n := isa.Number
	isa.Emit(isa.TILELOADD(4, n(a0), n(stride), 0))
	isa.Emit(isa.TILELOADD(6, n(w), n(wStride), 0))
	isa.Emit(multiply(0, 4, 6))
	isa.Emit(isa.TILELOADD(7, n(w), n(wStride), 64))
	isa.Emit(multiply(1, 4, 7))
	isa.Emit(isa.TILELOADD(5, n(a1), n(stride), 0))
	isa.Emit(multiply(2, 5, 6))
	isa.Emit(multiply(3, 5, 7))
	ADDQ(Imm(tileStep), a0)
	ADDQ(Imm(tileStep), a1)
	ADDQ(I32(tileRows*rowBytes), w)
	DECQ(k)
	JNZ(LabelRef("channels"))
	Load(Param("steps"), k)
	SHLQ(Imm(6), k)
	NEGQ(k)
	ADDQ(Mem{Base: delta}, k)
	ADDQ(Imm(8), delta)
	ADDQ(k, a0)
	ADDQ(k, a1)
	DECQ(taps)
	JNZ(LabelRef("tap"))
	for i := range 4 {
		isa.Emit(isa.TILESTORED(n(acc), n(wStride), i/2*tileRows*rowBytes+i%2*64, i))
	}
	ADDQ(I32(2*tileRows*rowBytes), acc)
	DECQ(panels)
	JNZ(LabelRef("panel"))
	isa.Emit(isa.TILERELEASE())
	RET()
}
