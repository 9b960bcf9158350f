package kernel

import "golang.org/x/sys/cpu"

//go:generate go run -tags avo ./gen/lowp -out lowp_amd64.s -stubs lowp_amd64.go -pkg kernel

// lowNative says which formats the CPU path in use has instructions for.
var lowNative = func() [BFloat16 + 1]bool {
	wide := active.name == "avx512" && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ
	return [...]bool{Int8: wide && cpu.X86.HasAVX512VNNI, BFloat16: wide && cpu.X86.HasAVX512BF16}
}()

// lowDot sums the products of 12 positions and a panel of 32 output channels:
// off are the positions' offsets in x, delta the steps from tap to tap, bytes
// the length of a position's channels.
func lowDot(f LowFormat, x []byte, off []int32, delta []int, bytes int, w []byte, acc *[lowPixels * lowLanes]int32) {
	if !lowNative[f] {
		lowDotPortable(f, x, off, delta, bytes, w, acc)
		return
	}
	_ = off[lowPixels-1]
	_ = w[len(delta)*bytes*lowLanes-1]
	if f == Int8 {
		lowDotInt8(&x[0], &off[0], &delta[0], len(delta), bytes, &w[0], &acc[0])
		return
	}
	lowDotBF16(&x[0], &off[0], &delta[0], len(delta), bytes, &w[0], &acc[0])
}

// run does the rows; to is the low format.
func (r *lowRows) run(to LowFormat, fromInt bool) {
	if !lowNative[to] || r.n == 0 {
		r.runPortable(to, fromInt)
		return
	}
	_ = r.acc[(r.n-1)*r.accStride+r.lanes-1]
	var res, out *float32
	var low *byte
	var off *int32
	if last := (r.n-1)*r.stride + r.lanes - 1; r.res != nil {
		_ = r.res[last]
		res = &r.res[0]
	}
	if last := (r.n-1)*r.stride + r.lanes - 1; r.out != nil {
		_ = r.out[last]
		out = &r.out[0]
	}
	if r.low != nil {
		_ = r.off[r.n-1]
		low, off = &r.low[0], &r.off[0]
	}
	mask := uint32(1)<<r.lanes - 1 // all ones for 32 lanes
	switch {
	case to == BFloat16:
		lowRowsBF16(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, mask, r.floor, r.inv)
	case fromInt:
		lowRowsInt8(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, mask, r.floor, r.inv)
	default:
		lowRowsFloat8(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, mask, r.floor, r.inv)
	}
}
