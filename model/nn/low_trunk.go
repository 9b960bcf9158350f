package nn

import (
	"fmt"
	"strings"

	"posefuse/model/nn/kernel"
)

// LowTrunk computes a chain of basic blocks for inference with convolutions in
// int8 or bfloat16. Sums, biases and the residual stream stay float32: only
// what a convolution reads is rounded, from the first block's input on.
type LowTrunk struct {
	Format kernel.LowFormat

	images  int // per pass: the antennas
	in, out int // values per image
	shape   []int
	first   *kernel.LowImage
	blocks  []*lowBlock
	stream  []float32 // the residual stream of one pass
	y       []float32
	x       []float32 // of the pass in work
	setF    func(lo, hi int)
}

// Bounds of a scale: far from where its inverse or a product with a weight is
// no normal number.
const (
	minScale = 1e-20
	maxScale = 1e20
)

// LegalScale reports whether v can be the scale of an int8 input.
func LegalScale(v float32) bool { return v >= minScale && v <= maxScale }

// lowBlock is a basic block in low precision.
type lowBlock struct {
	from          *BasicBlock[float32]
	c1, c2, short *kernel.LowConv
	mid, low      *kernel.LowImage // low is the input
	inScale       float32          // of low
	midScale      float32
}

// Convs returns the names of the block's convolutions whose input is rounded
// in low precision: that of the block, which its shortcut shares, and that of
// the second.
func (t *BasicBlock[T]) Convs() (first, second string) {
	name := func(u *Unit[T]) string { return strings.TrimSuffix(u.Lin.(*Conv2d[T]).Weight.Name, ".weight") }
	return name(t.c1), name(t.c2)
}

// Inputs calls see with the name and the input of each convolution of Convs,
// for antennas·b images x. The values live until see returns.
func (t *BasicBlock[T]) Inputs(x []T, b int, see func(conv string, v []T)) {
	first, second := t.Convs()
	see(first, x)
	see(second, t.c1.Forward(x, t.Antennas*b))
}

// NewLowTrunk returns the chain of blocks in a format. In Int8, scales holds
// what an activation of 1 stands for at the input of each convolution named by
// Convs; BFloat16 reads none. The blocks need not be folded; Fold reads their
// parameters and must be called before Forward.
func NewLowTrunk(blocks []*BasicBlock[float32], f kernel.LowFormat, scales map[string]float32) (*LowTrunk, error) {
	if len(blocks) == 0 {
		return nil, fmt.Errorf("low precision: the network has no basic blocks")
	}
	n := blocks[0].Antennas
	t := &LowTrunk{Format: f, images: n}
	t.setF = t.setRange
	conv := func(u *Unit[float32]) *kernel.LowConv {
		c := u.Lin.(*Conv2d[float32])
		return kernel.NewLowConv(f, n, c.H, c.W, c.Cin, c.Cout, c.Kernel, c.Stride)
	}
	var low, mid *kernel.LowImage
	image := func(m *kernel.LowImage, h, w, c int) *kernel.LowImage {
		if m != nil && m.H == h && m.W == w && m.C == c {
			return m
		}
		return kernel.NewLowImage(f, n, h, w, c)
	}
	stream := 0
	for _, from := range blocks {
		b := &lowBlock{from: from, c1: conv(from.c1), c2: conv(from.c2), inScale: 1, midScale: 1}
		if from.short != nil {
			b.short = conv(from.short)
		}
		if f == kernel.Int8 {
			first, second := from.Convs()
			for name, s := range map[string]*float32{first: &b.inScale, second: &b.midScale} {
				v, ok := scales[name]
				if !ok || !LegalScale(v) {
					return nil, fmt.Errorf("low precision: convolution %q has input scale %v, want one from %g to %g", name, v, minScale, maxScale)
				}
				*s = v
			}
		}
		low = image(low, b.c1.H, b.c1.W, b.c1.Cin)
		mid = image(mid, b.c1.Ho, b.c1.Wo, b.c1.Cout)
		b.low, b.mid = low, mid
		stream = max(stream, n*b.c2.Ho*b.c2.Wo*b.c2.Cout)
		t.blocks = append(t.blocks, b)
	}
	t.first = t.blocks[0].low
	t.stream = make([]float32, stream)
	c1, c2 := t.blocks[0].c1, t.blocks[len(blocks)-1].c2
	t.in, t.out = c1.H*c1.W*c1.Cin, c2.Ho*c2.Wo*c2.Cout
	t.shape = blocks[len(blocks)-1].OutShape()
	return t, nil
}

