package kernel

// available lists the paths this CPU can run, best first. Go's arm64 port
// needs Advanced SIMD, so every arm64 machine has NEON.
func available() []path {
	return []path{
		{name: "neon", mr: 12, nr: 8, wide: microneonx2, narrow: microneonx1, axpy: axpyneon, adam: adamneon,
			conv: conv{lanes: 4, input: winogradInputneon, gradient: winogradGradientneon, output: winogradOutputneon,
				weights: winogradWeightsneon, filter: winogradFilterneon},
			depth: depthwise{lanes: 4, every: depthwiseneon, second: depthwisehalfneon}, finish: finishrowneon},
		portable,
	}
}
