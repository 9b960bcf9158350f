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

func (g *Winograd[T]) tilesY() int     { return (g.H + tileOut - 1) / tileOut }
func (g *Winograd[T]) tilesX() int     { return (g.W + tileOut - 1) / tileOut }
func (g *Winograd[T]) kernels() *conv  { return convKernels[T](g.Cin, g.Cout) }
func (g *Winograd[T]) panelWidth() int { return panelWidth[T](g.kernels()) }
func (g *Winograd[T]) paddedN() int    { return wholePanels(g.Cout, g.panelWidth()) }
func (g *Winograd[T]) perImage() int   { return g.tilesY() * g.tilesX() }

// WeightLen is the number of values of the transformed weights.
func (g *Winograd[T]) WeightLen() int { return products * g.weightStride() }

// apart keeps what is processed together from falling into one cache set, which
// distances that are powers of two would do.
const apart = 16

// weightStride is the distance from the weights of one product to those of the
// next.
func (g *Winograd[T]) weightStride() int { return g.Cin*g.paddedN() + apart }

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

// pieces hands out parts of a job to the threads as they get free.
type pieces struct {
	n    int
	next atomic.Int64
}

func (p *pieces) take() (i int, ok bool) {
	i = int(p.next.Add(1)) - 1
	return i, i < p.n
}

// start makes the job consist of n parts, none of them taken.
func (p *pieces) start(n int) {
	p.n = n
	p.next.Store(0)
}

// span returns the part of n items that piece i covers.
func (p *pieces) span(i, n int) (lo, hi int) { return i * n / p.n, (i + 1) * n / p.n }

// transformInput writes the 36 values of each channel of a tile to dst, those
// of one product fstride apart from those of the next.
func (g *Winograd[T]) transformInput(ws *workspace[T], x []T, t winogradTile, dst []T, fstride int) {
	c := g.Cin
	cols := inside(t.x-1, tileIn, g.W)
	done := 0
	if k := g.kernels(); k.lanes > 0 && c >= k.lanes {
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
		n := c / k.lanes
		done = n * k.lanes
		d32 := any(dst).([]float32)
		_ = d32[(products-1)*fstride+c-1]
		k.input(&ws.rows, 4*(t.x-1)*c, 4*c, cols, n, &d32[0], 4*fstride)
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