// Fold takes over the blocks' parameters, batch normalisation folded in.
func (t *LowTrunk) Fold() {
	for _, b := range t.blocks {
		setLowWeights(b.c1, b.from.c1, b.inScale)
		setLowWeights(b.c2, b.from.c2, b.midScale)
		if b.short != nil {
			setLowWeights(b.short, b.from.short, b.inScale)
		}
	}
}

// lowLayout names a layout in low precision.
func lowLayout(part string, f kernel.LowFormat) string { return part + "-" + f.String() }

// LayoutOf reports whether a layout that instances share is one that float32 has
// no use for: of the trunk in the format, or of the layers behind it, which are in
// bfloat16.
func LayoutOf(layout string, f kernel.LowFormat) bool {
	part, low := strings.CutSuffix(layout, lowLayout("", kernel.BFloat16))
	return layout == lowLayout("trunk", f) || low && part != "trunk"
}

func setLowWeights(c *kernel.LowConv, u *Unit[float32], inScale float32) {
	weight := u.Lin.(*Conv2d[float32]).Weight
	c.SetWeights(Derived(weight, lowLayout("trunk", c.Format), func() *kernel.LowWeights {
		taps := c.Kernel * c.Kernel
		w, bias := make([]float32, len(weight.Value)), make([]float32, c.Cout)
		permuteTaps(w, weight.Value, c.Cout, c.Cin, taps)
		for o := range c.Cout {
			scale, shift := u.BN.affine(o)
			bias[o] = shift
			row := w[o*taps*c.Cin : (o+1)*taps*c.Cin]
			for i := range row {
				row[i] *= scale
			}
		}
		return kernel.PackLow(c.Format, c.Cin, c.Cout, c.Kernel, w, bias)
	}), inScale)
}

// OutShape returns antennas x height x width x channels.
func (t *LowTrunk) OutShape() []int { return t.shape }

// Forward takes antennas·b images.
func (t *LowTrunk) Forward(x []float32, b int) []float32 {
	y := grow(&t.y, b*t.images*t.out)
	for i := range b {
		t.pass(x[i*t.images*t.in:(i+1)*t.images*t.in], y[i*t.images*t.out:(i+1)*t.images*t.out])
	}
	return y
}

// pass computes as many images as there are antennas.
func (t *LowTrunk) pass(x, y []float32) {
	t.x = x
	split(t.images*t.first.H, 4*t.first.W*t.first.C, t.setF)
	residual := x
	for i, b := range t.blocks {
		b.c1.Apply(b.low, kernel.LowOutput{Low: b.mid, Scale: b.midScale, ReLU: true})
		if b.short != nil {
			// The stream's old content is not read again.
			b.short.Apply(b.low, kernel.LowOutput{Float: t.stream})
			residual = t.stream
		}
		out := kernel.LowOutput{Residual: residual, Float: t.stream, ReLU: true}
		if i == len(t.blocks)-1 {
			out.Float = y
		} else {
			out.Low, out.Scale = t.blocks[i+1].low, t.blocks[i+1].inScale
		}
		b.c2.Apply(b.mid, out)
		residual = t.stream
	}
}

func (t *LowTrunk) setRange(lo, hi int) {
	t.first.SetLines(t.x, t.blocks[0].inScale, lo, hi)
}

// Backward panics: low precision is for inference.
func (t *LowTrunk) Backward([]float32) []float32 {
	panic("nn: a trunk in low precision has no backward pass")
}
