package nn

import "posefuse/model/nn/kernel"

// DilatedBranches are several grouped 3 x 3 convolutions of the same input,
// each with a dilation of its own, so that they look at neighbourhoods of
// different size: bias-free, stride 1, padded to keep the size. Input and
// outputs are [images, H, W, C].
//
// With few channels per group a product of patches and weights would mostly
// multiply zeros or copy; so each channel is laid out as a padded plane, and a
// weight multiplies a shifted plane at once.
type DilatedBranches[T Float] struct {
	C, Groups, H, W int
	Dilations       []int
	Weight          []*Tensor[T] // per branch [C, C/Groups, 3, 3]

	pad, line, plane int // padding, values per line of H, values per plane
	run, runPadded   int // values of a plane that a shifted product covers
	x                []T
	b                int
	outs, dys        [][]T
	dx               []T
	work             [][]T       // per group
	sums             [][]float64 // per group: weight gradients of one branch after the other
	dots             []dotter[T] // per group
	forwardF         func(lo, hi int)
	backwardF        func(lo, hi int)
}

// dotWidth is the width of the rows that products are added up in.
const dotWidth = 64

// NewDilatedBranches builds one convolution per dilation; weight i is named
// name.i.weight.
func NewDilatedBranches[T Float](s *Store[T], name string, c, groups, h, w int, dilations []int) *DilatedBranches[T] {
	t := &DilatedBranches[T]{C: c, Groups: groups, H: h, W: w, Dilations: dilations}
	per := c / groups
	for i, d := range dilations {
		t.Weight = append(t.Weight, s.Tensor(name+"."+itoa(i)+".weight", Weight, per*9, per*9, c, per, 3, 3))
		t.pad = max(t.pad, d)
	}
	t.line = h + 2*t.pad
	t.plane = t.line * (w + 2*t.pad)
	t.run = (w-1)*t.line + h
	t.runPadded = (t.run + dotWidth - 1) / dotWidth * dotWidth
	t.work, t.sums = make([][]T, groups), make([][]float64, groups)
	for g := range t.work {
		// Two sets of planes, the second for gradients; the product of a
		// gradient with a plane may read past the plane's end, where anything
		// finite will do.
		t.work[g] = make([]T, 2*per*t.plane+2*t.runPadded+2*dotWidth)
		t.sums[g] = make([]float64, len(dilations)*per*per*9)
	}
	t.dots = make([]dotter[T], groups)
	for g := range t.dots {
		t.dots[g].init()
	}
	t.outs = make([][]T, len(dilations))
	t.forwardF, t.backwardF = t.forwardRange, t.backwardRange
	return t
}

// tap returns where in a plane the product with a tap of a dilation starts.
func (t *DilatedBranches[T]) tap(ky, kx, d int) int {
	return (t.pad+(kx-1)*d)*t.line + t.pad + (ky-1)*d
}

// Forward returns one output per branch for b images; they belong to the layer.
func (t *DilatedBranches[T]) Forward(x []T, b int) [][]T {
	t.x, t.b = x, b
	for k := range t.outs {
		grow(&t.outs[k], len(x))
	}
	split(t.Groups, b*len(t.Dilations)*9*t.C/t.Groups*t.run, t.forwardF)
	return t.outs
}

// planes lays out the channels of group g of image s.
func (t *DilatedBranches[T]) planes(dst []T, g, s int) {
	per := t.C / t.Groups
	at := s*t.H*t.W*t.C + g*per
	for i := range per {
		p := dst[i*t.plane : (i+1)*t.plane]
		clear(p)
		for w := range t.W {
			line := p[(t.pad+w)*t.line+t.pad:][:t.H]
			for h := range line {
				line[h] = t.x[at+(h*t.W+w)*t.C+i]
			}
		}
	}
}

