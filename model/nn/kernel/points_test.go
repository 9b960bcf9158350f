package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// clouds draws point clouds with every kind of tie and degeneracy.
var clouds = []struct {
	name  string
	point func(rng *rand.Rand, i int) [3]float32
}{
	{"random", func(rng *rand.Rand, _ int) [3]float32 { return [3]float32{rng.Float32(), rng.Float32(), rng.Float32()} }},
	{"clustered", func(rng *rand.Rand, i int) [3]float32 {
		c := float32(i % 5)
		return [3]float32{c + rng.Float32()*1e-3, -c + rng.Float32()*1e-3, 2 * c}
	}},
	{"collinear", func(_ *rand.Rand, i int) [3]float32 { return [3]float32{float32(i), 2 * float32(i), 0} }},
	{"equal", func(*rand.Rand, int) [3]float32 { return [3]float32{1, 2, 3} }},
	{"duplicated", func(_ *rand.Rand, i int) [3]float32 {
		return [3]float32{float32(i * 7919 % 13), float32(i * 104729 % 7), 1}
	}},
	{"lattice", func(_ *rand.Rand, i int) [3]float32 {
		return [3]float32{float32(i % 8), float32(i / 8 % 8), float32(i / 64)}
	}},
	{"far", func(rng *rand.Rand, i int) [3]float32 {
		return [3]float32{rng.Float32() * 1e30, rng.Float32() * 1e19, float32(i)}
	}},
	{"not finite", func(rng *rand.Rand, _ int) [3]float32 {
		p := [3]float32{rng.Float32(), rng.Float32(), rng.Float32()}
		bad := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 3e38, 0, 0, 0, 0, 0, 0, 0, 0}
		if v := bad[rng.IntN(len(bad))]; v != 0 {
			p[rng.IntN(3)] = v
		}
		return p
	}},
	{"nothing finite", func(*rand.Rand, int) [3]float32 {
		n := float32(math.NaN())
		return [3]float32{n, n, n}
	}},
}

func cloud(kind int, seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 3))
	p := make([]float32, 0, 3*n)
	for i := range n {
		q := clouds[kind].point(rng, i)
		p = append(p, q[:]...)
	}
	return p
}

// wantNearest is the definition: sort by distance, then index.
func wantNearest(q, p []float32, k int) []int32 {
	n := len(p) / 3
	var out []int32
	for i := range len(q) / 3 {
		d := make([]float32, n)
		idx := make([]int32, n)
		for j := range n {
			idx[j] = int32(j)
			d[j] = SquaredDistance(p[3*j]-q[3*i], p[3*j+1]-q[3*i+1], p[3*j+2]-q[3*i+2])
			if d[j] != d[j] {
				d[j] = float32(math.Inf(1))
			}
		}
		slices.SortStableFunc(idx, func(a, b int32) int {
			switch {
			case d[a] < d[b]:
				return -1
			case d[a] > d[b]:
				return 1
			}
			return 0
		})
		for r := range k {
			if r < n {
				out = append(out, idx[r])
			} else {
				out = append(out, idx[0])
			}
		}
	}
	return out
}

// wantFarthest is the definition, one distance at a time.
func wantFarthest(p []float32, m int) []int32 {
	n := len(p) / 3
	dist := make([]float32, n)
	for i := range dist {
		if finitePoint(p[3*i], p[3*i+1], p[3*i+2]) {
			dist[i] = float32(math.Inf(1))
		}
	}
	sel := make([]int32, m)
	for s := range sel {
		if s > 0 {
			last, best := 3*sel[s-1], 0
			for i := range dist {
				if d := SquaredDistance(p[3*i]-p[last], p[3*i+1]-p[last+1], p[3*i+2]-p[last+2]); d < dist[i] {
					dist[i] = d
				}
				if dist[i] > dist[best] {
					best = i
				}
			}
			sel[s] = int32(best)
		}
	}
	return sel
}

