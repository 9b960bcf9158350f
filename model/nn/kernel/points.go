package kernel

import (
	"math"
	"math/bits"
	"sync"
)

// pointKernels are the vector loops of a PointSet. Every one takes points
// padded to a multiple of pointPad.
type pointKernels struct {
	dist  func(n int, x, y, z *float32, q *[3]float32, d *float32, low *[32]float32)
	bound func(low *[32]float32, k int) float32
	// below is one of compress and mask.
	compress func(n int, d *float32, limit float32, index *int32) int
	mask     func(n int, d *float32, limit float32, bits *uint32)
	rank     func(n int, keys, ranks *uint64) // may be nil
	// boxes and blocks serve the tree: tests of 32 boxes, and dist for points
	// in blocks of 16.
	boxes  func(bounds *float32, stride int, q *[3]float32, limit float32) (within, at uint32)
	blocks func(n int, blocks *int32, x, y, z *float32, q *[3]float32, d *float32, low *[32]float32)
	// closer tests 32 boxes against a limit each, lower is far for one block.
	closer func(bounds *float32, stride int, q *[3]float32, limits *float32) uint32
	lower  func(x, y, z *float32, q *[3]float32, dist *float32, ids *int32) (far float32, id int32)
	far    func(n int, x, y, z *float32, q *[3]float32, dist *float32, far *[16]float32, at *[16]int32)
}

const (
	// MaxNearest is the largest k of PointSet.Nearest.
	MaxNearest = 64
	// pointPad is what the vector loops take at a time.
	pointPad = 32
	// maxRanked is how many candidates are sorted by counting smaller ones;
	// more are inserted one by one.
	maxRanked = 128
	// parallelDistances is how many distances pay for a second thread.
	parallelDistances = 1 << 15
	// A tree pays from so many points (on AVX-512 2,048 take 1.0 µs a query
	// without and 0.5 to 0.7 with, 16,384 take 4.9 and 0.65 to 1.0) and
	// queries, as building it costs 60 to 200 ns a point.
	treePoints         = 2048
	treePointsPortable = 512
	treeQueries        = 256
	// The same for sampling, where the two meet at 3,000 points on AVX-512
	// and 16,384 take a third of the time.
	samplePoints         = 4096
	samplePointsPortable = 512
)

// SquaredDistance returns x² + y² + z² with every product and sum rounded: a
// fused multiply-add would let platforms disagree on which point is nearer.
//
//nolint:unconvert // the conversions round
func SquaredDistance[T Float](x, y, z T) T { return T(x*x) + T(y*y) + T(z*z) }

// PointSet answers which points are nearest and picks points far from each
// other. All CPU paths give the same indices: distances are squared Euclidean,
// rounded as SquaredDistance does, and ties go to the lower index. A point
// with a coordinate that is not finite counts as infinitely far from all, so
// does a finite one whose distance overflows.
//
// The zero value is an empty set. A set works for one call at a time.
type PointSet[T Float] struct {
	n       int
	rows    []T // n x 3, own or the caller's
	own     []T
	x, y, z []float32
	tree    *pointTree // of float32 sets that were searched for many neighbours
	treed   bool       // whether tree is up to date
	sampler sampler
	dist    []T

	// of the search under way
	idx     []int32
	queries []T
	k       int
}

// Set takes over n points, the first three values of each row of stride
// values. The set keeps rows when stride is 3; they must not change until the
// next Set.
func (s *PointSet[T]) Set(rows []T, n, stride int) {
	s.n = n
	if stride == 3 {
		s.rows = rows[:3*n]
	} else {
		s.own = growSlice(s.own, 3*n)
		for i := range n {
			copy(s.own[3*i:3*i+3], rows[i*stride:])
		}
		s.rows = s.own
	}
	s.treed = false
	if r32, ok := any(s.rows).([]float32); ok {
		s.planes(r32)
	}
}

func growSlice[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n, n+max(n/4, min(n, 4096)))
	}
	return s[:n]
}

// padded rounds up to what the vector loops take.
func padded(n int) int { return (n + pointPad - 1) &^ (pointPad - 1) }

// planes lays the points out axis by axis.
func (s *PointSet[T]) planes(rows []float32) {
	p := padded(s.n)
	s.x, s.y, s.z = growSlice(s.x, p), growSlice(s.y, p), growSlice(s.z, p)
	inf := float32(math.Inf(1))
	for i := range s.n {
		r := rows[3*i : 3*i+3 : 3*i+3]
		x, y, z := r[0], r[1], r[2]
		if !finitePoint(x, y, z) {
			x, y, z = inf, inf, inf
		}
		s.x[i], s.y[i], s.z[i] = x, y, z
	}
	for i := s.n; i < p; i++ {
		s.x[i], s.y[i], s.z[i] = inf, inf, inf
	}
}

func finitePoint[T Float](x, y, z T) bool { return x-x == 0 && y-y == 0 && z-z == 0 }

