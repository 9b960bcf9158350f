package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/internal/testenv"
)

// onEachPath runs f once for every CPU path for float32 this machine has.
func onEachPath(t *testing.T, f func(t *testing.T)) {
	saved := active
	defer func() { active = saved }()
	for _, p := range available() {
		if p.family != "" {
			continue
		}
		active = p
		t.Run(p.name, f)
	}
}

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	return x
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func TestGemmEqualsFloat64Reference(t *testing.T) {
	shapes := [][3]int{{1, 1, 1}, {1, 51, 1024}, {3, 5, 7}, {12, 32, 64}, {13, 33, 257}, {25, 16, 300}, {130, 70, 19}, {5, 600, 40}, {257, 17, 513}, {64, 1000, 3}}
	onEachPath(t, func(t *testing.T) {
		for _, threads := range []int{1, 2, 3} {
			SetThreads(threads)
			for _, s := range shapes {
				for flags := range 4 {
					m, n, k := s[0], s[1], s[2]
					ta, tb := flags&1 != 0, flags&2 != 0
					rng := rand.New(rand.NewPCG(uint64(m*n*k), uint64(flags)))
					lda, ldb, ldc := k+2, n+1, n+3
					rowsA, rowsB := m, k
					if ta {
						lda, rowsA = m+2, k
					}
					if tb {
						ldb, rowsB = k+1, n
					}
					a, b, c := random(rng, rowsA*lda), random(rng, rowsB*ldb), random(rng, m*ldc)
					for _, coef := range [][2]float32{{1, 0}, {1, 1}, {-0.5, 0.25}} {
						got := append([]float32(nil), c...)
						want := widen(c)
						Gemm(ta, tb, m, n, k, coef[0], a, lda, b, ldb, coef[1], got, ldc)
						gemmPortable(ta, tb, m, n, k, float64(coef[0]), widen(a), lda, widen(b), ldb, float64(coef[1]), want, ldc)
						for i := range want {
							if d := math.Abs(float64(got[i]) - want[i]); d > 1e-5*math.Sqrt(float64(k))+1e-5 {
								t.Fatalf("%dx%dx%d transA=%v transB=%v coef=%v threads=%d: c[%d] = %g, want %g", m, n, k, ta, tb, coef, threads, i, got[i], want[i])
							}
						}
					}
				}
			}
		}
	})
}

func TestGemmIgnoresOldContentWhenBetaIsZero(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		c := []float32{float32(math.NaN()), float32(math.Inf(1))}
		Gemm(false, false, 1, 2, 1, 2, []float32{3}, 1, []float32{4, 5}, 2, 0, c, 2)
		if c[0] != 24 || c[1] != 30 {
			t.Fatalf("got %v, want [24 30]", c)
		}
		Gemm(false, false, 1, 2, 0, 1, []float32{}, 1, []float32{}, 2, 0, c, 2)
		if c[0] != 0 || c[1] != 0 {
			t.Fatalf("k = 0: got %v, want zeros", c)
		}
	})
}

func TestAdamMatchesWorkedValues(t *testing.T) {
	// model.md 6.7: lr 1e-3, coupled weight decay 1e-4.
	want := [][2]float64{{0.9990000000999001, -0.4990000000499875}, {0.9980821389654975, -0.4985302721354489}}
	w64, m64, v64 := []float64{1, -0.5}, make([]float64, 2), make([]float64, 2)
	for step, g := range [][]float64{{0.1, -0.2}, {0.3, 0.05}} {
		AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 1e-4, Step: step + 1}.Apply64(w64, g, m64, v64)
		for i, w := range w64 {
			if d := math.Abs(w - want[step][i]); d > 1e-15 {
				t.Fatalf("float64, step %d: w[%d] = %.17g, want %.17g", step+1, i, w, want[step][i])
			}
		}
	}
	onEachPath(t, func(t *testing.T) {
		for _, n := range []int{2, 18} { // 18: one vector step and a tail
			w, m, v := make([]float32, n), make([]float32, n), make([]float32, n)
			for i := range w {
				w[i] = []float32{1, -0.5}[i%2]
			}
			for step, grad := range [][2]float32{{0.1, -0.2}, {0.3, 0.05}} {
				g := make([]float32, n)
				for i := range g {
					g[i] = grad[i%2]
				}
				AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 1e-4, Step: step + 1}.Apply(w, g, m, v)
				for i := range w {
					if d := math.Abs(float64(w[i]) - want[step][i%2]); d > 2e-7 {
						t.Fatalf("n=%d step %d: w[%d] = %.9g, want %.9g", n, step+1, i, w[i], want[step][i%2])
					}
				}
			}
		}
	})
}

func TestAxpy(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for n := range 35 {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			x, y := random(rng, n), random(rng, n)
			want := append([]float32(nil), y...)
			for i := range want {
				want[i] += 0.7 * x[i]
			}
			Axpy(0.7, x, y)
			for i := range want {
				if math.Abs(float64(want[i]-y[i])) > 1e-6 {
					t.Fatalf("n=%d: y[%d] = %g, want %g", n, i, y[i], want[i])
				}
			}
		}
	})
}

func TestParallelCoversEveryIndexOnceEvenNested(t *testing.T) {
	defer SetThreads(Threads())
	for _, threads := range []int{1, 2, 5} {
		SetThreads(threads)
		hits := make([][]int, 23)
		for i := range hits {
			hits[i] = make([]int, 9)
		}
		Parallel(len(hits), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				Parallel(9, func(a, b int) {
					for j := a; j < b; j++ {
						hits[i][j]++
					}
				})
			}
		})
		for i, row := range hits {
			for j, h := range row {
				if h != 1 {
					t.Fatalf("threads=%d: index %d,%d ran %d times", threads, i, j, h)
				}
			}
		}
	}
}

func TestGemmAllocatesNothing(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(1)
	a, b, c := make([]float32, 64*64), make([]float32, 64*64), make([]float32, 64*64)
	if n := testenv.AllocsPerRun(50, func() { Gemm(false, true, 64, 64, 64, 1, a, 64, b, 64, 0, c, 64) }); n > 0 && !testenv.Race {
		t.Fatalf("%g allocations per product, want 0", n)
	}
}

func BenchmarkGemm(b *testing.B) {
	saved := active
	defer func() { active = saved; SetThreads(2) }()
	for _, p := range available() {
		for _, threads := range []int{1, 2} {
			for _, s := range [][3]int{{1024, 1024, 1024}, {4352, 16, 144}, {4352, 64, 576}, {9, 192, 576}} {
				b.Run(fmt.Sprintf("%s/%dx%dx%d/threads=%d", p.name, s[0], s[1], s[2], threads), func(b *testing.B) {
					active = p
					SetThreads(threads)
					m, n, k := s[0], s[1], s[2]
					x, y, z := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
					for b.Loop() {
						Gemm(false, false, m, n, k, 1, x, k, y, n, 0, z, n)
					}
					b.ReportMetric(2*float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
