package kernel

import "unsafe"

// Micro-kernels in plain Go for CPUs without any of the assembly ones. A tile
// of 2 x 4 sums is the largest that Go's compiler keeps in the 16 registers of
// amd64; 4 x 4, 3 x 4 and 3 x 3 spill and run at half the speed.
const (
	portableMR = 2
	portableNR = 4
)

// microportable2x4 multiplies a packed k x 2 panel by a packed k x 4 panel.
func microportable2x4(k int, a, b, c *float32, ldc, acc int) {
	as := unsafe.Slice((*[2]float32)(unsafe.Pointer(a)), k)
	bs := unsafe.Slice((*[4]float32)(unsafe.Pointer(b)), k)
	if len(as) != len(bs) {
		return // never; it removes the bounds check below
	}
	var c00, c01, c02, c03, c10, c11, c12, c13 float32
	for p := range as {
		x, y := &as[p], &bs[p]
		a0, a1 := x[0], x[1]
		b0, b1, b2, b3 := y[0], y[1], y[2], y[3]
		c00 += a0 * b0
		c01 += a0 * b1
		c02 += a0 * b2
		c03 += a0 * b3
		c10 += a1 * b0
		c11 += a1 * b1
		c12 += a1 * b2
		c13 += a1 * b3
	}
	out := unsafe.Slice(c, ldc+4)
	r0, r1 := (*[4]float32)(out), (*[4]float32)(out[ldc:])
	if acc == 0 {
		*r0, *r1 = [4]float32{c00, c01, c02, c03}, [4]float32{c10, c11, c12, c13}
		return
	}
	r0[0] += c00
	r0[1] += c01
	r0[2] += c02
	r0[3] += c03
	r1[0] += c10
	r1[1] += c11
	r1[2] += c12
	r1[3] += c13
}

// microportable2x2 multiplies a packed k x 2 panel by a packed k x 2 panel.
func microportable2x2(k int, a, b, c *float32, ldc, acc int) {
	as := unsafe.Slice((*[2]float32)(unsafe.Pointer(a)), k)
	bs := unsafe.Slice((*[2]float32)(unsafe.Pointer(b)), k)
	if len(as) != len(bs) {
		return // as above
	}
	var c00, c01, c10, c11 float32
	for p := range as {
		x, y := &as[p], &bs[p]
		c00 += x[0] * y[0]
		c01 += x[0] * y[1]
		c10 += x[1] * y[0]
		c11 += x[1] * y[1]
	}
	out := unsafe.Slice(c, ldc+2)
	r0, r1 := (*[2]float32)(out), (*[2]float32)(out[ldc:])
	if acc == 0 {
		*r0, *r1 = [2]float32{c00, c01}, [2]float32{c10, c11}
		return
	}
	r0[0] += c00
	r0[1] += c01
	r1[0] += c10
	r1[1] += c11
}
