//go:build avo

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"posefuse/model/nn/kernel/gen/isa"
)

// Offsets in kernel.tile.
const (
	tileA     = 0
	tileB     = 8
	tileC     = 16
	tileK     = 24
	tileLda   = 32
	tileLdb   = 40
	tileLdc   = 48
	tileAcc   = 56
	tileBias  = 64
	tileAdd   = 72
	tileLdAdd = 80
	tileAlpha = 88
	tileLow   = 92
	tileMask  = 96
	tileHigh  = 100
)

// tiles emits the tile kernels of every height that kernel.path lists.
func tiles() {
	for _, s := range isa.All {
		heights, keys := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, []int{1, 2, 4, 8, 12}
		if !s.Masked() {
			heights, keys = []int{1, 2, 3, 4, 5, 6}, []int{1, 2, 4, 6}
		}
		for _, nv := range []int{2, 1} {
			for _, mr := range heights {
				tile(s, mr, nv, false)
			}
			for _, mr := range keys {
				tile(s, mr, nv, true)
			}
		}
	}
}

// tile emits C = epilogue(alpha*A*B [+ C]) for mr rows and nv vectors of
// columns. A is read where it lies: rows of consecutive k, or with byKey one
// row of mr values per k.
func tile(s isa.Set, mr, nv int, byKey bool) {
	kind := "rows"
	if byKey {
		kind = "keys"
	}
	name := fmt.Sprintf("%s%dx%d%s", kind, mr, nv, s.Name)
	TEXT(name, NOSPLIT|NOFRAME, "func(t *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes a tile of %d rows and up to %d columns; t is a *tile.", name, mr, nv*s.Lanes))
	isa.FlushSubnormals()
	t := Load(Param("t"), GP64())
	load := func(off int) reg.GPVirtual {
		r := GP64()
		MOVQ(isa.At(t, off), r)
		return r
	}
	k, a, b := load(tileK), load(tileA), load(tileB)
	lda, ldb := load(tileLda), load(tileLdb)

	var masks []reg.Register
	if s.Masked() {
		m := GP32()
		MOVL(isa.At(t, tileMask), m)
		for range nv {
			kr := K()
			KMOVW(m, kr)
			SHRL(Imm(16), m)
			masks = append(masks, kr)
		}
	}
	// loadVec reads vector j of a row, zero beyond the mask.
	loadVec := func(m Mem, j int, v reg.VecVirtual) {
		m.Disp += j * s.Bytes()
		if s.Masked() {
			VMOVUPS_Z(m, masks[j], v)
		} else {
			VMOVUPS(m, v)
		}
	}

	sum := make([]reg.VecVirtual, mr*nv)
	for i := range sum {
		sum[i] = s.Vec()
		s.Zero(sum[i])
	}
	bv := make([]reg.VecVirtual, nv)
	for i := range bv {
		bv[i] = s.Vec()
	}
	av := []reg.VecVirtual{s.Vec(), s.Vec()}

	// Row i is at base i/3 plus i%3 row strides.
	bases := []reg.Register{a}
	if !byKey {
		for g := 1; g*3 < mr; g++ {
			p := GP64()
			LEAQ(Mem{Base: bases[g-1], Index: lda, Scale: 2}, p)
			ADDQ(lda, p)
			bases = append(bases, p)
		}
	}
	element := func(i, u int) Mem {
		if byKey {
			return isa.At(a, 4*i)
		}
		m := isa.At(bases[i/3], 4*u)
		if i%3 > 0 {
			m.Index, m.Scale = lda, uint8(i%3)
		}
		return m
	}
	step := func(u int) {
		for j := range bv {
			loadVec(isa.At(b, 0), j, bv[j])
			if !byKey && j*s.Bytes()%64 == 0 {
				PREFETCHT0(isa.At(b, isa.Ahead+j*s.Bytes()))
			}
		}
		for i := range mr {
			v := av[i%2]
			VBROADCASTSS(element(i, u), v)
			for j := range bv {
				VFMADD231PS(v, bv[j], sum[i*nv+j])
			}
		}
		ADDQ(ldb, b)
	}

	if byKey {
		Label("loop")
		step(0)
		ADDQ(lda, a)
		DECQ(k)
		JNZ(LabelRef("loop"))
	} else {
		const unroll = 4
		k4 := GP64()
		MOVQ(k, k4)
		SHRQ(Imm(2), k4)
		JZ(LabelRef("tail"))
		Label("loop")
		for u := range unroll {
			step(u)
		}
		for _, p := range bases {
			ADDQ(Imm(4*unroll), p)
		}
		DECQ(k4)
		JNZ(LabelRef("loop"))
		Label("tail")
		ANDQ(Imm(unroll-1), k)
		JZ(LabelRef("store"))
		Label("last")
		step(0)
		for _, p := range bases {
			ADDQ(Imm(4), p)
		}
		DECQ(k)
		JNZ(LabelRef("last"))
		Label("store")
	}

	// The sums are complete; A's and B's registers are free.
	x := av[0]
	alpha := GP32()
	MOVL(isa.At(t, tileAlpha), alpha)
	CMPL(alpha, Imm(0x3f800000)) // 1
	JE(LabelRef("scaled"))
	VBROADCASTSS(isa.At(t, tileAlpha), x)
	for _, v := range sum {
		VMULPS(x, v, v)
	}
	Label("scaled")
	c, ldc := load(tileC), load(tileLdc)
	each := func(off, ldoff int, label string) {
		p := load(off)
		TESTQ(p, p)
		JZ(LabelRef(label))
		ld := load(ldoff)
		for i := range mr {
			for j := range nv {
				loadVec(isa.At(p, 0), j, x)
				VADDPS(x, sum[i*nv+j], sum[i*nv+j])
			}
			if i < mr-1 {
				ADDQ(ld, p)
			}
		}
		Label(label)
	}
	acc := load(tileAcc)
	TESTQ(acc, acc)
	JZ(LabelRef("fresh"))
	p := GP64()
	MOVQ(c, p)
	for i := range mr {
		for j := range nv {
			loadVec(isa.At(p, 0), j, x)
			VADDPS(x, sum[i*nv+j], sum[i*nv+j])
		}
		if i < mr-1 {
			ADDQ(ldc, p)
		}
	}
	Label("fresh")
	bias := load(tileBias)
	TESTQ(bias, bias)
	JZ(LabelRef("unbiased"))
	for j := range nv {
		loadVec(isa.At(bias, 0), j, bv[j])
		for i := range mr {
			VADDPS(bv[j], sum[i*nv+j], sum[i*nv+j])
		}
	}
	Label("unbiased")
	each(tileAdd, tileLdAdd, "added")
	low := GP32()
	MOVL(isa.At(t, tileLow), low)
	TESTL(low, low)
	JNZ(LabelRef("signed")) // anything but 0 means no ReLU
	s.Zero(x)
	for _, v := range sum {
		VMAXPS(v, x, v) // a NaN in v stays
	}
	Label("signed")
	high := GP32()
	MOVL(isa.At(t, tileHigh), high)
	CMPL(high, Imm(0x7f800000)) // infinity means no cap
	JE(LabelRef("uncapped"))
	VBROADCASTSS(isa.At(t, tileHigh), x)
	for _, v := range sum {
		VMINPS(v, x, v)
	}
	Label("uncapped")
	for i := range mr {
		for j := range nv {
			m := isa.At(c, j*s.Bytes())
			if s.Masked() {
				VMOVUPS(sum[i*nv+j], masks[j], m)
			} else {
				VMOVUPS(sum[i*nv+j], m)
			}
		}
		if i < mr-1 {
			ADDQ(ldc, c)
		}
	}
	isa.End()
}
