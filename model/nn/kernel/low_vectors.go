//go:build amd64 || arm64

package kernel

// runVectors does the rows of Int8 by kernels on whole vectors of the given
// number of lanes, and the lanes that are left over in plain Go.
func (r *lowRows) runVectors(lanes int, fromInt bool) {
	if n := r.lanes / lanes; n > 0 {
		res, out, low, off := r.operands(n * lanes)
		r.vectors(n, fromInt, res, out, low, off)
	}
	if whole := r.lanes / lanes * lanes; whole < r.lanes {
		rest := r.from(whole, 1)
		rest.runPortable(Int8, fromInt)
	}
}

// operands checks that the rows' first lanes lie inside their slices and
// returns pointers for the kernels, nil for what is not there.
func (r *lowRows) operands(lanes int) (res, out *float32, low *byte, off *int32) {
	_ = r.acc[(r.n-1)*r.accStride+lanes-1]
	last := (r.n-1)*r.stride + lanes - 1
	if r.res != nil {
		_ = r.res[last]
		res = &r.res[0]
	}
	if r.out != nil {
		_ = r.out[last]
		out = &r.out[0]
	}
	if r.low != nil {
		_ = r.off[r.n-1]
		low, off = &r.low[0], &r.off[0]
	}
	return res, out, low, off
}
