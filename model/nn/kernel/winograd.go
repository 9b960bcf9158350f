package kernel

import (
	"sync"
	"sync/atomic"
)

// Winograd computes 3 x 3 convolutions of stride 1 and padding 1 on
// channels-last images by the minimal filtering algorithm F(4x4, 3x3): 4 x 4
// outputs take 36 products per pair of channels instead of 144. The
// interpolation points are 0, ±2/3, ±3/2 and infinity, which halve the rounding
// error of the usual 0, ±1, ±2 (A. Lavin and S. Gray, "Fast algorithms for
// convolutional neural networks", 2016; points after B. Barabasz et al., "Error
// analysis and improving the accuracy of Winograd convolution", 2020).
//
// The zero value with the sizes and Scratch set is ready; it is not safe for
// concurrent use.
type Winograd[T Float] struct {
	H, W, Cin, Cout int
	Scratch         *Scratch[T]

	forward  winogradForward[T]
	gradient winogradGradient[T]
	pack     winogradPack[T]
}

const (
	tileOut  = 4 // outputs of a tile per direction
	tileIn   = 6
	products = tileIn * tileIn

	maxLanes = 16 // of any path
)

// Scratch is working memory that several convolutions share, as long as they
// run one after the other.
type Scratch[T Float] struct {
	// Weights holds the transformed weights, or their gradient, of the
	// convolution at work in training.
	Weights []T

	mu   sync.Mutex
	free []*workspace[T]
}

// workspace is the working memory of one thread.
type workspace[T Float] struct {
	v, m    []T
	zeros   []T
	rows    [6]*float32
	filters [9 * maxLanes]T // a vector of filters
}

func (s *Scratch[T]) get() *workspace[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.free)
	if n == 0 {
		return new(workspace[T])
	}
	w := s.free[n-1]
	s.free = s.free[:n-1]
	return w
}

func (s *Scratch[T]) put(w *workspace[T]) {
	s.mu.Lock()
	s.free = append(s.free, w)
	s.mu.Unlock()
}

