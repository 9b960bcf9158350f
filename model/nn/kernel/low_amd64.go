package kernel

//go:generate go run -tags avo ./gen/lowp -out lowp_amd64.s -stubs lowp_amd64.go -pkg kernel

// sum sums the tile's products.
func (d *lowTile) sum(f LowFormat, acc *[lowPixels * lowLanes]int32) {
	k := active.low[f]
	if k == lowPlain {
		d.sumPortable(f, acc[:])
		return
	}
	_ = d.off[lowPixels-1]
	_ = d.w[len(d.delta)*d.bytes*lowLanes-1]
	switch {
	case k == lowAVXVNNI:
		for lane := 0; lane < lowLanes; lane += 16 {
			for i := 0; i < lowPixels; i += 6 {
				lowDotVEX(&d.x[0], &d.off[i], &d.delta[0], len(d.delta), d.bytes, &d.w[lane*lowStep], &acc[i*lowLanes+lane])
			}
		}
	case f == Int8:
		lowDotInt8(&d.x[0], &d.off[0], &d.delta[0], len(d.delta), d.bytes, &d.w[0], &acc[0])
	default:
		lowDotBF16(&d.x[0], &d.off[0], &d.delta[0], len(d.delta), d.bytes, &d.w[0], &acc[0])
	}
}

// sum sums the block's products.
func (d *lowBlockSum) sum(f LowFormat, acc []int32) {
	if may := amx(); f == Int8 && !may.int8 || f == BFloat16 && !may.bf16 {
		d.sumPortable(f, acc)
		return
	}
	_ = d.x[max(d.first, d.second)+(lowBlock/2-1)*d.step+d.run-1]
	_ = d.w[d.panels*len(d.delta)*d.run*lowLanes-1]
	_ = acc[d.panels*lowBlock*lowLanes-1]
	kernel := lowTilesInt8
	if f == BFloat16 {
		kernel = lowTilesBF16
	}
	kernel(&d.x[d.first], &d.x[d.second], d.step, &d.delta[0], len(d.delta), d.run/lowDepth, &d.w[0], d.panels, &acc[0])
}

// run does the rows; to is the low format.
func (r *lowRows) run(to LowFormat, fromInt bool) {
	if r.n == 0 {
		return
	}
	switch active.low[to] {
	case lowAVX512, lowAMX:
		r.runAVX512(to, fromInt)
	case lowAVXVNNI:
		r.runVectors(8, fromInt)
	default:
		r.runPortable(to, fromInt)
	}
}

func (r *lowRows) vectors(n int, fromInt bool, res, out *float32, low *byte, off *int32) {
	if fromInt {
		lowRowsInt8VEX(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, n, r.floor, r.inv)
		return
	}
	lowRowsFloat8VEX(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, n, r.floor, r.inv)
}

func (r *lowRows) runAVX512(to LowFormat, fromInt bool) {
	res, out, low, off := r.operands(r.lanes)
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
