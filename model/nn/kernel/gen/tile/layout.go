//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose8 emits the transposition of 8 rows by blocks of 8 columns.
func transpose8() {
	TEXT("transpose8avx2", NOSPLIT|NOFRAME, "func(blocks int, src *float32, lds int, dst *float32, ldd int)")
	Pragma("noescape")
	Doc("transpose8avx2 writes 8 rows of 8*blocks values as 8*blocks rows of 8; lds and ldd are row strides in bytes.")
	n := Load(Param("blocks"), GP64())
	src := Load(Param("src"), GP64())
	lds := Load(Param("lds"), GP64())
	dst := Load(Param("dst"), GP64())
	ldd := Load(Param("ldd"), GP64())
	far := GP64() // row 4
	LEAQ(Mem{Base: src, Index: lds, Scale: 4}, far)
	lds3, ldd3 := GP64(), GP64()
	LEAQ(Mem{Base: lds, Index: lds, Scale: 2}, lds3)
	LEAQ(Mem{Base: ldd, Index: ldd, Scale: 2}, ldd3)
	Label("loop")
	var r [8]reg.VecVirtual
	for i := range r {
		r[i] = YMM()
		m := Mem{Base: src}
		if i >= 4 {
			m.Base = far
		}
		switch i % 4 {
		case 1:
			m.Index, m.Scale = lds, 1
		case 2:
			m.Index, m.Scale = lds, 2
		case 3:
			m.Index, m.Scale = lds3, 1
		}
		VMOVUPS(m, r[i])
	}
	var p [8]reg.VecVirtual // pairs of rows interleaved
	for i := range p {
		p[i] = YMM()
	}
	for i := 0; i < 8; i += 2 {
		VUNPCKLPS(r[i+1], r[i], p[i])
		VUNPCKHPS(r[i+1], r[i], p[i+1])
	}
	var q [8]reg.VecVirtual // quads: columns 0 to 3 of both halves, rows 0-3 and 4-7
	for i := range q {
		q[i] = YMM()
	}
	for h := 0; h < 8; h += 4 {
		VSHUFPS(Imm(0x44), p[h+2], p[h], q[h])
		VSHUFPS(Imm(0xee), p[h+2], p[h], q[h+1])
		VSHUFPS(Imm(0x44), p[h+3], p[h+1], q[h+2])
		VSHUFPS(Imm(0xee), p[h+3], p[h+1], q[h+3])
	}
	t := YMM()
	for i := range 8 {
		m := Mem{Base: dst}
		switch i % 4 {
		case 1:
			m.Index, m.Scale = ldd, 1
		case 2:
			m.Index, m.Scale = ldd, 2
		case 3:
			m.Index, m.Scale = ldd3, 1
		}
		if i == 4 {
			LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, dst)
		}
		m.Base = dst
		sel := uint64(0x20)
		if i >= 4 {
			sel = 0x31
		}
		VPERM2F128(Imm(sel), q[4+i%4], q[i%4], t)
		VMOVUPS(t, m)
	}
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, dst)
	ADDQ(Imm(32), src)
	ADDQ(Imm(32), far)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// copyRows emits the copy of rows of up to 32 values.
func copyRows() {
	TEXT("copyrowsavx512", NOSPLIT|NOFRAME, "func(rows int, src *float32, lds int, dst *float32, ldd int, read, write uint32)")
	Pragma("noescape")
	Doc("copyrowsavx512 copies rows of up to 32 values: the bits of read say which are read, the others being zero, those of write which are written; lds and ldd are row strides in bytes.")
	n := Load(Param("rows"), GP64())
	src := Load(Param("src"), GP64())
	lds := Load(Param("lds"), GP64())
	dst := Load(Param("dst"), GP64())
	ldd := Load(Param("ldd"), GP64())
	masks := func(name string) [2]reg.Register {
		m := Load(Param(name), GP32())
		a, b := K(), K()
		KMOVW(m, a)
		SHRL(Imm(16), m)
		KMOVW(m, b)
		return [2]reg.Register{a, b}
	}
	r, w := masks("read"), masks("write")
	a, b := ZMM(), ZMM()
	Label("loop")
	VMOVUPS_Z(Mem{Base: src}, r[0], a)
	VMOVUPS_Z(Mem{Base: src, Disp: 64}, r[1], b)
	VMOVUPS(a, w[0], Mem{Base: dst})
	VMOVUPS(b, w[1], Mem{Base: dst, Disp: 64})
	ADDQ(lds, src)
	ADDQ(ldd, dst)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
