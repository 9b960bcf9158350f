package kernel

import (
	"fmt"
	"math"
	"sync/atomic"
)

// LowConv is a square convolution (kernel 1 or 3, padding kernel/2) on
// LowImages of one size, with bias.
type LowConv struct {
	Format                    LowFormat
	Cin, Cout, Kernel, Stride int
	Images, H, W, Ho, Wo      int
	border                    int // of the input

	weights *LowWeights
	scale   []float32 // of the sums, per output channel, filled up to whole panels
	off     []int32   // of each output position's first run, filled up to whole blocks
	run     int       // bytes of activations that follow one another: a row of taps
	delta   []int     // bytes from run to run
	step    int       // bytes from position to position in a row of the output
	even    []bool    // whether a block's activations can be read where they lie

	positions               int // of the output
	pixels                  int // of a tile, on the path in use
	blockTiles, blockPanels int // a chunk of work

	in   *LowImage
	out  LowOutput
	next atomic.Int64 // chunk
	work lowWork
}

// LowOutput says where a convolution's results go. The result of a position
// and channel is max(sum + bias + residual, 0), without the max unless ReLU is
// set.
type LowOutput struct {
	Residual []float32 // [images, Ho, Wo, Cout] or nil
	Float    []float32 // the same shape, may be Residual; or nil
	Low      *LowImage // or nil; in Int8 it needs ReLU
	Scale    float32   // of Low in Int8: what an activation of 1 stands for
	ReLU     bool
}

// NewLowConv returns a convolution of images x h x w inputs. It computes
// nothing until SetWeights.
func NewLowConv(f LowFormat, images, h, w, cin, cout, k, stride int) *LowConv {
	if k != 1 && k != 3 {
		panic(fmt.Sprintf("kernel: low precision convolution of size %d, want 1 or 3", k))
	}
	return newLowConv(f, images, h, w, cin, cout, k, stride, lowBorder)
}

// NewLowLinear returns a linear layer on matrices of NewLowMatrix.
func NewLowLinear(f LowFormat, rows, in, out int) *LowConv {
	return newLowConv(f, 1, rows, 1, in, out, 1, 1, 0)
}

func newLowConv(f LowFormat, images, h, w, cin, cout, k, stride, border int) *LowConv {
	c := &LowConv{Format: f, Cin: cin, Cout: cout, Kernel: k, Stride: stride, Images: images, H: h, W: w,
		Ho: (h-1)/stride + 1, Wo: (w-1)/stride + 1, border: border}
	in := lowGeometry(f, images, h, w, cin, border)
	panels := (cout + lowLanes - 1) / lowLanes
	c.scale = make([]float32, panels*lowLanes)
	pad := k / 2
	for i := range images {
		for y := range c.Ho {
			for x := range c.Wo {
				c.off = append(c.off, int32(in.offset(i, y*stride-pad, x*stride-pad)))
			}
		}
	}
	c.positions = len(c.off)
	for len(c.off)%(lowPixels*lowBlock) != 0 {
		c.off = append(c.off, c.off[len(c.off)-1])
	}
	c.run = k * in.bytes
	for range k - 1 {
		c.delta = append(c.delta, (w+2*border)*in.bytes)
	}
	c.delta = append(c.delta, 0)
	c.findEven(stride * in.bytes)
	c.work.c = c
	return c
}

// planChunks cuts the work for the path in use: weights that fit the
// second-level cache are read once per few tiles, larger ones panel by panel.
func (c *LowConv) planChunks() {
	const cached = 192 << 10
	panels := len(c.scale) / lowLanes
	if c.pixels = lowPixels; active.low[c.Format] == lowAMX {
		c.pixels = lowBlock
		c.planBlocks(panels)
		return
	}
	if panels*len(c.delta)*c.run*lowLanes <= cached {
		c.blockTiles, c.blockPanels = min(c.tiles(), 8), panels
		return
	}
	c.blockTiles, c.blockPanels = min(c.tiles(), 34), 1
}

// tiles returns how many there are.
func (c *LowConv) tiles() int { return (c.positions + c.pixels - 1) / c.pixels }

// SetWeights makes c compute with w, which it keeps and does not change. In
// Int8, inScale is what an activation of 1 stands for; BFloat16 ignores it.
func (c *LowConv) SetWeights(w *LowWeights, inScale float32) {
	if w.format != c.Format || w.cin != c.Cin || w.cout != c.Cout || w.k != c.Kernel {
		panic(fmt.Sprintf("kernel: %s weights %d-%d k%d given to a %s convolution %d-%d k%d", w.format, w.cin, w.cout, w.k, c.Format, c.Cin, c.Cout, c.Kernel))
	}
	c.weights = w
	for o, v := range w.scale {
		c.scale[o] = 1
		if c.Format == Int8 {
			c.scale[o] = v * inScale
		}
	}
}

