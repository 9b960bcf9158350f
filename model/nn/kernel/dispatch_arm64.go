package kernel

import "golang.org/x/sys/cpu"

// available lists the paths this CPU can run, best first. Go's arm64 port
// needs Advanced SIMD, so every arm64 machine has NEON.
func available() []path {
	neon := path{name: "neon", mr: 12, nr: 8, wide: microneonx2, narrow: microneonx1, axpy: axpyneon, adam: adamneon,
		conv: conv{lanes: 4, input: winogradInputneon, gradient: winogradGradientneon, output: winogradOutputneon,
			weights: winogradWeightsneon, filter: winogradFilterneon},
		depth: depthwise{lanes: 4, every: depthwiseneon, second: depthwisehalfneon}, finish: finishrowneon}
	var ps []path
	with := func(name string, k lowKernels) {
		p := neon
		p.name, p.family, p.low[Int8] = name, neon.name, k
		ps = append(ps, p)
	}
	if cpu.ARM64.HasASIMDDP {
		if cpu.ARM64.HasI8MM {
			with("i8mm", lowI8MM)
		}
		with("dotprod", lowDotProd)
	}
	return append(ps, neon, portable)
}
