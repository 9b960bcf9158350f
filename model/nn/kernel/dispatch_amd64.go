package kernel

import "golang.org/x/sys/cpu"

// available lists the paths this CPU can run, best first.
func available() []path {
	var ps []path
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasFMA && cpu.X86.HasAVX2 && cpu.X86.HasBMI2 {
		wide := path{name: "avx512", mr: 12, nr: 32, tiles: &tilesavx512, vec: &vectorsavx512,
			axpy: axpyavx2, adam: adamavx2, points: &pointsAVX512, conv: convAVX512,
			depth: depthwise{lanes: 16, masked: true, every: depthwiseavx512, second: depthwisehalfavx512}}
		if cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ {
			if cpu.X86.HasAVX512VNNI {
				wide.low[Int8] = lowAVX512
			}
			if cpu.X86.HasAVX512BF16 {
				wide.low[BFloat16] = lowAVX512
			}
		}
		may := amx()
		if may.refused != nil {
			wide.lacks = "this CPU has AMX, but the system forbids it (" + may.refused.Error() + "), so int8 and bf16 run on AVX-512, slower"
		}
		if wide.low[Int8] == lowAVX512 && (may.int8 || may.bf16) {
			tiles := wide
			tiles.name, tiles.family = "amx", wide.name
			if may.int8 {
				tiles.low[Int8] = lowAMX
			}
			if may.bf16 {
				tiles.low[BFloat16] = lowAMX
			}
			ps = append(ps, tiles)
		}
		ps = append(ps, wide)
	}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		narrow := path{name: "avx2", mr: 6, nr: 16, tiles: &tilesavx2, vec: &vectorsavx2,
			axpy: axpyavx2, adam: adamavx2, points: &pointsAVX2, conv: convAVX2,
			depth: depthwise{lanes: 8, every: depthwiseavx2, second: depthwisehalfavx2}}
		if cpu.X86.HasAVXVNNI {
			vnni := narrow
			vnni.name, vnni.family = "avxvnni", "avx2"
			vnni.low[Int8] = lowAVXVNNI
			ps = append(ps, vnni)
		}
		ps = append(ps, narrow)
	}
	return append(ps, portable)
}
