package kernel

import (
	"math"
	"unsafe"
)

// pointsPortable is what a tree runs on where there are no vector loops.
var pointsPortable = pointKernels{bound: pointboundportable, mask: pointbelowportable, boxes: pointboxesportable, blocks: pointblocksportable,
	closer: pointcloserportable, lower: pointlowerportable}

// treeKernels returns the loops for a tree on the active path.
func treeKernels() *pointKernels {
	if active.points != nil {
		return active.points
	}
	return &pointsPortable
}

// treeFrom returns the number of points from which a tree is faster than
// computing all distances.
func treeFrom() int {
	if active.points != nil {
		return treePoints
	}
	return treePointsPortable
}

// sampleFrom is treeFrom for sampling.
func sampleFrom() int {
	if active.points != nil {
		return samplePoints
	}
	return samplePointsPortable
}

func pointboundportable(low *[32]float32, k int) float32 {
	var best [32]float32 // the k smallest, in order
	n := 0
	for _, v := range low {
		if n == k && v >= best[k-1] {
			continue
		}
		n = min(n+1, k)
		at := n - 1
		for ; at > 0 && v < best[at-1]; at-- {
			best[at] = best[at-1]
		}
		best[at] = v
	}
	return best[k-1]
}

func pointbelowportable(n int, d *float32, limit float32, bits *uint32) {
	out := unsafe.Slice(bits, n/32)
	for i := range out {
		var b uint32
		for j, v := range unsafe.Slice(d, n)[32*i : 32*i+32] {
			if v <= limit {
				b |= 1 << j
			}
		}
		out[i] = b
	}
}

func pointboxesportable(bounds *float32, stride int, q *[3]float32, limit float32) (within, at uint32) {
	stride /= 4
	b := unsafe.Slice(bounds, 5*stride+treeFan)
	for i := range treeFan {
		var side [3]float32
		for axis := range side {
			side[axis] = max(b[axis*stride+i]-q[axis], q[axis]-b[(3+axis)*stride+i], 0)
		}
		d := SquaredDistance(side[0], side[1], side[2])
		if d <= limit {
			within |= 1 << i
		}
		if d == limit {
			at |= 1 << i
		}
	}
	return within, at
}

func pointblocksportable(n int, blocks *int32, x, y, z *float32, q *[3]float32, d *float32, low *[32]float32) {
	inf := float32(math.Inf(1))
	for i := range low {
		low[i] = inf
	}
	out := unsafe.Slice(d, n*blockPoints)
	for i, b := range unsafe.Slice(blocks, n) {
		at := int(b) * blockPoints
		end := at + blockPoints
		bx, by, bz := unsafe.Slice(x, end)[at:], unsafe.Slice(y, end)[at:], unsafe.Slice(z, end)[at:]
		low := low[i%2*blockPoints:][:blockPoints]
		row := out[i*blockPoints : (i+1)*blockPoints]
		for j := range row {
			v := SquaredDistance(bx[j]-q[0], by[j]-q[1], bz[j]-q[2])
			row[j] = v
			low[j] = min(low[j], v)
		}
	}
}

func pointcloserportable(bounds *float32, stride int, q *[3]float32, limits *float32) (closer uint32) {
	stride /= 4
	b := unsafe.Slice(bounds, 5*stride+treeFan)
	for i, limit := range unsafe.Slice(limits, treeFan) {
		var side [3]float32
		for axis := range side {
			side[axis] = max(b[axis*stride+i]-q[axis], q[axis]-b[(3+axis)*stride+i], 0)
		}
		if SquaredDistance(side[0], side[1], side[2]) < limit {
			closer |= 1 << i
		}
	}
	return closer
}

func pointlowerportable(x, y, z *float32, q *[3]float32, dist *float32, ids *int32) (far float32, id int32) {
	px, py, pz := unsafe.Slice(x, blockPoints), unsafe.Slice(y, blockPoints), unsafe.Slice(z, blockPoints)
	d := unsafe.Slice(dist, blockPoints)
	for i := range d {
		d[i] = min(d[i], SquaredDistance(px[i]-q[0], py[i]-q[1], pz[i]-q[2]))
	}
	return topOf(d, unsafe.Slice(ids, blockPoints))
}
