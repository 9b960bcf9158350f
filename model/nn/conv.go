package nn

import "posefuse/model/nn/kernel"

// Conv2d is a bias-free square convolution on [images, H, W, Cin] with padding
// Kernel/2. The weight is stored as [Cout, Cin, Kernel, Kernel].
type Conv2d[T Float] struct {
	Cin, Cout, Kernel, Stride int
	H, W, Ho, Wo              int
	Weight                    *Tensor[T]

	packed, packedGrad []T // [Cout, Kernel, Kernel, Cin]
	foldW, foldB       []T // [Kernel, Kernel, Cin, Cout], [Cout]
	cols               []T
	src, dst           []T
	beta               T
	first              int // first image of the chunk in work
	gatherF, scatterF  func(lo, hi int)
}

// NewConv2d returns a convolution for h x w inputs.
func NewConv2d[T Float](s *Store[T], name string, cin, cout, k, stride, h, w int) *Conv2d[T] {
	c := &Conv2d[T]{Cin: cin, Cout: cout, Kernel: k, Stride: stride, H: h, W: w,
		Ho: (h-1)/stride + 1, Wo: (w-1)/stride + 1,
		Weight: s.Tensor(name+".weight", WeightHe, cin*k*k, cout*k*k, cout, cin, k, k)}
	c.gatherF, c.scatterF = c.gather, c.scatter
	return c
}

func (c *Conv2d[T]) depth() int         { return c.Kernel * c.Kernel * c.Cin }
func (c *Conv2d[T]) outRows(n int) int  { return n * c.Ho * c.Wo }
func (c *Conv2d[T]) pointwise() bool    { return c.Kernel == 1 && c.Stride == 1 }
func (c *Conv2d[T]) imagesPerPass() int { return max(1, 1<<19/(c.Ho*c.Wo*c.depth())) }

func (c *Conv2d[T]) pack() []T {
	if c.Kernel == 1 {
		return c.Weight.Value
	}
	p := grow(&c.packed, len(c.Weight.Value))
	permuteTaps(p, c.Weight.Value, c.Cout, c.Cin, c.Kernel*c.Kernel)
	return p
}

// Forward convolves n images.
func (c *Conv2d[T]) Forward(x, y []T, n int) {
	k, per := c.depth(), c.Ho*c.Wo
	w, ldw, folded := c.foldW, c.Cout, c.foldW != nil
	var beta T
	if folded {
		beta = 1
		fillRows(y[:c.outRows(n)*c.Cout], c.foldB)
	} else {
		w, ldw = c.pack(), k
	}
	step := c.imagesPerPass()
	for i := 0; i < n; i += step {
		m := min(step, n-i)
		cols := c.columns(x, i, m)
		kernel.Gemm(false, !folded, m*per, c.Cout, k, 1, cols, k, w, ldw, beta, y[i*per*c.Cout:], c.Cout)
	}
}

// columns returns the input patches of m images from image i, one row of
// [Kernel, Kernel, Cin] per output position.
func (c *Conv2d[T]) columns(x []T, i, m int) []T {
	in := c.H * c.W * c.Cin
	if c.pointwise() {
		return x[i*in : (i+m)*in]
	}
	grow(&c.cols, m*c.Ho*c.Wo*c.depth())
	c.src, c.first = x, i
	split(m*c.Ho, c.Wo*c.depth()/4, c.gatherF)
	return c.cols
}

