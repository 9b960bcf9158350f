package nn

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model/nn/kernel"
)

// plainPyramid builds the levels as model.md 2.2 words them, one distance at
// a time.
func plainPyramid(t testing.TB, g *Pyramid[float32], raw []float32, dim int) {
	t.Helper()
	dist := func(a, b []float32) float32 { return kernel.SquaredDistance(a[0]-b[0], a[1]-b[1], a[2]-b[2]) }
	nearest := func(q, p []float32, k int) []int32 {
		idx := make([]int32, len(p)/3)
		for i := range idx {
			idx[i] = int32(i)
		}
		slices.SortStableFunc(idx, func(a, b int32) int {
			da, db := dist(p[3*a:], q), dist(p[3*b:], q)
			switch {
			case da < db:
				return -1
			case da > db:
				return 1
			}
			return 0
		})
		return idx[:k]
	}
	prev := make([]float32, 0, g.Levels[0].N*3)
	for i := range g.Levels[0].N {
		for _, v := range raw[i*dim : i*dim+3] {
			prev = append(prev, boundCoordinate(v))
		}
	}
	for li, l := range g.Levels {
		p := prev
		if l.DownK > 0 {
			far := make([]float32, len(prev)/3)
			for i := range far {
				far[i] = float32(math.Inf(1))
			}
			p = nil
			last := 0
			for range l.N {
				p = append(p, prev[3*last:3*last+3]...)
				next := 0
				for i := range far {
					far[i] = min(far[i], dist(prev[3*i:], prev[3*last:]))
					if far[i] > far[next] {
						next = i
					}
				}
				last = next
			}
			for i := range l.N {
				if got, want := l.Down[i*l.DownK:(i+1)*l.DownK], nearest(p[3*i:3*i+3], prev, l.DownK); !slices.Equal(got, want) {
					t.Fatalf("level %d point %d: from the level before %v, want %v", li, i, got, want)
				}
			}
		}
		if !slices.Equal(l.P, p) {
			t.Fatalf("level %d: other points", li)
		}
		for i := range l.N {
			if got, want := l.Self[i*l.K:(i+1)*l.K], nearest(p[3*i:3*i+3], p, l.K); !slices.Equal(got, want) {
				t.Fatalf("level %d point %d: neighbours %v, want %v", li, i, got, want)
			}
			for n, j := range l.Self[i*l.K : (i+1)*l.K] {
				for d := range 3 {
					if got, want := l.Rel[(i*l.K+n)*3+d], p[3*int(j)+d]-p[3*i+d]; got != want {
						t.Fatalf("level %d point %d: relative position %v, want %v", li, i, got, want)
					}
				}
			}
		}
		prev = p
	}
}

func TestPyramidMatchesItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, value := range map[string]func(i int) float32{
		"random":     func(int) float32 { return rng.Float32() },
		"lattice":    func(int) float32 { return float32(rng.IntN(4)) },
		"equal":      func(int) float32 { return 3 },
		"huge":       func(int) float32 { return (rng.Float32() - 0.5) * 1e38 },
		"not finite": func(int) float32 { return []float32{nan, inf, -inf, 1, 2, rng.Float32()}[rng.IntN(6)] },
		"all NaN":    func(int) float32 { return nan },
	} {
		t.Run(name, func(t *testing.T) {
			for _, dim := range []int{3, 5} {
				g := NewPyramid[float32](160, []int{1, 4, 1, 2, 4}, []int{8, 16, 16, 16, 16})
				raw := make([]float32, 160*dim)
				for range 2 {
					for i := range raw {
						raw[i] = value(i)
					}
					g.Compute(raw, dim, 1)
					plainPyramid(t, g, raw, dim)
				}
			}
		})
	}
}

// A batch gives every cloud what it gets alone.
func TestPyramidOfABatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	const n, b, dim = 64, 5, 5
	raw := make([]float32, b*n*dim)
	for i := range raw {
		raw[i] = rng.Float32()
	}
	strides, neighbours := []int{1, 2, 2}, []int{8, 16, 16}
	all, one := NewPyramid[float32](n, strides, neighbours), NewPyramid[float32](n, strides, neighbours)
	all.Compute(raw, dim, b)
	for s := range b {
		one.Compute(raw[s*n*dim:(s+1)*n*dim], dim, 1)
		for i, l := range one.Levels {
			a := all.Levels[i]
			if !slices.Equal(l.Self, a.Self[s*l.N*l.K:(s+1)*l.N*l.K]) || !slices.Equal(l.Down, a.Down[s*l.N*l.DownK:(s+1)*l.N*l.DownK]) ||
				!slices.Equal(l.Rel, a.Rel[s*l.N*l.K*3:(s+1)*l.N*l.K*3]) {
				t.Fatalf("cloud %d, level %d differs", s, i)
			}
		}
	}
}

func TestPyramidAllocatesNothing(t *testing.T) {
	g := NewPyramid[float32](256, []int{1, 4, 4}, []int{8, 16, 16})
	raw := make([]float32, 256*3)
	for i := range raw {
		raw[i] = float32(i * i % 97)
	}
	if n := testenv.AllocsPerRun(20, func() { g.Compute(raw, 3, 1) }); n > 0 && !testenv.Race {
		t.Errorf("%v allocations", n)
	}
}

// FuzzPyramid reads any bits as coordinates: every index must be in range and
// the result that of the definition.
func FuzzPyramid(f *testing.F) {
	f.Add([]byte{0, 0, 0xc0, 0x7f, 1, 2, 3, 4, 0, 0, 0x80, 0xff}, uint8(1))
	f.Add(make([]byte, 400), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, stride uint8) {
		const dim = 3
		n := min(len(data)/(4*dim), 200)
		s := 1 + int(stride)%8
		if n < s {
			return
		}
		raw := make([]float32, n*dim)
		for i := range raw {
			raw[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		g := NewPyramid[float32](n, []int{1, s}, []int{8, 16})
		g.Compute(raw, dim, 1)
		plainPyramid(t, g, raw, dim)
	})
}

func BenchmarkPyramid(b *testing.B) {
	for _, c := range []struct {
		name       string
		points     int
		strides    []int
		neighbours []int
	}{
		{"paperL", 1024, []int{1, 4, 4, 4, 4}, []int{8, 16, 16, 16, 16}},
		{"paperM", 128, []int{1, 2, 2, 2, 2}, []int{8, 16, 16, 16, 16}},
		{"edgeL", 384, []int{1, 4, 4, 4, 4}, []int{8, 8, 8, 8, 8}},
		{"edgeM", 64, []int{1, 2, 2, 2, 2}, []int{8, 8, 8, 8, 8}},
		{"L4096", 4096, []int{1, 4, 4, 4, 4}, []int{8, 16, 16, 16, 16}},
		{"L16384", 16384, []int{1, 4, 4, 4, 4}, []int{8, 16, 16, 16, 16}},
	} {
		b.Run(c.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			raw := make([]float32, c.points*3)
			for i := range raw {
				raw[i] = rng.Float32()
			}
			g := NewPyramid[float32](c.points, c.strides, c.neighbours)
			for b.Loop() {
				g.Compute(raw, 3, 1)
			}
		})
	}
}