// Nearest writes for each of m queries (rows of three) the indices of its k
// nearest points, nearest first; k is at most MaxNearest. The set must hold at least one point; if it
// holds fewer than k, the nearest one is repeated. The work is split among the
// kernel's threads.
func (s *PointSet[T]) Nearest(idx []int32, queries []T, m, k int) {
	_ = s.rows[2]
	s.idx, s.queries, s.k = idx[:m*k], queries[:3*m], k
	s.plant(m)
	if m*s.n < parallelDistances {
		s.Run(0, m)
	} else {
		Do(m, 8, s)
	}
	s.idx, s.queries = nil, nil
}

// Run searches for queries lo..hi-1; it is there for Do.
func (s *PointSet[T]) Run(lo, hi int) {
	q, idx := s.queries[3*lo:3*hi], s.idx[lo*s.k:hi*s.k]
	k := min(s.k, s.n)
	q32, ok := any(q).([]float32)
	switch {
	case ok && s.treed:
		w := workPool.Get().(*nearestWork)
		w.searchTree(treeKernels(), idx, s.k, k, q32, s.tree)
		workPool.Put(w)
	case ok && active.points != nil:
		w := workPool.Get().(*nearestWork)
		w.search(active.points, idx, s.k, k, q32, s.x, s.y, s.z, s.n)
		workPool.Put(w)
	default:
		nearestPlain(idx, s.k, k, q, s.rows)
	}
	for i := 0; k < s.k && i < len(idx); i += s.k {
		row := idx[i : i+s.k]
		for j := k; j < s.k; j++ {
			row[j] = row[0]
		}
	}
}

// plant builds the tree if m queries pay for it.
func (s *PointSet[T]) plant(m int) {
	if s.treed || s.n < treeFrom() || m < treeQueries || s.x == nil {
		return
	}
	if s.tree == nil {
		s.tree = new(pointTree)
	}
	s.tree.build(s.x, s.y, s.z, s.n)
	s.treed = true
}

// nearestPlain is the reference every other search is tested against: all
// distances, the k smallest kept in order.
func nearestPlain[T Float](idx []int32, stride, k int, q, p []T) {
	inf := T(math.Inf(1))
	w := bestOf[T]{}
	for i := range len(q) / 3 {
		x, y, z := q[3*i], q[3*i+1], q[3*i+2]
		w.start(idx[i*stride:i*stride+k], k)
		for j := range len(p) / 3 {
			r := p[3*j : 3*j+3 : 3*j+3]
			d := SquaredDistance(r[0]-x, r[1]-y, r[2]-z)
			if d != d {
				d = inf
			}
			if d < w.worst || w.n < k {
				w.insert(d, int32(j))
			}
		}
	}
}

// bestOf keeps the k smallest distances that were inserted in the order of
// their index.
type bestOf[T Float] struct {
	d     [MaxNearest]T
	idx   []int32
	n, k  int
	worst T // of k distances, +Inf before
}

func (b *bestOf[T]) start(idx []int32, k int) {
	b.idx, b.k, b.n, b.worst = idx, k, 0, T(math.Inf(1))
}

// insert takes a distance below worst, or any while there are fewer than k.
func (b *bestOf[T]) insert(d T, index int32) {
	at := b.n
	if at < b.k {
		b.n++
	} else {
		at--
	}
	for at > 0 && d < b.d[at-1] {
		b.d[at], b.idx[at] = b.d[at-1], b.idx[at-1]
		at--
	}
	b.d[at], b.idx[at] = d, index
	if b.n == b.k {
		b.worst = b.d[b.k-1]
	}
}

// nearestWork is the memory of one thread's search.
type nearestWork struct {
	d     []float32
	index []int32
	bits  []uint32
	q     [3]float32
	low   [32]float32
	keys  [maxRanked]uint64 // distance bits above the index: ordered as both
	ranks [maxRanked]uint64
	best  bestOf[float32]
	list  []int32 // of blocks
	nodes []int32
	cand  []uint64
	far   [16]float32
	at    [16]int32
}

var workPool = sync.Pool{New: func() any { return new(nearestWork) }}

// search computes all distances of a query at once, bounds the k-th smallest
// by that of the smallest per residue modulo 32, and sorts those within the
// bound: about one and a half times k.
func (w *nearestWork) search(f *pointKernels, idx []int32, stride, k int, q, x, y, z []float32, n int) {
	p := padded(n)
	w.room(p)
	inf := float32(math.Inf(1))
	for i := range len(q) / 3 {
		w.from(q[3*i], q[3*i+1], q[3*i+2])
		f.dist(p, &x[0], &y[0], &z[0], &w.q, &w.d[0], &w.low)
		limit := inf
		if k <= len(w.low) {
			limit = f.bound(&w.low, k)
		}
		w.pick(f, idx[i*stride:i*stride+k], k, p, limit)
	}
}

