package kernel

import "os"

// path is one set of float32 micro-kernels.
type path struct {
	name   string
	mr, nr int // tile of the wide micro-kernel; the narrow one is nr/2 wide
	wide   func(k int, a, b, c *float32, ldc, acc int)
	narrow func(k int, a, b, c *float32, ldc, acc int)
	tiles  *tileSet                                        // nil: A and B are packed for wide and narrow
	axpy   func(n int, alpha float32, x, y *float32)       // n a multiple of 8; may be nil
	adam   func(n int, w, g, m, v *float32, c *[8]float32) // n a multiple of 8; may be nil
	points *pointKernels                                   // neighbour search; may be nil
}

// portable is plain Go, for every CPU.
var portable = path{name: "portable", mr: portableMR, nr: portableNR, wide: microportable2x4, narrow: microportable2x2}

var active = choose(os.Getenv("POSEFUSE_CPU"))

// Path returns the name of the CPU path in use: "avx512", "avx2" or "portable".
func Path() string { return active.name }

// choose returns the path named, or the best one if the name is empty or this
// CPU lacks it.
func choose(name string) path {
	ps := available()
	for _, p := range ps {
		if p.name == name {
			return p
		}
	}
	return ps[0]
}
