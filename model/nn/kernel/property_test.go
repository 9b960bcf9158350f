package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// product is one call of Gemm; pads are added to the strides.
type product struct {
	m, n, k          int
	transA, transB   bool
	padA, padB, padC int
	alpha, beta      float32
	threads          int
	seed             uint64
}

func (p product) String() string {
	return fmt.Sprintf("%dx%dx%d transA=%v transB=%v pads=%d,%d,%d alpha=%g beta=%g threads=%d seed=%d",
		p.m, p.n, p.k, p.transA, p.transB, p.padA, p.padB, p.padC, p.alpha, p.beta, p.threads, p.seed)
}

// operand returns a guarded matrix of exactly the length Gemm asks for.
func operand(t testing.TB, rng *rand.Rand, trans bool, rows, cols, pad int) (x []float32, ld int) {
	if trans {
		rows, cols = cols, rows
	}
	ld = cols + pad
	n := 0
	if rows > 0 && cols > 0 {
		n = (rows-1)*ld + cols
	}
	x = guarded(t, n)
	for i := range x {
		x[i] = rng.Float32()*2 - 1
	}
	return x, ld
}

// check runs the product on every path and compares with the plain loops in
// float64. It also holds that Gemm touches nothing between the rows of C, does
// not read C if beta is 0, and gives the same bits on any number of threads.
func (p product) check(t testing.TB) {
	t.Helper()
	saved := active
	defer func(n int) { active = saved; SetThreads(n) }(Threads())
	rng := rand.New(rand.NewPCG(p.seed, 1))
	a, lda := operand(t, rng, p.transA, p.m, p.k, p.padA)
	b, ldb := operand(t, rng, p.transB, p.k, p.n, p.padB)
	old, ldc := operand(t, rng, false, p.m, p.n, p.padC)
	want := widen(old)
	if len(old) > 0 {
		gemmPortable(p.transA, p.transB, p.m, p.n, p.k, float64(p.alpha), widen(a), lda, widen(b), ldb, float64(p.beta), want, ldc)
	}
	if p.beta == 0 {
		for i := range old {
			if i%ldc < p.n {
				old[i] = float32(math.NaN())
			}
		}
	}
	c, alone := guarded(t, len(old)), make([]float32, len(old))
	for _, path := range available() {
		active = path
		for _, threads := range []int{1, p.threads} {
			copy(c, old)
			SetThreads(threads)
			Gemm(p.transA, p.transB, p.m, p.n, p.k, p.alpha, a, lda, b, ldb, p.beta, c, ldc)
			for i, v := range c {
				switch {
				case i%ldc >= p.n && v != old[i]:
					t.Fatalf("%s: %v: wrote %g beside C, to %d", path.name, p, v, i)
				case !(math.Abs(float64(v)-want[i]) <= 1e-5*math.Sqrt(float64(p.k))+1e-5):
					t.Fatalf("%s: %v: c[%d] = %g, want %g", path.name, p, i, v, want[i])
				case threads > 1 && v != alone[i]:
					t.Fatalf("%s: %v: c[%d] = %g, on one thread %g", path.name, p, i, v, alone[i])
				}
			}
			if threads == 1 {
				copy(alone, c)
			}
		}
	}
}

// edges are sizes at and around every tile and block edge.
var edges = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 63, 64, 65, 100, 119, 120, 121, 300}

func TestGemmOnAwkwardShapes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size, depth, pad := rapid.IntRange(0, 70), rapid.IntRange(0, 300), rapid.IntRange(0, 5)
		p := product{m: size.Draw(rt, "m"), n: size.Draw(rt, "n"), k: depth.Draw(rt, "k"),
			transA: rapid.Bool().Draw(rt, "transA"), transB: rapid.Bool().Draw(rt, "transB"),
			padA: pad.Draw(rt, "padA"), padB: pad.Draw(rt, "padB"), padC: pad.Draw(rt, "padC"),
			alpha: rapid.SampledFrom([]float32{1, 0, -0.5, 2}).Draw(rt, "alpha"), beta: rapid.SampledFrom([]float32{0, 1, -0.5}).Draw(rt, "beta"),
			threads: rapid.IntRange(2, 4).Draw(rt, "threads"), seed: rapid.Uint64().Draw(rt, "seed")}
		p.check(t)
	})
}