// Apply convolves in. The result does not depend on the number of threads.
func (c *LowConv) Apply(in *LowImage, out LowOutput) {
	if in.Format != c.Format || in.Images != c.Images || in.H != c.H || in.W != c.W || in.C != c.Cin || in.border != c.border {
		panic(fmt.Sprintf("kernel: %s images %dx%dx%dx%d given to a %s convolution of %dx%dx%dx%d",
			in.Format, in.Images, in.H, in.W, in.C, c.Format, c.Images, c.H, c.W, c.Cin))
	}
	if m := out.Low; m != nil && (m.Format != c.Format || m.Images != c.Images || m.H != c.Ho || m.W != c.Wo || m.C != c.Cout || m.Format == Int8 && !out.ReLU) {
		panic(fmt.Sprintf("kernel: a %s convolution to %dx%dx%dx%d cannot write %s images %dx%dx%dx%d (ReLU %t)",
			c.Format, c.Images, c.Ho, c.Wo, c.Cout, m.Format, m.Images, m.H, m.W, m.C, out.ReLU))
	}
	values := c.Images * c.Ho * c.Wo * c.Cout
	if out.Residual != nil {
		out.Residual = out.Residual[:values]
	}
	if out.Float != nil {
		out.Float = out.Float[:values]
	}
	c.in, c.out = in, out
	c.planChunks()
	c.next.Store(0)
	Do(min(Threads(), c.chunks()), 1, &c.work)
	c.in, c.out = nil, LowOutput{}
}

func (c *LowConv) chunks() int {
	tiles, panels := c.tiles(), len(c.scale)/lowLanes
	return (tiles + c.blockTiles - 1) / c.blockTiles * ((panels + c.blockPanels - 1) / c.blockPanels)
}

// lowWork is a thread's share of a convolution, as a Task: chunks are handed
// out one by one, so that a thread that is held up does not hold up the rest.
type lowWork struct{ c *LowConv }

// Run works on chunks until none is left.
func (w *lowWork) Run(_, _ int) {
	c := w.c
	if c.pixels == lowBlock {
		c.workBlocks()
		return
	}
	tiles, panels := c.tiles(), len(c.scale)/lowLanes
	blocks := (tiles + c.blockTiles - 1) / c.blockTiles
	var acc [lowPixels * lowLanes]int32
	for n := c.chunks(); ; {
		i := int(c.next.Add(1)) - 1
		if i >= n {
			return
		}
		t0, p0 := i%blocks*c.blockTiles, i/blocks*c.blockPanels
		for p := p0; p < min(p0+c.blockPanels, panels); p++ {
			for t := t0; t < min(t0+c.blockTiles, tiles); t++ {
				c.tile(t, p, &acc)
			}
		}
	}
}

// tile computes 12 positions of 32 output channels.
func (c *LowConv) tile(t, panel int, acc *[lowPixels * lowLanes]int32) {
	first, lane := t*lowPixels, panel*lowLanes
	d := lowTile{x: c.in.data, off: c.off[first : first+lowPixels], delta: c.delta, bytes: c.run,
		w: c.weights.panel(panel), start: c.weights.start[lane : lane+lowLanes]}
	d.sum(c.Format, acc)
	c.finish(acc[:], first, panel)
}

// finish makes results of the sums of a tile and a panel.
func (c *LowConv) finish(acc []int32, first, panel int) {
	lane := panel * lowLanes
	r := lowRows{acc: acc, accStride: lowLanes, scale: c.scale[lane : lane+lowLanes], bias: c.weights.bias[lane : lane+lowLanes],
		stride: c.Cout, n: min(c.pixels, c.positions-first), lanes: min(lowLanes, c.Cout-lane), floor: float32(math.Inf(-1))}
	if c.out.ReLU {
		r.floor = 0
	}
	if c.out.Residual != nil {
		r.res = c.out.Residual[first*c.Cout+lane:]
	}
	if c.out.Float != nil {
		r.out = c.out.Float[first*c.Cout+lane:]
	}
	if m := c.out.Low; m != nil {
		r.low, r.off = m.data[lane*c.Format.size():], m.at[first:first+r.n]
		r.inv = 1 / c.out.Scale
	}
	r.run(c.Format, c.Format == Int8)
}
