package nn

import "math"

// MaxNeighbours is the largest neighbourhood KNN supports.
const MaxNeighbours = 64

// FarthestPoints writes the indices of len(sel) of the n points p (rows of
// three), starting with point 0 and each time taking the point farthest from
// those taken, the first of equals. dist is scratch of n values.
func FarthestPoints[T Float](sel []int32, p []T, n int, dist []T) {
	dist = dist[:n]
	for i := range dist {
		dist[i] = T(math.Inf(1))
	}
	last := 0
	for s := range sel {
		sel[s] = int32(last)
		x, y, z := p[3*last], p[3*last+1], p[3*last+2]
		best, far := 0, T(-1)
		for i := range dist {
			q := p[3*i : 3*i+3]
			d := squared(q[0]-x, q[1]-y, q[2]-z)
			if d < dist[i] {
				dist[i] = d
			} else {
				d = dist[i]
			}
			if d > far {
				best, far = i, d
			}
		}
		last = best
	}
}

// squared keeps the compiler from fusing multiply and add, so that every
// platform picks the same neighbours.
//
//nolint:unconvert // the conversions round
func squared[T Float](x, y, z T) T { return T(x*x) + T(y*y) + T(z*z) }

// KNN writes for each of the m points q the indices of its k nearest of the n
// points p, nearest first, ties by lower index.
func KNN[T Float](idx []int32, q []T, m int, p []T, n, k int) {
	var bd [MaxNeighbours]T
	for i := range m {
		x, y, z := q[3*i], q[3*i+1], q[3*i+2]
		best := idx[i*k : (i+1)*k]
		filled := 0
		worst := T(math.Inf(1))
		for j := range n {
			r := p[3*j : 3*j+3]
			d := squared(r[0]-x, r[1]-y, r[2]-z)
			at := filled
			switch {
			case filled < k:
				filled++
			case d < worst:
				at = k - 1
			default:
				continue
			}
			for at > 0 && d < bd[at-1] {
				bd[at], best[at] = bd[at-1], best[at-1]
				at--
			}
			bd[at], best[at] = d, int32(j)
			if filled == k {
				worst = bd[k-1]
			}
		}
	}
}

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
	dist  []T
}

// Pyramid holds the levels of a batch of point clouds. It depends on the
// points alone, so it is computed once per forward pass.
type Pyramid[T Float] struct {
	Levels []*PointLevel[T]

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
	prev := g.Levels[0].N
	for _, l := range g.Levels {
		grow(&l.P, b*l.N*3)
		growIndex(&l.Self, b*l.N*l.K)
		grow(&l.Rel, b*l.N*l.K*3)
		if l.DownK > 0 {
			growIndex(&l.Down, b*l.N*l.DownK)
			growIndex(&l.sel, b*l.N)
			grow(&l.dist, b*prev)
		}
		prev = l.N
	}
	split(b, 1<<20, g.build)
}

func (g *Pyramid[T]) buildRange(lo, hi int) {
	for s := lo; s < hi; s++ {
		var prev []T
		pn := 0
		for _, l := range g.Levels {
			p := l.P[s*l.N*3 : (s+1)*l.N*3]
			if l.DownK == 0 {
				if prev != nil {
					copy(p, prev)
				} else {
					for i := range l.N {
						copy(p[3*i:3*i+3], g.raw[(s*l.N+i)*g.dim:])
					}
				}
			} else {
				sel := l.sel[s*l.N : (s+1)*l.N]
				FarthestPoints(sel, prev, pn, l.dist[s*pn:(s+1)*pn])
				for i, j := range sel {
					copy(p[3*i:3*i+3], prev[3*j:3*j+3])
				}
				KNN(l.Down[s*l.N*l.DownK:(s+1)*l.N*l.DownK], p, l.N, prev, pn, l.DownK)
			}
			self := l.Self[s*l.N*l.K : (s+1)*l.N*l.K]
			KNN(self, p, l.N, p, l.N, l.K)
			rel := l.Rel[s*l.N*l.K*3 : (s+1)*l.N*l.K*3]
			for r, j := range self {
				i := r / l.K
				for d := range 3 {
					rel[3*r+d] = p[3*int(j)+d] - p[3*i+d]
				}
			}
			prev, pn = p, l.N
		}
	}
}
