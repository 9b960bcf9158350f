package kernel

import (
	"math"
	"math/bits"
	"slices"
)

const (
	blockPoints = 16 // points of a block
	treeFan     = 32 // boxes tested at once: children of a node
	seedBlocks  = 4  // blocks around the query that give the first bound
	cellBits    = 10 // of a cell's number along one axis
)

// pointTree finds neighbours among many points: the points in the order of a
// space-filling curve, cut into blocks, with boxes around every block, every 32
// blocks, and so on up to one test of 32 boxes. Only blocks whose box reaches
// the k-th best distance so far are looked at.
type pointTree struct {
	points  int
	blocks  int
	x, y, z []float32 // by block; after the last a block at +Inf
	ids     []int32   // of the points; where there is none a larger number, once
	first   []uint32  // curve position of each block's first point
	levels  []treeLevel
	low     [3]float32 // of the cells
	cells   [3]float32 // per unit of length

	codes, codes2 []uint32
	order, order2 []int32
	count         []int32
}

// treeLevel are the boxes of one level, padded to a multiple of treeFan.
type treeLevel struct {
	n      int
	stride int       // between the six bounds
	bounds []float32 // least x, y, z, greatest x, y, z
	lowest []int32   // smallest id in the box
}

// build takes n points; those that are not finite are at +Inf.
func (t *pointTree) build(x, y, z []float32, n int) {
	t.sort(x, y, z, n)
	t.points = n
	t.blocks = (n + blockPoints - 1) / blockPoints
	full := (t.blocks + 1) * blockPoints
	t.x, t.y, t.z, t.ids = growSlice(t.x, full), growSlice(t.y, full), growSlice(t.z, full), growSlice(t.ids, full)
	t.first = growSlice(t.first, t.blocks)
	for i, j := range t.order[:n] {
		t.x[i], t.y[i], t.z[i], t.ids[i] = x[j], y[j], z[j], j
	}
	inf := float32(math.Inf(1))
	for i := n; i < full; i++ {
		t.x[i], t.y[i], t.z[i], t.ids[i] = inf, inf, inf, int32(i)
	}
	for b := range t.first {
		t.first[b] = t.codes[b*blockPoints]
	}
	depth := 0
	for nodes := t.blocks; ; nodes = (nodes + treeFan - 1) / treeFan {
		if depth == len(t.levels) {
			t.levels = append(t.levels, treeLevel{})
		}
		t.levels[depth].reset(nodes)
		depth++
		if nodes <= treeFan {
			break
		}
	}
	t.levels = t.levels[:depth]
	t.boundBlocks(n)
	for i := 1; i < depth; i++ {
		t.levels[i].bound(&t.levels[i-1])
	}
}

func (l *treeLevel) reset(n int) {
	l.n, l.stride = n, (n+treeFan-1)&^(treeFan-1)
	l.bounds, l.lowest = growSlice(l.bounds, 6*l.stride), growSlice(l.lowest, l.stride)
	inf := float32(math.Inf(1))
	for i := range l.bounds {
		l.bounds[i] = inf
	}
}

func (t *pointTree) boundBlocks(n int) {
	l := &t.levels[0]
	for b := range t.blocks {
		lo, hi := b*blockPoints, min((b+1)*blockPoints, n)
		for axis, p := range [3][]float32{t.x, t.y, t.z} {
			l.bounds[axis*l.stride+b] = slices.Min(p[lo:hi])
			l.bounds[(3+axis)*l.stride+b] = slices.Max(p[lo:hi])
		}
		l.lowest[b] = slices.Min(t.ids[lo:hi])
	}
}

func (l *treeLevel) bound(child *treeLevel) {
	for i := range l.n {
		lo, hi := i*treeFan, min((i+1)*treeFan, child.n)
		for axis := range 3 {
			l.bounds[axis*l.stride+i] = slices.Min(child.bounds[axis*child.stride:][lo:hi])
			l.bounds[(3+axis)*l.stride+i] = slices.Max(child.bounds[(3+axis)*child.stride:][lo:hi])
		}
		l.lowest[i] = slices.Min(child.lowest[lo:hi])
	}
}

// sort puts the points in the order of the curve, equal positions in that of
// their index, by three passes of a radix sort.
func (t *pointTree) sort(x, y, z []float32, n int) {
	t.grid(x, y, z, n)
	t.codes, t.codes2 = growSlice(t.codes, n), growSlice(t.codes2, n)
	t.order, t.order2 = growSlice(t.order, n), growSlice(t.order2, n)
	for i := range n {
		t.codes[i], t.order[i] = t.code(x[i], y[i], z[i]), int32(i)
	}
	const digit = 1 << cellBits
	t.count = growSlice(t.count, digit)
	for shift := 0; shift < 3*cellBits; shift += cellBits {
		clear(t.count)
		for _, c := range t.codes {
			t.count[c>>shift%digit]++
		}
		at := int32(0)
		for i, c := range t.count {
			t.count[i] = at
			at += c
		}
		for i, c := range t.codes {
			d := &t.count[c>>shift%digit]
			t.codes2[*d], t.order2[*d] = c, t.order[i]
			*d++
		}
		t.codes, t.codes2 = t.codes2, t.codes
		t.order, t.order2 = t.order2, t.order
	}
}

