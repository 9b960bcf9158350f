package kernel

import "sync"

// AMX sums blocks of 32 positions x panels of 32 outputs, by tiles of 16 rows x
// 64 bytes. The weights lie in LowWeights as it wants them. Activations are read
// where they lie if each run is a whole number of tiles and the positions are
// evenly apart; others are gathered.

// lowCall bounds a call of the kernels, some microseconds: it cannot be
// interrupted, and where it begins and ends the tiles are set up and given back.
const (
	lowCall      = 8       // panels
	lowCallBytes = 4 << 10 // of a position's activations, times panels, or one panel
)

// lowScratch is a thread's memory.
type lowScratch struct {
	acc   [lowCall * lowBlock * lowLanes]int32
	rows  []byte // activations of blocks of positions, gathered
	first int    // of those blocks; -1: none yet
}

var lowScratches = sync.Pool{New: func() any { return new(lowScratch) }}

// findEven fills even; step is how many bytes two positions in a row are apart.
func (c *LowConv) findEven(step int) {
	c.step = step
	for first := 0; first < c.positions; first += lowBlock {
		even := c.run%lowDepth == 0
		for i := first; i < first+lowBlock; i++ {
			even = even && (i%(lowBlock/2) == 0 || int(c.off[i]-c.off[i-1]) == step)
		}
		c.even = append(c.even, even)
	}
}

// depth returns the bytes of a position's activations in all taps, filled up.
func (c *LowConv) depth() int {
	return (len(c.delta)*c.run + lowDepth - 1) / lowDepth * lowDepth
}

// pitch returns how many bytes gathered positions are apart: an odd number of
// cache lines, so that a tile's rows do not meet in a few sets of the cache.
func (c *LowConv) pitch() int { return c.depth() | lowDepth }

// planBlocks is planChunks for blocks. Weights that leave room in the second-level
// cache, 2 MB where there is AMX, stay there while few blocks at a time are done;
// larger ones come from beyond it, once for as many blocks as it holds.
func (c *LowConv) planBlocks(panels int) {
	const (
		cached = 1536 << 10
		work   = 64 << 20 // multiplications: some tens of microseconds
	)
	block, held := lowBlock*c.depth(), 256<<10
	if panels*lowLanes*c.depth() > cached {
		held = 1280 << 10
	}
	most := max(1, min(held/block, work/(block*lowLanes)))
	groups := (c.tiles() + most - 1) / most
	c.blockTiles = (c.tiles() + groups - 1) / groups
	c.blockPanels = max(1, min(panels, work/(block*lowLanes*c.blockTiles)))
}

// workBlocks works on chunks until none is left. The panels of some blocks come
// before the next blocks: gathered once, their activations serve all the panels
// that a thread gets.
func (c *LowConv) workBlocks() {
	s := lowScratches.Get().(*lowScratch)
	defer lowScratches.Put(s)
	s.first = -1
	panels := len(c.scale) / lowLanes
	across := (panels + c.blockPanels - 1) / c.blockPanels
	for n := c.chunks(); ; {
		i := int(c.next.Add(1)) - 1
		if i >= n {
			return
		}
		t0, p0 := i/across*c.blockTiles, i%across*c.blockPanels
		c.chunk(s, t0, min(t0+c.blockTiles, c.tiles()), p0, min(p0+c.blockPanels, panels))
	}
}

// chunk computes blocks t0 to t1-1 of panels p0 to p1-1.
func (c *LowConv) chunk(s *lowScratch, t0, t1, p0, p1 int) {
	size := lowBlock * c.pitch()
	if s.first != t0 {
		if n := (t1 - t0) * size; len(s.rows) < n {
			s.rows = alignedBytes(n)
		}
		for t := t0; t < t1; t++ {
			if !c.even[t] {
				c.gather(s.rows[(t-t0)*size:(t-t0+1)*size], t*lowBlock)
			}
		}
		s.first = t0
	}
	per := max(1, min(lowCall, lowCallBytes/c.depth()))
	for p := p0; p < p1; p += per {
		n := min(per, p1-p)
		for t := t0; t < t1; t++ {
			first := t * lowBlock
			d := lowBlockSum{x: c.in.data, first: int(c.off[first]), second: int(c.off[first+lowBlock/2]), step: c.step,
				delta: c.delta, run: c.run, w: c.weights.panels(p, n), panels: n}
			if !c.even[t] {
				d.x, d.first, d.second, d.step = s.rows[(t-t0)*size:(t-t0+1)*size], 0, size/2, c.pitch()
				d.delta, d.run = c.delta[len(c.delta)-1:], c.depth()
			}
			d.sum(c.Format, s.acc[:n*lowBlock*lowLanes])
			for i := range n {
				c.finish(s.acc[i*lowBlock*lowLanes:(i+1)*lowBlock*lowLanes], first, p+i)
			}
		}
	}
}

// lowBlockSum is the sums of a block and some panels. Of its positions, 16 lie
// step bytes apart in x from first on, 16 from second on; delta are the steps
// from run to run, run the length of one, a multiple of lowDepth.
type lowBlockSum struct {
	x                   []byte
	first, second, step int
	delta               []int
	run                 int
	w                   []byte
	panels              int
}

// sumPortable is sum in plain Go.
func (d *lowBlockSum) sumPortable(f LowFormat, acc []int32) {
	var off [lowBlock]int32
	for i := range lowBlock / 2 {
		off[i], off[lowBlock/2+i] = int32(d.first+i*d.step), int32(d.second+i*d.step)
	}
	t := lowTile{x: d.x, off: off[:], delta: d.delta, bytes: d.run}
	for i := range d.panels {
		n := len(d.w) / d.panels
		t.w = d.w[i*n : (i+1)*n]
		t.sumPortable(f, acc[i*lowBlock*lowLanes:(i+1)*lowBlock*lowLanes])
	}
}

// gather copies the activations of a block, position by position.
func (c *LowConv) gather(rows []byte, first int) {
	depth, pitch := c.depth(), c.pitch()
	for i := range min(lowBlock, c.positions-first) {
		at, row := int(c.off[first+i]), rows[i*pitch:i*pitch+depth]
		for _, step := range c.delta {
			copy(row, c.in.data[at:at+c.run])
			row, at = row[c.run:], at+step
		}
		clear(row)
	}
}
