package kernel

var (
	pointsAVX512 = pointKernels{dist: pointdistavx512, bound: pointboundavx512, compress: pointbelowavx512,
		rank: pointrankavx512, far: pointfaravx512, boxes: pointboxesavx512, blocks: pointblocksavx512,
		closer: pointcloseravx512, lower: pointloweravx512}
	pointsAVX2 = pointKernels{dist: pointdistavx2, bound: pointboundavx2, mask: pointbelowavx2,
		rank: pointrankavx2, far: pointfaravx2,
		boxes: pointboxesavx2, blocks: pointblocksavx2, closer: pointcloseravx2, lower: pointloweravx2}
)
