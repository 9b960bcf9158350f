package kernel

import "golang.org/x/sys/cpu"

// available lists the paths this CPU can run, best first.
func available() []path {
	var ps []path
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasFMA && cpu.X86.HasAVX2 {
		ps = append(ps, path{"avx512", 12, 32, microavx512x2, microavx512x1, axpyavx2, adamavx2})
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		ps = append(ps, path{"avx2", 6, 16, microavx2x2, microavx2x1, axpyavx2, adamavx2})
	}
	return append(ps, portable)
}
