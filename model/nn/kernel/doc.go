// Package kernel holds the numeric inner loops of the network: matrix
// multiplication, the optimiser's update and the worker pool they run on.
//
// Float32 runs on micro-kernels in assembly chosen at start: AVX-512 or
// AVX2+FMA on amd64, NEON on arm64, plain Go elsewhere. Int8 runs on
// AMX, AVX512-VNNI, AVX-VNNI, and the dot and matrix products of arm64; bfloat16
// on AMX and AVX512-BF16. The programs under gen write the assembly. The
// environment variable POSEFUSE_CPU forces a path: "amx" (AVX-512 and AMX),
// "avx512", "avxvnni" (AVX2 and AVX-VNNI), "avx2", "i8mm" and "dotprod" (NEON and
// those), "neon", "portable"; Notice tells when one is slow.
// Everything else is portable Go.
//
// On amd64 the float kernels take numbers below 2^-126 as zeros and write none;
// the portable path and arm64 keep them.
package kernel

//go:generate go run -tags avo ./gen/tile -out tile_amd64.s -stubs tile_amd64.go -pkg kernel
//go:generate go run -tags avo ./gen/vector -out vector_amd64.s -stubs vector_amd64.go -pkg kernel
//go:generate go run ./gen/neon -out micro_arm64.s -stubs micro_arm64.go -pkg kernel
//go:generate go run -tags avo ./gen/points -out points_amd64.s -stubs points_amd64.go -pkg kernel