// rapid prefers small numbers, so this draws the edges evenly.
func TestGemmAtTileEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	edge := func() int { return edges[rng.IntN(len(edges))] }
	for i := range 120 {
		product{m: edge(), n: edge(), k: []int{1, 2, 3, 8, 64, 255, 256, 257, 513}[rng.IntN(9)], transA: i&1 != 0, transB: i&2 != 0,
			padA: rng.IntN(4), padB: rng.IntN(4), padC: rng.IntN(4), alpha: 1, beta: float32(i % 3), threads: 2 + i%2, seed: uint64(i)}.check(t)
	}
}

// TestGemmPackedAddsToC holds that Add may be C itself, also where the sum is
// made in several parts.
func TestGemmPackedAddsToC(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for _, s := range [][3]int{{1, 1, 1}, {1, 600, 40}, {300, 64, 576}, {9, 513, 600}, {500, 16, 144}, {61, 1030, 19}, {3, 5, 0}} {
			m, n, k := s[0], s[1], s[2]
			rng := rand.New(rand.NewPCG(uint64(m), uint64(n)))
			a, b, c, bias := random(rng, m*k), random(rng, k*n), random(rng, m*n), random(rng, n)
			want := widen(c)
			gemmPortable(false, false, m, n, k, 1, widen(a), k, widen(b), n, 1.5, want, n)
			finish(m, n, want, n, Epilogue[float64]{Bias: widen(bias), ReLU: true})
			var pb PackedB[float32]
			pb.PackB(false, k, n, b, n)
			GemmPacked(m, a, k, &pb, 0.5, c, n, Epilogue[float32]{Bias: bias, Add: c, LdAdd: n, ReLU: true})
			for i := range c {
				if math.Abs(float64(c[i])-want[i]) > 1e-5*math.Sqrt(float64(k))+1e-5 {
					t.Fatalf("%v: c[%d] = %g, want %g", s, i, c[i], want[i])
				}
			}
		}
	})
}

// FuzzGemm lets the fuzzer choose the shape: sizes up to 300 and inner sizes
// up to 1,100, so that every block edge is within reach.
func FuzzGemm(f *testing.F) {
	f.Add(uint16(1), uint16(1), uint16(1), uint16(0), uint64(1))
	f.Add(uint16(13), uint16(33), uint16(257), uint16(0x3ff), uint64(2))
	f.Add(uint16(121), uint16(17), uint16(513), uint16(0x155), uint64(3))
	f.Add(uint16(1), uint16(299), uint16(1), uint16(0x2aa), uint64(4))
	f.Fuzz(func(t *testing.T, m, n, k, flags uint16, seed uint64) {
		p := product{m: int(m % 300), n: int(n % 300), k: int(k % 1100), transA: flags&1 != 0, transB: flags&2 != 0,
			padA: int(flags>>2) & 3, padB: int(flags>>4) & 3, padC: int(flags>>6) & 3,
			alpha: []float32{1, 0.5, -1, 0}[flags>>8&3], beta: []float32{0, 1, 0.5, -2}[flags>>10&3], threads: 2 + int(flags>>12)&1, seed: seed}
		if p.m*p.n*p.k > 4<<20 {
			return // too large to try many
		}
		p.check(t)
	})
}

// TestElementwiseStaysInside runs the optimiser and Axpy of every path between
// a guard page and a canary, at every length modulo a vector.
func TestElementwiseStaysInside(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for n := range 70 {
			var v [4][]float32 // w, gradient and moments, each with a canary before it
			want := [4][]float64{}
			for i := range v {
				x := guarded(t, n+1)
				for j := range x {
					x[j] = rng.Float32() + 0.1
				}
				want[i] = widen(x)
				v[i] = x
			}
			s := AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 1e-4, Step: 3}
			s.Apply(v[0][1:], v[1][1:], v[2][1:], v[3][1:])
			for j := 1; j <= n; j++ {
				g := want[1][j] + s.WeightDecay*want[0][j]
				want[2][j] = s.Beta1*want[2][j] + (1-s.Beta1)*g
				want[3][j] = s.Beta2*want[3][j] + (1-s.Beta2)*g*g
				want[0][j] -= s.LR / (1 - math.Pow(s.Beta1, float64(s.Step))) * want[2][j] / (math.Sqrt(want[3][j]/(1-math.Pow(s.Beta2, float64(s.Step)))) + s.Eps)
			}
			Axpy(-0.3, v[0][1:], v[1][1:])
			for j := 1; j <= n; j++ {
				want[1][j] -= 0.3 * want[0][j]
			}
			for i := range v {
				for j := range v[i] {
					if math.Abs(float64(v[i][j])-want[i][j]) > 2e-6 {
						t.Fatalf("n=%d: array %d holds %g at %d, want %g", n, i, v[i][j], j-1, want[i][j])
					}
				}
			}
		}
	})
}