// room makes room for p distances.
func (w *nearestWork) room(p int) {
	w.d, w.index, w.bits = growSlice(w.d, p), growSlice(w.index, p+pointPad), growSlice(w.bits, p/32)
}

// from sets the point that distances are taken to.
func (w *nearestWork) from(x, y, z float32) {
	w.q = [3]float32{x, y, z}
	if !finitePoint(x, y, z) {
		inf := float32(math.Inf(-1)) // points that are not finite are at +Inf
		w.q = [3]float32{inf, inf, inf}
	}
}

// pick writes the k nearest of the points whose distance is at most limit.
// Padding is infinitely far and behind all points, so it never gets among
// the first k.
func (w *nearestWork) pick(f *pointKernels, out []int32, k, p int, limit float32) {
	c := w.below(f, p, limit)
	index := w.index[:c]
	if f.rank == nil || c > maxRanked {
		w.best.start(out, k)
		for _, j := range index {
			if d := w.d[j]; d < w.best.worst || w.best.n < k {
				w.best.insert(d, j)
			}
		}
		return
	}
	keys := &w.keys
	for i, j := range index {
		keys[i&(maxRanked-1)] = uint64(math.Float32bits(w.d[j]))<<32 | uint64(uint32(j))
	}
	full := (c + 7) &^ 7
	for i := c; i < full; i++ {
		keys[i] = math.MaxInt64 // above any key
	}
	f.rank(full, &keys[0], &w.ranks[0])
	for i, j := range index {
		if r := w.ranks[i&(maxRanked-1)]; r < uint64(len(out)) {
			out[r] = j
		}
	}
}

// below lists the positions within limit in index and returns their number.
func (w *nearestWork) below(f *pointKernels, p int, limit float32) int {
	if f.compress != nil {
		return f.compress(p, &w.d[0], limit, &w.index[0])
	}
	f.mask(p, &w.d[0], limit, &w.bits[0])
	c := 0
	for i, b := range w.bits[:p/32] {
		for ; b != 0; b &= b - 1 {
			w.index[c] = int32(i*32 + bits.TrailingZeros32(b))
			c++
		}
	}
	return c
}

// Farthest writes the indices of len(sel) points, starting with point 0 and
// each time taking the point farthest from those taken, the first of equals.
// Points that are not finite come after all that are; once every place is
// taken, point 0 repeats. The set must hold at least one point. The time is at
// most len(sel) times the number of points; with many points it grows with
// len(sel) alone.
func (s *PointSet[T]) Farthest(sel []int32) {
	_ = s.rows[2]
	if s.n >= sampleFrom() && len(sel) >= treeQueries && s.x != nil {
		s.plant(len(sel))
		s.sampler.start(treeKernels(), s.tree)
		s.sampler.farthest(sel, s.x, s.y, s.z)
		return
	}
	s.scanFarthest(sel)
}

// scanFarthest compares all points for each one taken.
func (s *PointSet[T]) scanFarthest(sel []int32) {
	p := padded(s.n)
	s.dist = growSlice(s.dist, p)
	inf := T(math.Inf(1))
	for i := range s.n {
		s.dist[i] = inf
		if !finitePoint(s.rows[3*i], s.rows[3*i+1], s.rows[3*i+2]) {
			s.dist[i] = 0
		}
	}
	for i := s.n; i < p; i++ {
		s.dist[i] = -1
	}
	if d32, ok := any(s.dist).([]float32); ok && active.points != nil && len(s.x) >= s.n {
		w := workPool.Get().(*nearestWork)
		w.farthest(active.points, sel, s.x[:p], s.y, s.z, d32)
		workPool.Put(w)
		return
	}
	farthestPlain(sel, s.rows, s.dist[:s.n])
}

// farthestPlain is the reference of Farthest.
func farthestPlain[T Float](sel []int32, p, dist []T) {
	last := 0
	for s := range sel {
		sel[s] = int32(last)
		x, y, z := p[3*last], p[3*last+1], p[3*last+2]
		best, far := 0, T(-1)
		for i := range dist {
			q := p[3*i : 3*i+3 : 3*i+3]
			d := SquaredDistance(q[0]-x, q[1]-y, q[2]-z)
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

// farthest is farthestPlain on the vector loops.
func (w *nearestWork) farthest(f *pointKernels, sel []int32, x, y, z, dist []float32) {
	last := int32(0)
	for s := range sel {
		sel[s] = last
		if s == len(sel)-1 {
			return
		}
		w.from(x[last], y[last], z[last])
		f.far(len(x), &x[0], &y[0], &z[0], &w.q, &dist[0], &w.far, &w.at)
		best := w.far[0]
		last = w.at[0]
		for l := 1; l < len(w.far); l++ {
			if w.far[l] > best || w.far[l] == best && w.at[l] < last {
				best, last = w.far[l], w.at[l]
			}
		}
	}
}
