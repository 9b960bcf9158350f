package nn

import "posefuse/model/nn/kernel"

func (c *Conv2d[T]) pointwise() bool    { return c.Kernel == 1 && c.Stride == 1 }
func (c *Conv2d[T]) imagesPerPass() int { return max(1, 1<<19/(c.Ho*c.Wo*c.depth())) }

func (c *Conv2d[T]) pack() []T {
	if c.Kernel == 1 {
		return c.Weight.Value
	}
	p := grow(&c.direct.packed, len(c.Weight.Value))
	permuteTaps(p, c.Weight.Value, c.Cout, c.Cin, c.Kernel*c.Kernel)
	return p
}

func (c *Conv2d[T]) forwardDirect(x, y []T, n int) {
	k, per, w := c.depth(), c.Ho*c.Wo, c.pack()
	step := c.imagesPerPass()
	for i := 0; i < n; i += step {
		m := min(step, n-i)
		kernel.Gemm(false, true, m*per, c.Cout, k, 1, c.columns(x, i, m), k, w, k, 0, y[i*per*c.Cout:], c.Cout)
	}
}

func (c *Conv2d[T]) directFolded(x, y, res []T, n int, relu bool) {
	k, per := c.depth(), c.Ho*c.Wo
	step := c.imagesPerPass()
	for i := 0; i < n; i += step {
		m := min(step, n-i)
		e := kernel.Epilogue[T]{Bias: c.folded.b, ReLU: relu}
		var beta T
		switch {
		case res == nil:
		case &res[0] == &y[0]:
			beta = 1
		default:
			e.Add, e.LdAdd = res[i*per*c.Cout:], c.Cout
		}
		kernel.GemmPacked(m*per, c.columns(x, i, m), k, &c.folded.w, beta, y[i*per*c.Cout:], c.Cout, e)
	}
}

func (c *Conv2d[T]) backwardDirect(x, dy, dx []T, beta T, n int) {
	g := c.Weight.Grad
	if c.Kernel > 1 {
		g = grow(&c.direct.grad, len(g))
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

// columns returns the input patches of m images from image i, one row of
// [Kernel, Kernel, Cin] per output position.
func (c *Conv2d[T]) columns(x []T, i, m int) []T {
	in := c.H * c.W * c.Cin
	if c.pointwise() {
		return x[i*in : (i+m)*in]
	}
	grow(&c.direct.cols, m*c.Ho*c.Wo*c.depth())
	c.src, c.first = x, i
	split(m*c.Ho, c.Wo*c.depth()/4, c.gatherF)
	return c.direct.cols
}

// gather fills the patches of output rows lo..hi-1 of the chunk's images.
func (c *Conv2d[T]) gather(lo, hi int) {
	if c.Cin == 1 && c.Stride == 1 && c.Kernel == 3 && c.W > 2 {
		c.gatherSingle(lo, hi)
		return
	}
	k, pad := c.Kernel, c.Kernel/2
	seg := k * c.Cin
	for r := lo; r < hi; r++ {
		img, oy := c.first+r/c.Ho, r%c.Ho
		src := c.src[img*c.H*c.W*c.Cin : (img+1)*c.H*c.W*c.Cin]
		dst := c.direct.cols[r*c.Wo*k*seg : (r+1)*c.Wo*k*seg]
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

// gatherSingle is gather for 3 x 3 patches of one channel.
func (c *Conv2d[T]) gatherSingle(lo, hi int) {
	for r := lo; r < hi; r++ {
		img, oy := c.first+r/c.Ho, r%c.Ho
		src := c.src[img*c.H*c.W : (img+1)*c.H*c.W]
		dst := c.direct.cols[r*c.W*9 : (r+1)*c.W*9]
		for ky := range 3 {
			iy := oy + ky - 1
			d := dst[ky*3:]
			if iy < 0 || iy >= c.H {
				for x := range c.W {
					e := d[9*x : 9*x+3]
					e[0], e[1], e[2] = 0, 0, 0
				}
				continue
			}
			line := src[iy*c.W : (iy+1)*c.W]
			var a T
			b := line[0]
			for x := range c.W {
				var next T
				if x+1 < len(line) {
					next = line[x+1]
				}
				e := d[9*x : 9*x+3]
				e[0], e[1], e[2] = a, b, next
				a, b = b, next
			}
		}
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
				s := c.direct.cols[p : p+seg]
				x0 := ox*c.Stride - pad
				a, b := max(0, -x0), min(k, c.W-x0)
				if a >= b {
					continue
				}
				d := line[(x0+a)*c.Cin : (x0+b)*c.Cin]
				kernel.Axpy(1, s[a*c.Cin:b*c.Cin], d)
			}
		}
	}
}
