//go:build avo

package isa

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Numbers below 2^-126 cost an Intel processor some hundred cycles an
// instruction, and gradients of a trained network are full of them: its training
// was seven times as slow as that of random weights. So the float kernels take
// them as zeros and write zeros instead. The register that says so is set within
// each of them only: Go moves goroutines, never a function in assembly, from
// thread to thread, and all other code counts on its usual value.
const (
	mxcsrUsual = 0x1f80
	mxcsrFlush = mxcsrUsual | 1<<15 | 1<<6 // results, operands
)

var mxcsr = map[uint32]Mem{}

func setMXCSR(name string, value uint32) {
	m, ok := mxcsr[value]
	if !ok {
		m = ConstData(name, U32(value))
		mxcsr[value] = m
	}
	LDMXCSR(m)
}

// FlushSubnormals begins a kernel that takes subnormal numbers as zeros; End
// ends it.
func FlushSubnormals() { setMXCSR("mxcsrflush", mxcsrFlush) }

// End ends a kernel that began with FlushSubnormals.
func End() {
	VZEROUPPER()
	setMXCSR("mxcsrusual", mxcsrUsual)
	RET()
}
