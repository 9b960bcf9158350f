//go:build !amd64

package kernel

// lowNative is false throughout: only amd64 has kernels for low precision.
var lowNative [BFloat16 + 1]bool

func lowDot(f LowFormat, x []byte, off []int32, delta []int, bytes int, w []byte, acc *[lowPixels * lowLanes]int32) {
	lowDotPortable(f, x, off, delta, bytes, w, acc)
}

func (r *lowRows) run(to LowFormat, fromInt bool) { r.runPortable(to, fromInt) }