// gather fills the patches of output rows lo..hi-1 of the chunk's images.
func (c *Conv2d[T]) gather(lo, hi int) {
	k, pad := c.Kernel, c.Kernel/2
	seg := k * c.Cin
	for r := lo; r < hi; r++ {
		img, oy := c.first+r/c.Ho, r%c.Ho
		src := c.src[img*c.H*c.W*c.Cin : (img+1)*c.H*c.W*c.Cin]
		dst := c.cols[r*c.Wo*k*seg : (r+1)*c.Wo*k*seg]
		for ky := range k {
			iy := oy*c.Stride + ky - pad
			if iy < 0 || iy >= c.H {
				for ox := range c.Wo {
					clear(dst[(ox*k+ky)*seg : (ox*k+ky+1)*seg])
				}
				continue
			}
			line := src[iy*c.W*c.Cin : (iy+1)*c.W*c.Cin]
			for ox := range c.Wo {
				d := dst[(ox*k+ky)*seg : (ox*k+ky+1)*seg]
				x0 := ox*c.Stride - pad
				if x0 >= 0 && x0+k <= c.W {
					copy(d, line[x0*c.Cin:(x0+k)*c.Cin])
					continue
				}
				for kx := range k {
					e := d[kx*c.Cin : (kx+1)*c.Cin]
					if ix := x0 + kx; ix < 0 || ix >= c.W {
						clear(e)
					} else {
						copy(e, line[ix*c.Cin:(ix+1)*c.Cin])
					}
				}
			}
		}
	}
}

// Backward overwrites the weight gradient and, unless dx is nil, writes
// dx = beta·dx + gradient.
func (c *Conv2d[T]) Backward(x, dy, dx []T, beta T, n int) {
	g := c.Weight.Grad
	if c.Kernel > 1 {
		g = grow(&c.packedGrad, len(g))
	}
	k, per, in := c.depth(), c.Ho*c.Wo, c.H*c.W*c.Cin
	var w []T
	if dx != nil {
		w = c.pack()
	}
	step := c.imagesPerPass()
	for i := 0; i < n; i += step {
		m := min(step, n-i)
		cols := c.columns(x, i, m)
		d := dy[i*per*c.Cout : (i+m)*per*c.Cout]
		var acc T
		if i > 0 {
			acc = 1
		}
		kernel.Gemm(true, false, c.Cout, k, m*per, 1, d, c.Cout, cols, k, acc, g, k)
		if dx == nil {
			continue
		}
		if c.pointwise() {
			kernel.Gemm(false, false, m*per, k, c.Cout, 1, d, c.Cout, w, k, beta, dx[i*in:], k)
			continue
		}
		kernel.Gemm(false, false, m*per, k, c.Cout, 1, d, c.Cout, w, k, 0, cols, k)
		c.dst, c.beta, c.first = dx, beta, i
		split(m*c.H, c.W*k/2, c.scatterF)
	}
	if c.Kernel > 1 {
		permuteTaps(c.Weight.Grad, g, c.Cout, c.Kernel*c.Kernel, c.Cin)
	}
}

// scatter adds the patch gradients back into input lines lo..hi-1 of the
// chunk's images. Each line is written by one thread only.
func (c *Conv2d[T]) scatter(lo, hi int) {
	k, pad := c.Kernel, c.Kernel/2
	seg := k * c.Cin
	for r := lo; r < hi; r++ {
		i, iy := r/c.H, r%c.H
		at := ((c.first+i)*c.H + iy) * c.W * c.Cin
		line := c.dst[at : at+c.W*c.Cin]
		if c.beta == 0 {
			clear(line)
		}
		for ky := range k {
			oy := iy + pad - ky
			if oy < 0 || oy%c.Stride != 0 || oy/c.Stride >= c.Ho {
				continue
			}
			oy /= c.Stride
			for ox := range c.Wo {
				p := (((i*c.Ho+oy)*c.Wo+ox)*k + ky) * seg
				s := c.cols[p : p+seg]
				x0 := ox*c.Stride - pad
				a, b := max(0, -x0), min(k, c.W-x0)
				if a >= b {
					continue
				}
				d := line[(x0+a)*c.Cin : (x0+b)*c.Cin]
				s = s[a*c.Cin : b*c.Cin]
				s = s[:len(d)]
				for j, v := range s {
					d[j] += v
				}
			}
		}
	}
}

func (c *Conv2d[T]) fold(bn *BatchNorm[T]) {
	f := Derived(c.Weight, "conv", func() foldedConv[T] {
		f := foldedConv[T]{c.foldW, c.foldB}
		foldInto(&f.w, &f.b, c.pack(), nil, c.Cout, bn)
		c.packed = nil // of training and of this call
		return f
	})
	c.foldW, c.foldB = f.w, f.b
}

// foldedConv is what fold makes: shared by instances of a frozen network.
type foldedConv[T Float] struct{ w, b []T }