// grid chooses cells that resolve where most points are: a few far away would
// otherwise put all others into one cell. They only cost time, never the answer.
func (t *pointTree) grid(x, y, z []float32, n int) {
	const samples = 64
	var s [samples]float32
	for axis, p := range [3][]float32{x, y, z} {
		for i := range s {
			s[i] = p[i*n/samples]
		}
		slices.Sort(s[:])
		lo, hi := s[samples/16], s[samples-1-samples/16]
		if !(hi < math.MaxFloat32) { // the finite ones come first
			hi = lo
			for _, v := range s {
				if v < math.MaxFloat32 {
					hi = max(hi, v)
				}
			}
		}
		margin := (hi - lo) / 4
		t.low[axis] = lo - margin
		t.cells[axis] = (1 << cellBits) / (hi - lo + 2*margin)
		if c := t.cells[axis]; !(c > 0 && c < math.MaxFloat32) {
			t.cells[axis] = 0 // flat along this axis
		}
	}
}

// code returns the position on the curve (Morton's) of the point's cell.
func (t *pointTree) code(x, y, z float32) uint32 {
	return spread(t.cell(0, x))<<2 | spread(t.cell(1, y))<<1 | spread(t.cell(2, z))
}

func (t *pointTree) cell(axis int, v float32) uint32 {
	c := (v - t.low[axis]) * t.cells[axis]
	switch {
	case c >= 1<<cellBits:
		return 1<<cellBits - 1
	case c > 0:
		return uint32(c)
	}
	return 0 // below, or not a number
}

// spread puts two zero bits between the ten bits of c.
func spread(c uint32) uint32 {
	c = (c | c<<16) & 0x030000ff
	c = (c | c<<8) & 0x0300f00f
	c = (c | c<<4) & 0x030c30c3
	return (c | c<<2) & 0x09249249
}

// searchTree is search on a tree.
func (w *nearestWork) searchTree(f *pointKernels, idx []int32, stride, k int, q []float32, t *pointTree) {
	for i := range len(q) / 3 {
		w.from(q[3*i], q[3*i+1], q[3*i+2])
		code := t.code(q[3*i], q[3*i+1], q[3*i+2])
		at, _ := slices.BinarySearch(t.first, code)
		at = max(0, min(at-seedBlocks/2, t.blocks-seedBlocks))
		w.list = w.list[:0]
		for b := range seedBlocks {
			w.list = append(w.list, int32(at+b))
		}
		inf := float32(math.Inf(1))
		best := w.nearestOf(f, t, k, inf)
		worst := best[k-1]
		w.reach(f, t, math.Float32frombits(uint32(worst>>32)), int32(uint32(worst)))
		best = w.nearestOf(f, t, k, math.Float32frombits(uint32(worst>>32)))
		row := idx[i*stride : i*stride+k]
		for r, key := range best {
			row[r] = int32(uint32(key))
		}
	}
}

// reach lists the blocks that may hold a point nearer than limit, or as near
// with an id below id.
func (w *nearestWork) reach(f *pointKernels, t *pointTree, limit float32, id int32) {
	w.list = append(w.list[:0], 0)
	for level := len(t.levels) - 1; level >= 0; level-- {
		l := &t.levels[level]
		w.list, w.nodes = w.nodes[:0], w.list
		for _, node := range w.nodes {
			first := node * treeFan
			within, at := f.boxes(&l.bounds[first], 4*l.stride, &w.q, limit)
			if rest := l.n - int(first); rest < treeFan {
				within &= 1<<rest - 1
			}
			for ; within != 0; within &= within - 1 {
				b := bits.TrailingZeros32(within)
				if child := first + int32(b); at>>b&1 == 0 || l.lowest[child] <= id {
					w.list = append(w.list, child)
				}
			}
		}
	}
}

// nearestOf returns the keys of the k nearest points, in order, of the blocks
// listed, which hold k points within limit.
func (w *nearestWork) nearestOf(f *pointKernels, t *pointTree, k int, limit float32) []uint64 {
	if len(w.list)%2 != 0 {
		w.list = append(w.list, int32(t.blocks))
	}
	p := len(w.list) * blockPoints
	w.room(p)
	f.blocks(len(w.list), &w.list[0], &t.x[0], &t.y[0], &t.z[0], &w.q, &w.d[0], &w.low)
	if k <= len(w.low) {
		limit = min(limit, f.bound(&w.low, k))
	}
	c := w.below(f, p, limit)
	w.cand = growSlice(w.cand, c+8)
	for i, j := range w.index[:c] {
		id := t.ids[w.list[j/blockPoints]*blockPoints+j%blockPoints]
		w.cand[i] = uint64(math.Float32bits(w.d[j]))<<32 | uint64(uint32(id))
	}
	if f.rank == nil || c > maxRanked {
		return smallestKeys(w.keys[:0], w.cand[:c], k)
	}
	full := (c + 7) &^ 7
	for i := c; i < full; i++ {
		w.cand[i] = math.MaxInt64 // above any key
	}
	f.rank(full, &w.cand[0], &w.ranks[0])
	for i, r := range w.ranks[:c] {
		if r < uint64(k) {
			w.keys[r] = w.cand[i]
		}
	}
	return w.keys[:k]
}

// smallestKeys appends the k smallest keys to dst, in order.
func smallestKeys(dst, keys []uint64, k int) []uint64 {
	for _, key := range keys {
		switch {
		case len(dst) < k:
			dst = append(dst, key)
		case key < dst[k-1]:
			dst[k-1] = key
		default:
			continue
		}
		for i := len(dst) - 1; i > 0 && dst[i] < dst[i-1]; i-- {
			dst[i], dst[i-1] = dst[i-1], dst[i]
		}
	}
	return dst
}
