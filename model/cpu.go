package model

import "posefuse/model/nn/kernel"

// How the arithmetic of all networks runs on this machine. It is set for the
// whole process.

// EnvCPU is the environment variable that forces a CPU path.
const EnvCPU = kernel.EnvCPU

// CPUPath returns the name of the CPU path in use for float32: "avx512",
// "avx2", "neon" or "portable".
func CPUPath() string { return kernel.Path() }

// CPUNotice returns one sentence for the operator if the path in use is slower
// than it need be or not the one EnvCPU names, and "" if all is well. A program
// that serves logs it once at its start.
func CPUNotice() string { return kernel.Notice() }

// SetThreads sets how many threads one network may use, at least 1.
func SetThreads(n int) { kernel.SetThreads(n) }

// Cores returns how many threads are worth having: the CPUs that the process may
// run on, or fewer if its cgroup limits its processor time.
func Cores() int { return kernel.Cores() }

// CoresNotice returns one sentence for the operator if fewer CPUs compute than the
// machine has, and why; "" if all do.
func CoresNotice() string { return kernel.CoresNotice() }

// Occupy says that the caller trains or infers beside others of its kind, until
// it calls free: the threads of SetThreads are shared among them, and who is done
// helps the others.
func Occupy() (free func()) { return kernel.Occupy() }

// Threads returns the number set by SetThreads; it starts as Cores.
func Threads() int { return kernel.Threads() }

// Product writes the product of two matrices of n by n values to c. Its rate is
// what the rate of a network is compared with.
func Product(n int, a, b, c []float32) {
	kernel.Gemm(false, false, n, n, n, 1, a, n, b, n, 0, c, n)
}
