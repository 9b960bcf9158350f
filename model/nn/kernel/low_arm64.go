package kernel

// sum sums the tile's products.
func (d *lowTile) sum(f LowFormat, acc *[lowPixels * lowLanes]int32) {
	k := active.low[f]
	if k == lowPlain {
		d.sumPortable(f, acc[:])
		return
	}
	_ = d.off[lowPixels-1]
	_ = d.w[len(d.delta)*d.bytes*lowLanes-1]
	for lane := 0; lane < lowLanes; lane += 16 {
		w := &d.w[lane*lowStep]
		if k == lowI8MM && d.bytes%8 == 0 {
			for i := 0; i < lowPixels; i += 6 {
				lowMatrixneon(&d.x[0], &d.off[i], &d.delta[0], len(d.delta), d.bytes, w, &acc[i*lowLanes+lane])
			}
			continue
		}
		for i := 0; i < lowPixels; i += 4 {
			lowDotProductsneon(&d.x[0], &d.off[i], &d.delta[0], len(d.delta), d.bytes, w, &acc[i*lowLanes+lane], &d.start[lane])
		}
	}
}

// run does the rows; to is the low format.
func (r *lowRows) run(to LowFormat, fromInt bool) {
	switch {
	case r.n == 0:
	case active.low[to] != lowPlain:
		r.runVectors(4, fromInt)
	default:
		r.runPortable(to, fromInt)
	}
}

func (r *lowRows) vectors(n int, fromInt bool, res, out *float32, low *byte, off *int32) {
	if fromInt {
		lowRowsInt8neon(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, n, r.floor, r.inv)
		return
	}
	lowRowsFloat8neon(&r.acc[0], 4*r.accStride, &r.scale[0], &r.bias[0], res, out, 4*r.stride, low, off, r.n, n, r.floor, r.inv)
}

func (d *lowBlockSum) sum(f LowFormat, acc []int32) { d.sumPortable(f, acc) }
