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

// At addresses disp bytes behind the register.
func At(r reg.Register, disp int) Mem { return Mem{Base: r, Disp: disp} }
