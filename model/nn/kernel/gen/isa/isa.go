// Package isa describes the amd64 vector instruction sets to the generators of
// package kernel.
//
//go:build avo

package isa

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Set is one vector instruction set.
type Set struct {
	Name  string // ends the names of its functions
	Lanes int    // float32 values per register
}

// The sets, and all of them.
var (
	AVX512 = Set{"avx512", 16}
	AVX2   = Set{"avx2", 8}
	All    = []Set{AVX512, AVX2}
)

// Masked tells whether the set has mask registers.
func (s Set) Masked() bool { return s.Lanes == 16 }

// Bytes returns the size of a register.
func (s Set) Bytes() int { return 4 * s.Lanes }

// Vec allocates a vector register.
func (s Set) Vec() reg.VecVirtual {
	if s.Masked() {
		return ZMM()
	}
	return YMM()
}

// Zero clears a register.
func (s Set) Zero(v Op) {
	if s.Masked() {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// Ahead is how many bytes before their use the rows of a matrix that comes from
// memory are asked for: weights that few rows stream, as in the camera's
// temporal blocks, and the transformed ones of the trunk's deep layers. The
// processor's own prefetching stops at each page of 4096 bytes.
const Ahead = 4096

// At addresses disp bytes behind the register.
func At(r reg.Register, disp int) Mem { return Mem{Base: r, Disp: disp} }

// The instructions that avo's Load and Store choose for a float32 are SSE's.
// Where the upper halves of vector registers are in use, one of them costs an
// Intel processor some hundred cycles, so these use AVX's.

// Float loads a float32 parameter.
func Float(name string) reg.VecVirtual {
	x := XMM()
	LoadFloat(name, x)
	return x
}

// LoadFloat loads a float32 parameter into x.
func LoadFloat(name string, x Op) {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VMOVSS(p.Addr, x)
}

// ReturnFloat stores result i, a float32.
func ReturnFloat(x Op, i int) {
	r, err := ReturnIndex(i).Resolve()
	if err != nil {
		panic(err)
	}
	VMOVSS(x, r.Addr)
}
