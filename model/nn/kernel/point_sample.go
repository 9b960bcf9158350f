package kernel

import (
	"math"
	"math/bits"
)

// sampleLevel holds for each node of a tree's level the largest distance of
// its points to those taken, and the smallest id that has it.
type sampleLevel struct {
	far []float32 // padded with -1
	id  []int32
}

// sampler is farthest-point sampling on a tree: taking a point changes only
// the boxes that are nearer to it than their farthest point is to those taken
// before.
type sampler struct {
	t      *pointTree
	f      *pointKernels
	q      [3]float32
	dist   []float32 // by the tree's order
	levels []sampleLevel
}

// start forgets what was taken.
func (s *sampler) start(f *pointKernels, t *pointTree) {
	s.f, s.t = f, t
	inf := float32(math.Inf(1))
	s.dist = growSlice(s.dist, len(t.x))
	for i, x := range t.x {
		switch {
		case i >= t.points:
			s.dist[i] = -1
		case x == inf: // not finite: taken last
			s.dist[i] = 0
		default:
			s.dist[i] = inf
		}
	}
	for len(s.levels) < len(t.levels) {
		s.levels = append(s.levels, sampleLevel{})
	}
	for i := range t.levels {
		l := &s.levels[i]
		l.far, l.id = growSlice(l.far, t.levels[i].stride), growSlice(l.id, t.levels[i].stride)
		for n := range l.far {
			l.far[n] = -1
		}
	}
	for b := range t.blocks {
		l := &s.levels[0]
		l.far[b], l.id[b] = topOf(s.dist[b*blockPoints:(b+1)*blockPoints], t.ids[b*blockPoints:])
	}
	for i := 1; i < len(t.levels); i++ {
		for n := range t.levels[i].n {
			s.levels[i].far[n], s.levels[i].id[n] = s.top(i-1, n)
		}
	}
}

// topOf returns the largest distance and the smallest id that has it.
func topOf(far []float32, id []int32) (float32, int32) {
	best, at := far[0], id[0]
	for i, v := range far {
		if v > best || v == best && id[i] < at {
			best, at = v, id[i]
		}
	}
	return best, at
}

// top returns the farthest point of the children of a node.
func (s *sampler) top(level, node int) (float32, int32) {
	l := &s.levels[level]
	lo := node * treeFan
	hi := min(lo+treeFan, s.t.levels[level].n)
	return topOf(l.far[lo:hi], l.id[lo:hi])
}

// take lowers the distances of the points below a node to the point q, and
// returns the farthest.
func (s *sampler) take(level, node int) (float32, int32) {
	t, l := s.t, &s.levels[level]
	tl := &t.levels[level]
	first := node * treeFan
	// Padding has the limit -1, below any distance.
	closer := s.f.closer(&tl.bounds[first], 4*tl.stride, &s.q, &l.far[first])
	for ; closer != 0; closer &= closer - 1 {
		child := first + bits.TrailingZeros32(closer)
		if level == 0 {
			at := child * blockPoints
			l.far[child], l.id[child] = s.f.lower(&t.x[at], &t.y[at], &t.z[at], &s.q, &s.dist[at], &t.ids[at])
		} else {
			l.far[child], l.id[child] = s.take(level-1, child)
		}
	}
	return s.top(level, node)
}

// farthest is farthestPlain by a tree; x, y, z are the points by id.
func (s *sampler) farthest(sel []int32, x, y, z []float32) {
	inf := float32(math.Inf(1))
	last := int32(0)
	for i := range sel {
		sel[i] = last
		s.q = [3]float32{x[last], y[last], z[last]}
		if s.q[0] == inf {
			s.q = [3]float32{-inf, -inf, -inf} // points that are not finite are at +Inf
		}
		_, last = s.take(len(s.t.levels)-1, 0)
	}
}
