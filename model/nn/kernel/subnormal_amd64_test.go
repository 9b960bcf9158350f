package kernel

import (
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// tiny is 2^-70; its square is a subnormal number.
var tiny = float32(0x1p-70)

func filled(n int, v float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

// The float kernels take subnormal numbers as zeros and write none, and the code
// around them, on the same thread, goes on as before.
func TestSubnormalsAreZeros(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(1)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n, c = 64, 16
	for name, kernel := range map[string]func(x float32) []float32{
		"product": func(x float32) []float32 {
			y := make([]float32, n*n)
			Gemm(false, false, n, n, c, 1, filled(n*c, x), c, filled(c*n, 0x1p-70), n, 0, y, n)
			return y
		},
		"product by key": func(x float32) []float32 {
			y := make([]float32, n*n)
			Gemm(true, false, n, n, c, 1, filled(n*c, x), n, filled(c*n, 0x1p-70), n, 0, y, n)
			return y
		},
		"sum": func(x float32) []float32 {
			y := make([]float32, n)
			Axpy(0x1p-70, filled(n, x), y)
			return y
		},
		"scale": func(x float32) []float32 {
			y := make([]float32, n)
			ScaleShift(filled(n, x), y, filled(c, 0x1p-70), make([]float32, c), n/c, false)
			return y
		},
		"moments": func(x float32) []float32 {
			w, m, v := make([]float32, n), make([]float32, n), make([]float32, n)
			AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1}.Apply(w, filled(n, x), m, v)
			return v
		},
		"convolution": func(x float32) []float32 {
			g := Winograd[float32]{H: 8, W: 8, Cin: c, Cout: c, Scratch: new(Scratch[float32])}
			u := make([]float32, g.WeightLen())
			g.Pack(u, filled(9*c*c, 0x1p-70), nil, false)
			y := make([]float32, 8*8*c)
			g.Forward(u, filled(8*8*c, x), y, 1, ConvEpilogue[float32]{})
			return y
		},
	} {
		onEachPath(t, func(t *testing.T) {
			plain := active.name == "portable" // plain Go keeps them
			for _, x := range []float32{tiny, tiny * tiny, 0x1p60} {
				y := kernel(x)
				if some := y[0] != 0; some != (x > 1 || plain && x == tiny) {
					t.Errorf("%s of %g: %g", name, x, y[0])
				}
			}
			if tiny*tiny == 0 {
				t.Errorf("after a %s this thread takes subnormal numbers as zeros", name)
			}
		})
	}
}

// Every kernel that computes with floats says so first, and takes it back
// before it returns.
func TestAssemblyFlushesSubnormals(t *testing.T) {
	computes := regexp.MustCompile(`\tV(FMADD|FNMADD|ADDP|MULP|SUBP|DIVP)`)
	for file, least := range map[string]int{"tile_amd64.s": 50, "vector_amd64.s": 45, "winograd_amd64.s": 40} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range strings.Split(string(b), "\nTEXT ·")[1:] {
			if !computes.MatchString(f) {
				continue
			}
			n++
			body := strings.Split(strings.SplitN(f, "\n", 2)[1], "\n")
			if !strings.Contains(body[0], "LDMXCSR") || !strings.Contains(body[0], "mxcsrflush") {
				t.Errorf("%s: %s begins with %q", file, f[:20], body[0])
			}
			for i, line := range body {
				if strings.HasPrefix(line, "\tRET") && !strings.Contains(body[i-1], "mxcsrusual") {
					t.Errorf("%s: %s returns after %q", file, f[:20], body[i-1])
				}
			}
		}
		if n < least {
			t.Errorf("%s: %d functions, at least %d expected", file, n, least)
		}
	}
}

// BenchmarkSubnormals: the same product of usual numbers and of some whose
// products are subnormal.
func BenchmarkSubnormals(b *testing.B) {
	const m, n, k = 4096, 64, 64
	for name, v := range map[string]float32{"usual": 1, "tiny": tiny} {
		b.Run(name, func(b *testing.B) {
			x, y, z := filled(m*k, v), filled(k*n, v), make([]float32, m*n)
			for b.Loop() {
				Gemm(false, false, m, n, k, 1, x, k, y, n, 0, z, n)
			}
			b.ReportMetric(2*m*n*k*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
