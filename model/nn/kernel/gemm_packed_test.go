package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// TestGemmPackedEqualsFloat64Reference draws shapes, strides, betas and
// epilogues and compares with the plain loops in float64.
func TestGemmPackedEqualsFloat64Reference(t *testing.T) {
	defer SetThreads(Threads())
	onEachPath(t, func(t *testing.T) { rapid.Check(t, gemmPackedEqualsReference) })
}

func FuzzGemmPacked(f *testing.F) { f.Fuzz(rapid.MakeFuzz(gemmPackedEqualsReference)) }

func gemmPackedEqualsReference(t *rapid.T) {
	m := rapid.IntRange(0, 40).Draw(t, "m")
	n := rapid.IntRange(0, 100).Draw(t, "n")
	k := rapid.SampledFrom([]int{0, 1, 2, 3, 8, 15, 16, 17, 64, 255, 256, 257, 600}).Draw(t, "k")
	trans := rapid.Bool().Draw(t, "trans")
	beta := rapid.SampledFrom([]float32{0, 1, -0.5}).Draw(t, "beta")
	SetThreads(rapid.IntRange(1, 3).Draw(t, "threads"))
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	lda, ldb, ldc := k+rapid.IntRange(0, 5).Draw(t, "lda"), n+1, n+rapid.IntRange(0, 5).Draw(t, "ldc")
	rowsB := k
	if trans {
		ldb, rowsB = k+2, n
	}
	a, b, c := random(rng, m*lda), random(rng, rowsB*ldb), random(rng, m*ldc)
	e, e64 := Epilogue[float32]{}, Epilogue[float64]{}
	if rapid.Bool().Draw(t, "bias") {
		e.Bias = random(rng, n)
		e64.Bias = widen(e.Bias)
	}
	if rapid.Bool().Draw(t, "add") {
		e.LdAdd = n + 3
		e.Add = random(rng, m*e.LdAdd)
		e64.Add, e64.LdAdd = widen(e.Add), e.LdAdd
	}
	e.ReLU = rapid.Bool().Draw(t, "relu")
	e.Cap = rapid.SampledFrom([]float32{0, 1}).Draw(t, "cap")
	e64.ReLU, e64.Cap = e.ReLU, float64(e.Cap)
	want := widen(c)
	gemmPortable(false, trans, m, n, k, 1, widen(a), lda, widen(b), ldb, float64(beta), want, ldc)
	finish(m, n, want, ldc, e64)
	var pb PackedB[float32]
	pb.PackB(trans, k, n, b, ldb)
	product := GemmPacked[float32]
	if rapid.Bool().Draw(t, "alone") {
		product = GemmPackedAlone[float32]
	}
	product(m, a, lda, &pb, beta, c, ldc, e)
	for i := range want {
		if d := math.Abs(float64(c[i]) - want[i]); d > 1e-5*math.Sqrt(float64(k))+1e-5 {
			t.Fatalf("c[%d] = %g, want %g", i, c[i], want[i])
		}
	}
}

func TestGemmPackedAllocatesNothing(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(1)
	a, b, c, bias := make([]float32, 64*64), make([]float32, 64*64), make([]float32, 64*64), make([]float32, 64)
	var pb PackedB[float32]
	pb.PackB(true, 64, 64, b, 64)
	f := func() { GemmPacked(64, a, 64, &pb, 0, c, 64, Epilogue[float32]{Bias: bias, ReLU: true}) }
	if n := testenv.AllocsPerRun(50, f); n > 0 && !testenv.Race {
		t.Fatalf("%g allocations per product, want 0", n)
	}
}

func BenchmarkGemmPacked(b *testing.B) {
	saved := active
	defer func() { active = saved }()
	defer SetThreads(Threads())
	for _, p := range available() {
		for _, threads := range []int{1, 2} {
			for _, s := range [][3]int{{1, 1024, 3072}, {9, 1024, 3072}, {256, 64, 64}, {2048, 4, 32}, {204, 512, 512}} {
				b.Run(fmt.Sprintf("%s/%dx%dx%d/threads=%d", p.name, s[0], s[1], s[2], threads), func(b *testing.B) {
					active = p
					SetThreads(threads)
					m, n, k := s[0], s[1], s[2]
					x, z, bias := make([]float32, m*k), make([]float32, m*n), make([]float32, n)
					var w PackedB[float32]
					w.PackB(true, k, n, make([]float32, n*k), k)
					for b.Loop() {
						GemmPacked(m, x, k, &w, 0, z, n, Epilogue[float32]{Bias: bias, ReLU: true})
					}
					b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