func atLeast[T Float](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

func (g *Winograd[T]) tilesY() int   { return (g.H + tileOut - 1) / tileOut }
func (g *Winograd[T]) tilesX() int   { return (g.W + tileOut - 1) / tileOut }
func (g *Winograd[T]) paddedN() int  { return wholePanels(g.Cout, panelWidth[T]()) }
func (g *Winograd[T]) perImage() int { return g.tilesY() * g.tilesX() }

// WeightLen is the number of values of the transformed weights.
func (g *Winograd[T]) WeightLen() int { return products * g.Cin * g.paddedN() }

// winogradTile is the position of a tile in a batch of images.
type winogradTile struct{ image, y, x int } // y, x of its first output

func (g *Winograd[T]) tileAt(t int) winogradTile {
	per, tx := g.perImage(), g.tilesX()
	r := t % per
	return winogradTile{t / per, r / tx * tileOut, r % tx * tileOut}
}

func (g *Winograd[T]) next(t *winogradTile) {
	if t.x += tileOut; t.x < g.W {
		return
	}
	t.x = 0
	if t.y += tileOut; t.y < g.H {
		return
	}
	t.y = 0
	t.image++
}

// inside is the set of columns x0..x0+n-1 that lie inside a row of w.
func inside(x0, n, w int) int {
	m := 0
	for j := range n {
		if x := x0 + j; x >= 0 && x < w {
			m |= 1 << j
		}
	}
	return m
}

type winogradForward[T Float] struct {
	g       *Winograd[T]
	u, x, y []T
	ep      ConvEpilogue[T]
	tiles   int
	blocks  pieces
}

// pieces hands out parts of a job to the threads as they get free.
type pieces struct {
	n    int
	next atomic.Int64
}

func (p *pieces) take() (i int, ok bool) {
	i = int(p.next.Add(1)) - 1
	return i, i < p.n
}

// span returns the part of n items that piece i covers.
func (p *pieces) span(i, n int) (lo, hi int) { return i * n / p.n, (i + 1) * n / p.n }

// Forward convolves n images with the weights u that Pack transformed.
func (g *Winograd[T]) Forward(u, x, y []T, n int, ep ConvEpilogue[T]) {
	_, _, _ = u[g.WeightLen()-1], x[n*g.H*g.W*g.Cin-1], y[n*g.H*g.W*g.Cout-1]
	if ep.Bias != nil {
		_ = ep.Bias[g.Cout-1]
	}
	if ep.Res != nil {
		_ = ep.Res[n*g.H*g.W*g.Cout-1]
	}
	f := &g.forward
	f.g, f.u, f.x, f.y, f.ep, f.tiles = g, u, x, y, ep, n*g.perImage()
	f.blocks.n = g.blocks(f.tiles)
	f.blocks.next.Store(0)
	Do(min(Threads(), f.blocks.n), 1, f)
	f.u, f.x, f.y, f.ep = nil, nil, nil, ConvEpilogue[T]{}
}

// blocks is the number of blocks that so many tiles are cut into, a multiple of
// the number of threads unless there are few tiles. No result depends on it.
func (g *Winograd[T]) blocks(tiles int) int {
	n, t := (tiles+g.blockTiles()-1)/g.blockTiles(), Threads()
	return min((n+t-1)/t*t, tiles)
}

// blockTiles is how many tiles a thread carries through all three stages at
// once: enough to use each weight several times, few enough to stay in cache.
func (g *Winograd[T]) blockTiles() int {
	const bytes = 4 << 20
	return min(max(bytes/(products*4*(g.Cin+g.paddedN())), 24), 48)
}

// Run takes blocks of tiles through input transform, products and output
// transform until none is left.
func (f *winogradForward[T]) Run(int, int) {
	g := f.g
	ws := g.Scratch.get()
	np, width := g.paddedN(), panelWidth[T]()
	if n := max(g.W*g.Cin, g.Cout); len(ws.zeros) < n {
		ws.zeros = make([]T, n)
	}
	for i, ok := f.blocks.take(); ok; i, ok = f.blocks.take() {
		lo, hi := f.blocks.span(i, f.tiles)
		n := hi - lo
		fv, fm := n*g.Cin+16, n*np+16 // 16: neighbours shall not share a cache set
		v, m := atLeast(&ws.v, products*fv), atLeast(&ws.m, products*fm)
		t := g.tileAt(lo)
		for i := range n {
			g.transformInput(ws, f.x, t, v[i*g.Cin:], fv)
			g.next(&t)
		}
		for p := range products {
			mulPanels(n, g.Cin, np, v[p*fv:], g.Cin, f.u[p*g.Cin*np:(p+1)*g.Cin*np], width, m[p*fm:], np)
		}
		t = g.tileAt(lo)
		for i := range n {
			f.output(ws, t, m[i*np:], fm)
			g.next(&t)
		}
	}
	g.Scratch.put(ws)
}

// transformInput writes the 36 values of each channel of a tile to dst, those
// of one product fstride apart from those of the next.
func (g *Winograd[T]) transformInput(ws *workspace[T], x []T, t winogradTile, dst []T, fstride int) {
	c := g.Cin
	cols := inside(t.x-1, tileIn, g.W)
	done := 0
	if vectorised[T]() && c >= active.conv.lanes {
		x32, z32 := any(x).([]float32), any(ws.zeros).([]float32)
		at := (t.image*g.H + t.y - 1) * g.W * c
		for r := range tileIn {
			if y := t.y - 1 + r; y >= 0 && y < g.H {
				ws.rows[r] = &x32[at]
			} else {
				ws.rows[r] = &z32[0]
			}
			at += g.W * c
		}
		n := c / active.conv.lanes
		done = n * active.conv.lanes
		d32 := any(dst).([]float32)
		_ = d32[(products-1)*fstride+c-1]
		active.conv.input(&ws.rows, 4*(t.x-1)*c, 4*c, cols, n, &d32[0], 4*fstride)
	}
	for ch := done; ch < c; ch++ {
		var d [products]T
		for r := range tileIn {
			y := t.y - 1 + r
			if y < 0 || y >= g.H {
				continue
			}
			for j := range tileIn {
				if cols>>j&1 != 0 {
					d[r*tileIn+j] = x[((t.image*g.H+y)*g.W+t.x-1+j)*c+ch]
				}
			}
		}
		inputTile(&d)
		for p, v := range d {
			dst[p*fstride+ch] = v
		}
	}
}

// output transforms the products of one tile and writes its outputs.
func (f *winogradForward[T]) output(ws *workspace[T], t winogradTile, m []T, fstride int) {
	g := f.g
	h, w := min(tileOut, g.H-t.y), min(tileOut, g.W-t.x)
	at := ((t.image*g.H+t.y)*g.W + t.x) * g.Cout
	done := 0
	if vectorised[T]() && g.Cout >= active.conv.lanes {
		n := g.Cout / active.conv.lanes
		done = n * active.conv.lanes
		bias := f.ep.Bias
		if bias == nil {
			bias = ws.zeros
		}
		var res *float32
		if f.ep.Res != nil {
			res = &any(f.ep.Res).([]float32)[at]
		}
		m32 := any(m).([]float32)
		_ = m32[(products-1)*fstride+g.Cout-1]
		active.conv.output(&m32[0], 4*fstride, n, &any(bias).([]float32)[0], &any(f.y).([]float32)[at],
			4*g.W*g.Cout, 4*g.Cout, h, w, res, float32(f.ep.floor()))
	}
	floor := f.ep.floor()
	for ch := done; ch < g.Cout; ch++ {
		var d [products]T
		for p := range d {
			d[p] = m[p*fstride+ch]
		}
		o := outputTile(&d)
		for r := range h {
			for c := range w {
				k := at + (r*g.W+c)*g.Cout + ch
				v := o[r*tileOut+c]
				if f.ep.Bias != nil {
					v += f.ep.Bias[ch]
				}
				if f.ep.Res != nil {
					v += f.ep.Res[k]
				}
				f.y[k] = max(v, floor)
			}
		}
	}
}
