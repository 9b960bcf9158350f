package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
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
					n := rapid.OneOf(rapid.IntRange(1, 70), rapid.SampledFrom([]int{128, 384, 700})).Draw(t, "points")
					k := rapid.SampledFrom([]int{1, 2, 8, 16, 17, 32, 33, MaxNearest}).Draw(t, "k")
					p := cloud(kind, rapid.Uint64().Draw(t, "seed"), n)
					checkPointSet(t, p, append(p[:3*min(n, 9):3*min(n, 9)], cloud(0, 1, 3)...), k, min(n+2, 60))
				})
			})
		}
	})
}

func firstDifference(got, want []int32) string {
	for i := range want {
		if got[i] != want[i] {
			return fmt.Sprintf("number %d is %d, want %d", i, got[i], want[i])
		}
	}
	return "equal"
}

func checkPointSet(t interface{ Fatalf(string, ...any) }, p, q []float32, k, m int) {
	var s PointSet[float32]
	s.Set(p, len(p)/3, 3)
	idx := make([]int32, len(q)/3*k)
	s.Nearest(idx, q, len(q)/3, k)
	nearest := wantNearest(q, p, k)
	if !slices.Equal(idx, nearest) {
		t.Fatalf("%d points, k %d: nearest %s", len(p)/3, k, firstDifference(idx, nearest))
	}
	if n := len(p) / 3; n > (seedBlocks-1)*blockPoints {
		s.tree = new(pointTree)
		s.tree.build(s.x, s.y, s.z, n)
		s.treed = true
		s.Nearest(idx, q, len(q)/3, k)
		if !slices.Equal(idx, nearest) {
			t.Fatalf("%d points, k %d: nearest by tree %s", len(p)/3, k, firstDifference(idx, nearest))
		}
	}
	sel := make([]int32, m)
	s.Farthest(sel)
	want := wantFarthest(p, m)
	if !slices.Equal(sel, want) {
		t.Fatalf("%d points: farthest %s", len(p)/3, firstDifference(sel, want))
	}
	if s.tree != nil {
		clear(sel)
		s.sampler.start(treeKernels(), s.tree)
		s.sampler.farthest(sel, s.x, s.y, s.z)
		if !slices.Equal(sel, want) {
			t.Fatalf("%d points: farthest by tree %s", len(p)/3, firstDifference(sel, want))
		}
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
	defer SetThreads(Threads())
	SetThreads(1)
	onEachPath(t, func(t *testing.T) {
		for _, n := range []int{500, 3000} { // without and with a tree
			p := cloud(0, 1, n)
			var s PointSet[float32]
			idx, sel := make([]int32, 500*16), make([]int32, 100)
			search := func() {
				s.Set(p, n, 3)
				s.Nearest(idx, p[:3*500], 500, 16)
				s.Farthest(sel)
			}
			search()
			if allocs := testenv.AllocsPerRun(10, search); allocs > 0 && !testenv.Race {
				t.Errorf("%d points: %v allocations", n, allocs)
			}
		}
	})
}

func TestPointSetDoesNotDependOnThreads(t *testing.T) {
	defer SetThreads(Threads())
	const n = 4096
	p := cloud(1, 2, n)
	var want []int32
	for _, threads := range []int{1, 2, 5} {
		SetThreads(threads)
		var s PointSet[float32]
		s.Set(p, n, 3)
		idx := make([]int32, n*16)
		s.Nearest(idx, p, n, 16)
		if want == nil {
			want = idx
		} else if !slices.Equal(idx, want) {
			t.Fatalf("%d threads find other neighbours", threads)
		}
	}
}

// FuzzPointSet reads any bits as coordinates.
func FuzzPointSet(f *testing.F) {
	f.Add([]byte{0, 0, 0xc0, 0x7f, 1, 2, 3, 4, 0, 0, 0x80, 0xff}, uint8(1))
	f.Add(make([]byte, 1200), uint8(20))
	f.Fuzz(func(t *testing.T, data []byte, k uint8) {
		n := min(len(data)/12, 300)
		if n == 0 {
			return
		}
		p := make([]float32, 3*n)
		for i := range p {
			p[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		checkPointSet(t, p, p[:3*min(n, 10)], 1+int(k)%MaxNearest, min(n, 20))
	})
}

// TestLargePointSets searches trees of several levels and compares with all
// distances.
func TestLargePointSets(t *testing.T) {
	n := 40_000
	if testenv.Race {
		n = 4_500
	}
	for kind, c := range clouds {
		p := cloud(kind, 7, n)
		q := append(slices.Clone(p[3*2_000:3*2_250]), cloud(0, 1, 10)...)
		var want, far []int32
		onEachPath(t, func(t *testing.T) {
			var s PointSet[float32]
			s.Set(p, len(p)/3, 3)
			sel := make([]int32, 300)
			s.Farthest(sel)
			if far == nil {
				far = wantFarthest(p, len(sel))
			}
			if !slices.Equal(sel, far) {
				t.Fatalf("%s: farthest %s", c.name, firstDifference(sel, far))
			}
			idx := make([]int32, len(q)/3*16)
			s.Nearest(idx, q, len(q)/3, 16)
			if !s.treed {
				t.Fatal("no tree was built")
			}
			if want == nil {
				want = make([]int32, len(idx))
				nearestPlain(want, 16, 16, q, p)
			}
			if !slices.Equal(idx, want) {
				t.Fatalf("%s: other neighbours", c.name)
			}
		})
	}
}

func BenchmarkNearest(b *testing.B) {
	saved := active
	defer func() { active = saved; SetThreads(2) }()
	for _, path := range available() {
		for _, n := range []int{128, 512, 1024, 2048, 4096, 16384, 65536, 1_000_000} {
			for _, k := range []int{8, 16} {
				for _, tree := range []bool{false, true} {
					if !tree && n > 16384 {
						continue
					}
					b.Run(fmt.Sprintf("%s/n=%d/k=%d/tree=%v", path.name, n, k, tree), func(b *testing.B) {
						active = path
						SetThreads(1)
						p := cloud(0, 1, n)
						m := min(n, 1024)
						var s PointSet[float32]
						s.Set(p, n, 3)
						s.tree = new(pointTree)
						if s.treed = tree; tree {
							s.tree.build(s.x, s.y, s.z, n)
						}
						q := p[:3*m]
						s.idx, s.queries, s.k = make([]int32, m*k), q, k
						for b.Loop() {
							s.Run(0, m)
						}
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*m), "ns/query")
					})
				}
			}
		}
	}
}

func BenchmarkTreeBuild(b *testing.B) {
	for _, n := range []int{1024, 16384, 65536, 1_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var s PointSet[float32]
			s.Set(cloud(0, 1, n), n, 3)
			s.tree = new(pointTree)
			for b.Loop() {
				s.tree.build(s.x, s.y, s.z, n)
			}
		})
	}
}

func BenchmarkFarthest(b *testing.B) {
	saved := active
	defer func() { active = saved }()
	for _, path := range available() {
		for _, n := range []int{128, 1024, 4096, 8192, 16384, 65536, 1_000_000} {
			for _, tree := range []bool{false, true} {
				if !tree && n > 65536 {
					continue
				}
				b.Run(fmt.Sprintf("%s/n=%d/tree=%v", path.name, n, tree), func(b *testing.B) {
					active = path
					p := cloud(0, 1, n)
					var s PointSet[float32]
					s.Set(p, n, 3)
					sel := make([]int32, min(n/4, 4096))
					s.tree = new(pointTree)
					s.tree.build(s.x, s.y, s.z, n)
					for b.Loop() {
						if !tree {
							s.scanFarthest(sel)
							continue
						}
						s.sampler.start(treeKernels(), s.tree)
						s.sampler.farthest(sel, s.x, s.y, s.z)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(sel)), "ns/sample")
				})
			}
		}
	}
}
