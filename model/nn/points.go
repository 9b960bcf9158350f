package nn

import "posefuse/model/nn/kernel"

// MaxNeighbours is the largest neighbourhood of a point.
const MaxNeighbours = kernel.MaxNearest

// PointLevel is one resolution of a point cloud: its points and which
// neighbours they have.
type PointLevel[T Float] struct {
	N, K  int     // points per sample, neighbours within the level
	DownK int     // neighbours in the previous level, 0 for the first
	P     []T     // [b, N, 3]
	Self  []int32 // [b, N, K] indices within the level
	Down  []int32 // [b, N, DownK] indices within the previous level
	Rel   []T     // [b, N, K, 3] position of the neighbour relative to the point
	sel   []int32
	sets  []kernel.PointSet[T] // by sample
}

// Pyramid holds the levels of a batch of point clouds. It depends on the
// points alone, so it is computed once per forward pass.
//
// Whatever the coordinates, every index is in range and every position
// finite: a coordinate that is NaN counts as 0 and one beyond ±maxCoordinate
// as that.
type Pyramid[T Float] struct {
	Levels []*PointLevel[T]

	work pointWork[T]

	raw   []T
	dim   int
	build func(lo, hi int)
}

// NewPyramid plans the levels: n input points, and per level its stride and
// number of neighbours.
func NewPyramid[T Float](n int, strides, neighbours []int) *Pyramid[T] {
	g := &Pyramid[T]{}
	prev := n
	for i, s := range strides {
		l := &PointLevel[T]{N: prev / s, K: min(neighbours[i], prev/s)}
		if s > 1 {
			l.DownK = min(neighbours[i], prev)
		}
		g.Levels = append(g.Levels, l)
		prev = l.N
	}
	g.build = g.buildRange
	return g
}

// maxCoordinate bounds coordinates so that no squared distance overflows
// float32. Sensors see some hundred metres.
const maxCoordinate = 1e18

func boundCoordinate[T Float](x T) T {
	if x != x {
		return 0
	}
	return min(max(x, -maxCoordinate), maxCoordinate)
}

func growIndex(s *[]int32, n int) {
	if cap(*s) < n {
		*s = make([]int32, n)
	}
	*s = (*s)[:n]
}

// Compute builds all levels for b clouds of rows of dim values whose first
// three are the position.
func (g *Pyramid[T]) Compute(raw []T, dim, b int) {
	g.raw, g.dim = raw, dim
	for i, l := range g.Levels {
		grow(&l.P, b*l.N*3)
		growIndex(&l.Self, b*l.N*l.K)
		grow(&l.Rel, b*l.N*l.K*3)
		if l.DownK > 0 {
			growIndex(&l.Down, b*l.N*l.DownK)
			growIndex(&l.sel, b*l.N)
		}
		if i == 0 || l.DownK > 0 {
			for len(l.sets) < b {
				l.sets = append(l.sets, kernel.PointSet[T]{})
			}
		}
	}
	split(b, 1<<20, g.build)
}

// buildRange builds the clouds lo..hi-1. A level of stride 1 is the one
// before it, points and point set.
func (g *Pyramid[T]) buildRange(lo, hi int) {
	for s := lo; s < hi; s++ {
		var prev []T
		var set *kernel.PointSet[T]
		sampled := false // points in the order of a sampling
		for _, l := range g.Levels {
			p := l.P[s*l.N*3 : (s+1)*l.N*3]
			switch {
			case prev == nil:
				for i := range l.N {
					r := g.raw[(s*l.N+i)*g.dim:]
					for d := range 3 {
						p[3*i+d] = boundCoordinate(r[d])
					}
				}
				set = &l.sets[s]
				set.Set(p, l.N, 3)
			case l.DownK == 0:
				copy(p, prev)
			default:
				sel := l.sel[s*l.N : (s+1)*l.N]
				if sampled {
					first(sel)
				} else {
					set.Farthest(sel)
				}
				sampled = true
				for i, j := range sel {
					copy(p[3*i:3*i+3], prev[3*j:3*j+3])
				}
				set.Nearest(l.Down[s*l.N*l.DownK:(s+1)*l.N*l.DownK], p, l.N, l.DownK)
				set = &l.sets[s]
				set.Set(p, l.N, 3)
			}
			self := l.Self[s*l.N*l.K : (s+1)*l.N*l.K]
			set.Nearest(self, p, l.N, l.K)
			relative(l.Rel[s*l.N*l.K*3:(s+1)*l.N*l.K*3], p, self, l.K)
			prev = p
		}
	}
}

// first selects the first points: from points in the order of a farthest-point
// sampling, another one takes the same again. (Where several points coincide
// it may take another of them, which is at the same position.)
func first(sel []int32) {
	for i := range sel {
		sel[i] = int32(i)
	}
}

// relative writes where the k neighbours of each point lie as seen from it.
func relative[T Float](rel, p []T, self []int32, k int) {
	for i := range len(p) / 3 {
		x, y, z := p[3*i], p[3*i+1], p[3*i+2]
		row := rel[i*k*3 : (i+1)*k*3]
		for n, j := range self[i*k : (i+1)*k] {
			q, r := p[3*j:3*j+3:3*j+3], row[3*n:3*n+3:3*n+3]
			r[0], r[1], r[2] = q[0]-x, q[1]-y, q[2]-z
		}
	}
}