func TestPointSetMatchesItsDefinition(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for kind, c := range clouds {
			t.Run(c.name, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					n := rapid.OneOf(rapid.IntRange(1, 70), rapid.SampledFrom([]int{128, 384, 1000})).Draw(t, "points")
					k := rapid.SampledFrom([]int{1, 2, 8, 16, 17, 32, 33, MaxNearest}).Draw(t, "k")
					p := cloud(kind, rapid.Uint64().Draw(t, "seed"), n)
					checkPointSet(t, p, p[:3*min(n, 40)], k, min(n+2, 60))
					checkPointSet(t, p, cloud(0, 1, 5), k, 1)
				})
			})
		}
	})
}

func checkPointSet(t rapid.TB, p, q []float32, k, m int) {
	var s PointSet[float32]
	s.Set(p, len(p)/3, 3)
	idx := make([]int32, len(q)/3*k)
	s.Nearest(idx, q, len(q)/3, k)
	if want := wantNearest(q, p, k); !slices.Equal(idx, want) {
		t.Fatalf("%d points, k %d: nearest\n%v, want\n%v", len(p)/3, k, idx, want)
	}
	sel := make([]int32, m)
	s.Farthest(sel)
	if want := wantFarthest(p, m); !slices.Equal(sel, want) {
		t.Fatalf("%d points: farthest\n%v, want\n%v", len(p)/3, sel, want)
	}
}

func TestPointSetRowsOfFive(t *testing.T) {
	rows := []float32{0, 0, 0, 9, 9, 1, 0, 0, 9, 9, 5, 0, 0, 9, 9}
	onEachPath(t, func(t *testing.T) {
		var s PointSet[float32]
		s.Set(rows, 3, 5)
		idx := make([]int32, 2)
		s.Nearest(idx, []float32{4, 0, 0}, 1, 2)
		if !slices.Equal(idx, []int32{2, 1}) {
			t.Errorf("nearest %v", idx)
		}
	})
}

func TestPointSetAllocatesNothing(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		p := cloud(0, 1, 500)
		var s PointSet[float32]
		idx, sel := make([]int32, 500*16), make([]int32, 100)
		if n := testing.AllocsPerRun(20, func() {
			s.Set(p, 500, 3)
			s.Nearest(idx, p, 500, 16)
			s.Farthest(sel)
		}); n > 0 && !raceEnabled {
			t.Errorf("%v allocations", n)
		}
	})
}

func TestPointSetDoesNotDependOnThreads(t *testing.T) {
	defer SetThreads(Threads())
	p := cloud(1, 2, 1024)
	var want []int32
	for _, threads := range []int{1, 2, 5} {
		SetThreads(threads)
		var s PointSet[float32]
		s.Set(p, 1024, 3)
		idx := make([]int32, 1024*16)
		s.Nearest(idx, p, 1024, 16)
		if want == nil {
			want = idx
		} else if !slices.Equal(idx, want) {
			t.Fatalf("%d threads find other neighbours", threads)
		}
	}
}

func BenchmarkNearest(b *testing.B) {
	saved := active
	defer func() { active = saved; SetThreads(2) }()
	for _, path := range available() {
		for _, n := range []int{128, 1024, 4096, 16384} {
			for _, k := range []int{8, 16} {
				b.Run(fmt.Sprintf("%s/n=%d/k=%d", path.name, n, k), func(b *testing.B) {
					active = path
					SetThreads(1)
					p := cloud(0, 1, n)
					m := min(n, 1024)
					var s PointSet[float32]
					s.Set(p, n, 3)
					idx := make([]int32, m*k)
					for b.Loop() {
						s.Nearest(idx, p[:3*m], m, k)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*m), "ns/query")
				})
			}
		}
	}
}

func BenchmarkFarthest(b *testing.B) {
	saved := active
	defer func() { active = saved }()
	for _, path := range available() {
		for _, n := range []int{128, 1024, 4096, 16384} {
			b.Run(fmt.Sprintf("%s/n=%d", path.name, n), func(b *testing.B) {
				active = path
				p := cloud(0, 1, n)
				var s PointSet[float32]
				s.Set(p, n, 3)
				sel := make([]int32, n/4)
				for b.Loop() {
					s.Farthest(sel)
				}
			})
		}
	}
}