func (t *DilatedBranches[T]) forwardRange(lo, hi int) {
	per := t.C / t.Groups
	for g := lo; g < hi; g++ {
		in, acc := t.work[g][:per*t.plane], t.work[g][2*per*t.plane:][:t.run]
		for s := range t.b {
			t.planes(in, g, s)
			for k, d := range t.Dilations {
				for o := range per {
					clear(acc)
					w := t.Weight[k].Value[(g*per+o)*per*9:][:per*9]
					for i, v := range w {
						p := i/9*t.plane + t.tap(i%9/3, i%3, d)
						kernel.Axpy(v, in[p:p+t.run], acc)
					}
					out := t.outs[k][s*t.H*t.W*t.C+g*per+o:]
					for x := range t.W {
						for h, v := range acc[x*t.line:][:t.H] {
							out[(h*t.W+x)*t.C] = v
						}
					}
				}
			}
		}
	}
}

// Backward takes the gradients of all outputs, overwrites the weight gradients
// and returns the gradient of the input, which belongs to the layer.
func (t *DilatedBranches[T]) Backward(dys [][]T) []T {
	t.dys = dys
	grow(&t.dx, len(t.x))
	split(t.Groups, 2*t.b*len(t.Dilations)*9*t.C/t.Groups*t.run, t.backwardF)
	return t.dx
}

func (t *DilatedBranches[T]) backwardRange(lo, hi int) {
	per := t.C / t.Groups
	for g := lo; g < hi; g++ {
		work, sums := t.work[g], t.sums[g]
		clear(sums)
		din := work[:per*t.plane]
		in := work[per*t.plane : 2*per*t.plane+t.runPadded+2*dotWidth] // the last plane and what lies behind
		dacc := work[2*per*t.plane+t.runPadded+2*dotWidth:]
		for s := range t.b {
			t.planes(in, g, s)
			clear(din)
			for k, d := range t.Dilations {
				for o := range per {
					// Between the lines the gradient is zero, so that
					// products with padding count for nothing.
					clear(dacc)
					dy := t.dys[k][s*t.H*t.W*t.C+g*per+o:]
					for x := range t.W {
						line := dacc[x*t.line:][:t.H]
						for h := range line {
							line[h] = dy[(h*t.W+x)*t.C]
						}
					}
					w := t.Weight[k].Value[(g*per+o)*per*9:][:per*9]
					sum := sums[(k*per+o)*per*9:][:per*9]
					for i, v := range w {
						p := i/9*t.plane + t.tap(i%9/3, i%3, d)
						kernel.Axpy(v, dacc[:t.run], din[p:p+t.run])
						sum[i] += float64(t.dots[g].dot(in[p:p+t.runPadded], dacc))
					}
				}
			}
			dx := t.dx[s*t.H*t.W*t.C+g*per:]
			for i := range per {
				for x := range t.W {
					for h, v := range din[i*t.plane+(t.pad+x)*t.line+t.pad:][:t.H] {
						dx[(h*t.W+x)*t.C+i] = v
					}
				}
			}
		}
		for k, w := range t.Weight {
			grad := w.Grad[g*per*per*9:][:per*per*9]
			for i, v := range sums[k*per*per*9:][:per*per*9] {
				grad[i] = T(v)
			}
		}
	}
}

// dotter adds up products by the vectors that add up the gradients of a
// normalisation with mean 0.
type dotter[T Float] struct {
	norm           kernel.Norm[T]
	sums, products []T // lane by lane
}

func (d *dotter[T]) init() {
	zero, one := make([]T, dotWidth), make([]T, dotWidth)
	for i := range one {
		one[i] = 1
	}
	d.norm = kernel.Norm[T]{Mean: zero, Scale: zero, Shift: one}
	d.sums, d.products = make([]T, dotWidth), make([]T, dotWidth)
}

// dot returns the sum of the products of two rows whose length is a multiple
// of dotWidth.
func (d *dotter[T]) dot(x, y []T) T {
	d.norm.GradSums(x, y, d.sums, d.products, len(x)/dotWidth)
	var sum T
	for _, v := range d.products {
		sum += v
	}
	return sum
}
