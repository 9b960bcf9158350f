package nn

import "posefuse/model/nn/kernel"

// Conv2d is a bias-free square convolution on [images, H, W, Cin] with padding
// Kernel/2. The weight is stored as [Cout, Cin, Kernel, Kernel]. Layers of
// kernel 3 and stride 1 run by Winograd's algorithm, the others as a product of
// input patches and weights.
type Conv2d[T Float] struct {
	Cin, Cout, Kernel, Stride int
	H, W, Ho, Wo              int
	Weight                    *Tensor[T]

	folded     foldedConv[T] // of inference
	wino, back *kernel.Winograd[T]

	direct            *directWork[T]
	src, dst          []T
	beta              T
	first             int // first image of the chunk in work
	gatherF, scatterF func(lo, hi int)
}

// directWork is the working memory of a convolution as a matrix product, where
// Winograd's algorithm does not run.
type directWork[T Float] struct {
	packed, grad []T // [Cout, Kernel, Kernel, Cin]
	cols         []T // input patches
}

// winogradChannels is the least number of channels on both sides for which
// Winograd's algorithm is faster.
const winogradChannels = 8

// NewConv2d returns a convolution for h x w inputs.
func NewConv2d[T Float](s *Store[T], name string, cin, cout, k, stride, h, w int) *Conv2d[T] {
	c := &Conv2d[T]{Cin: cin, Cout: cout, Kernel: k, Stride: stride, H: h, W: w,
		Ho: (h-1)/stride + 1, Wo: (w-1)/stride + 1,
		Weight: s.Tensor(name+".weight", WeightHe, cin*k*k, cout*k*k, cout, cin, k, k)}
	c.gatherF, c.scatterF = c.gather, c.scatter
	c.direct = new(directWork[T])
	if k == 3 && stride == 1 && min(cin, cout) >= winogradChannels {
		c.useWinograd(new(kernel.Scratch[T]))
	}
	return c
}

// useWinograd makes a convolution of kernel 3 and stride 1 run by Winograd's
// algorithm.
func (c *Conv2d[T]) useWinograd(s *kernel.Scratch[T]) {
	c.wino = &kernel.Winograd[T]{H: c.H, W: c.W, Cin: c.Cin, Cout: c.Cout, Scratch: s}
	c.back = &kernel.Winograd[T]{H: c.H, W: c.W, Cin: c.Cout, Cout: c.Cin, Scratch: s}
}

// share makes the convolution use working memory it shares with others that
// never run at the same time.
func (c *Conv2d[T]) share(w *trunkWork[T]) {
	if c.wino != nil {
		c.wino.Scratch, c.back.Scratch = &w.scratch, &w.scratch
	}
	c.direct = &w.direct
}

func (c *Conv2d[T]) depth() int        { return c.Kernel * c.Kernel * c.Cin }
func (c *Conv2d[T]) outRows(n int) int { return n * c.Ho * c.Wo }

// Forward convolves n images.
func (c *Conv2d[T]) Forward(x, y []T, n int) {
	if c.wino == nil {
		c.forwardDirect(x, y, n)
		return
	}
	u := grow(&c.wino.Scratch.Weights, c.wino.WeightLen())
	c.wino.Pack(u, c.Weight.Value, nil, false)
	c.wino.Forward(u, x, y, n, kernel.ConvEpilogue[T]{})
}

func (c *Conv2d[T]) forwardFolded(x, y []T, n int, relu bool) { c.forwardAdd(x, y, nil, n, relu) }

// forwardAdd writes the convolution of n images with the folded weights and
// bias, plus res unless that is nil, and with relu what is above 0 of it. res
// may be y.
func (c *Conv2d[T]) forwardAdd(x, y, res []T, n int, relu bool) {
	if c.folded.u != nil {
		c.wino.Forward(c.folded.u, x, y, n, kernel.ConvEpilogue[T]{Bias: c.folded.b, Res: res, ReLU: relu})
		return
	}
	c.directFolded(x, y, res, n, relu)
}

// Backward overwrites the weight gradient and, unless dx is nil, writes
// dx = beta·dx + gradient; beta is 0 or 1.
func (c *Conv2d[T]) Backward(x, dy, dx []T, beta T, n int) {
	if c.wino == nil {
		c.backwardDirect(x, dy, dx, beta, n)
		return
	}
	c.wino.Gradient(x, dy, c.Weight.Grad, n)
	if dx == nil {
		return
	}
	u := grow(&c.wino.Scratch.Weights, c.back.WeightLen())
	c.back.Pack(u, c.Weight.Value, nil, true)
	var ep kernel.ConvEpilogue[T]
	if beta != 0 {
		ep.Res = dx
	}
	c.back.Forward(u, dy, dx, n, ep)
}

// foldedConv is what fold makes: shared by instances of a frozen network.
type foldedConv[T Float] struct {
	u []T               // by Winograd's algorithm
	w kernel.PackedB[T] // otherwise, [Kernel, Kernel, Cin, Cout]
	b []T               // [Cout]
}

func (c *Conv2d[T]) fold(bn *BatchNorm[T]) {
	c.folded = Derived(c.Weight, "conv", func() foldedConv[T] {
		f := c.folded
		if c.wino == nil {
			var w []T
			foldInto(&w, &f.b, c.pack(), nil, c.Cout, bn)
			f.w.PackB(false, c.depth(), c.Cout, w, c.Cout)
			c.direct.packed = nil // of training and of this call
			return f
		}
		scale := make([]T, c.Cout)
		grow(&f.b, c.Cout)
		for o := range scale {
			scale[o], f.b[o] = bn.affine(o)
		}
		c.wino.Pack(grow(&f.u, c.wino.WeightLen()), c.Weight.Value, scale, false)
		return f
	})
}
