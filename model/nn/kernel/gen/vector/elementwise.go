//go:build avo

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"

	"posefuse/model/nn/kernel/gen/isa"
)

// elementwise emits passes over n values.
func elementwise(s isa.Set) {
	function(s, "addrelu", "func(n int, x, y *float32)", "writes y = max(x+y, 0)", func(f *fn) {
		n, x, y := arg("n"), arg("x"), arg("y")
		zero := f.Vec()
		f.Zero(zero)
		f.columns(n, func() {
			v, w := f.load(Mem{Base: x}), f.load(Mem{Base: y})
			VADDPS(v, w, w)
			VMAXPS(w, zero, w)
			f.store(w, Mem{Base: y})
		}, x, y)
	})
	function(s, "relugrad", "func(n int, y, dy, dx *float32)", "clears dy where y is not above 0 and copies it to dx", func(f *fn) {
		n, y, dy, dx := arg("n"), arg("y"), arg("dy"), arg("dx")
		zero := f.Vec()
		f.Zero(zero)
		f.columns(n, func() {
			v, d := f.load(Mem{Base: y}), f.load(Mem{Base: dy})
			f.positive(v, zero, d)
			f.store(d, Mem{Base: dy})
			f.store(d, Mem{Base: dx})
		}, y, dy, dx)
	})
	function(s, "multiply", "func(n int, x, y *float32)", "writes y = x*y", func(f *fn) {
		n, x, y := arg("n"), arg("x"), arg("y")
		f.columns(n, func() {
			v, w := f.load(Mem{Base: x}), f.load(Mem{Base: y})
			VMULPS(v, w, w)
			f.store(w, Mem{Base: y})
		}, x, y)
	})
}
