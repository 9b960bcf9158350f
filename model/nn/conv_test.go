package nn

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"posefuse/model/nn/kernel"
)

// naiveConv2d calls f for each product of a convolution: index of the input,
// of the output and of the weight.
func naiveConv2d[T Float](c *Conv2d[T], n int, f func(in, out, weight int)) {
	pad := c.Kernel / 2
	for i := range n {
		for oy := range c.Ho {
			for ox := range c.Wo {
				for ky := range c.Kernel {
					for kx := range c.Kernel {
						y, x := oy*c.Stride+ky-pad, ox*c.Stride+kx-pad
						if y < 0 || y >= c.H || x < 0 || x >= c.W {
							continue
						}
						for ci := range c.Cin {
							for co := range c.Cout {
								f(((i*c.H+y)*c.W+x)*c.Cin+ci, ((i*c.Ho+oy)*c.Wo+ox)*c.Cout+co,
									((co*c.Cin+ci)*c.Kernel+ky)*c.Kernel+kx)
							}
						}
					}
				}
			}
		}
	}
}

func narrow[T Float](x []float64) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v)
	}
	return y
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// closeTo bounds the root mean square of the differences relative to that of
// the values, or to that of a sum of so many products of values around 1.
func closeTo[T Float](t fataler, what string, got []T, want []float64, terms int, tol float64) {
	t.Helper()
	var e, s float64
	for i, w := range want {
		d := float64(got[i]) - w
		e += d * d
		s += w * w
	}
	n := float64(len(want))
	if r := math.Sqrt(e/n) / max(math.Sqrt(s/n), math.Sqrt(float64(terms))); !(r <= tol) {
		t.Fatalf("%s is off by %.3g of its size", what, r)
	}
}

// checkConv compares a convolution with the naive one: forward, folded with
// residual, and both gradients.
func checkConv[T Float](t fataler, n, h, w, cin, cout, k, stride int, winograd bool, tol float64) {
	t.Helper()
	s, ctx := NewStore[T](3), &Context{Mode: Eval}
	c := NewConv2d(s, "c", cin, cout, k, stride, h, w)
	if winograd && k == 3 && stride == 1 {
		c.useWinograd(new(kernel.Scratch[T]))
	} else {
		c.wino, c.back = nil, nil
	}
	bn := NewBatchNorm(s, ctx, "bn", cout, 1)
	rng := randomValues(len(c.Weight.Value) + 4*cout)
	copy(c.Weight.Value, narrow[T](rng))
	for i := range cout {
		bn.Bias.Value[i], bn.RunMean.Value[i] = T(rng[i]), T(rng[i+1])
		bn.Weight.Value[i], bn.Run.Value[i] = T(1+0.2*math.Sin(rng[i])), T(1+0.5*math.Sin(rng[i+2]))
	}
	in, out := n*h*w*cin, c.outRows(n)*cout
	all := narrow[T](randomValues(in + 3*out + in))
	x, res, dy, dx := all[:in], all[in:in+out], all[in+out:in+2*out], all[in+3*out:]

	y := make([]T, out)
	c.Forward(x, y, n)
	want := make([]float64, out)
	naiveConv2d(c, n, func(i, o, wt int) { want[o] += float64(x[i]) * float64(c.Weight.Value[wt]) })
	closeTo(t, "output", y, want, k*k*cin, tol)

	c.fold(bn)
	for _, relu := range []bool{false, true} {
		copy(y, res)
		c.forwardAdd(x, y, y, n, relu)
		folded := make([]float64, out)
		for i, v := range want {
			scale, shift := bn.affine(i % cout)
			folded[i] = v*float64(scale) + float64(shift) + float64(res[i])
			if relu {
				folded[i] = max(folded[i], 0)
			}
		}
		closeTo(t, "folded output", y, folded, k*k*cin, tol)
	}

	for _, beta := range []T{0, 1} {
		wantX, wantW := make([]float64, in), make([]float64, len(c.Weight.Value))
		for i := range wantX {
			wantX[i] = float64(beta * dx[i])
		}
		naiveConv2d(c, n, func(i, o, wt int) {
			wantX[i] += float64(dy[o]) * float64(c.Weight.Value[wt])
			wantW[wt] += float64(dy[o]) * float64(x[i])
		})
		got := append([]T(nil), dx...)
		c.Backward(x, dy, got, beta, n)
		closeTo(t, "input gradient", got, wantX, k*k*cout, tol)
		closeTo(t, "weight gradient", c.Weight.Grad, wantW, c.outRows(n), tol)
	}
}

func TestConvEqualsNaive(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	for _, s := range [][7]int{
		{1, 1, 1, 1, 1, 3, 1}, {3, 8, 5, 1, 16, 3, 1}, {1, 1, 2, 1, 3, 3, 1}, {2, 7, 3, 1, 8, 3, 2}, {2, 9, 6, 16, 32, 3, 1}, {1, 17, 4, 32, 16, 3, 1},
		{2, 7, 5, 16, 24, 3, 2}, {1, 1, 1, 17, 18, 3, 2}, {2, 6, 7, 8, 12, 1, 2}, {1, 3, 3, 5, 4, 1, 1}, {1, 4, 1, 33, 16, 3, 1},
	} {
		for _, winograd := range []bool{false, true} {
			t.Run(fmt.Sprint(s, winograd), func(t *testing.T) {
				checkConv[float32](t, s[0], s[1], s[2], s[3], s[4], s[5], s[6], winograd, 3e-6)
				checkConv[float64](t, s[0], s[1], s[2], s[3], s[4], s[5], s[6], winograd, 1e-13)
			})
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		kernel.SetThreads(rapid.IntRange(1, 3).Draw(r, "threads"))
		d := func(name string, most int) int { return rapid.IntRange(1, most).Draw(r, name) }
		checkConv[float32](r, d("n", 3), d("h", 10), d("w", 10), d("cin", 34), d("cout", 34), 2*d("k", 2)-1, d("stride", 2), rapid.Bool().Draw(r, "winograd"), 3e-6)
	})
}

// The blocks' gradients hold with Winograd's algorithm too.
func TestWinogradBlockGradients(t *testing.T) {
	for mode, name := range []string{"train", "batch statistics", "eval"} {
		for _, stride := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/stride %d", name, stride), func(t *testing.T) {
				s, ctx := NewStore[float64](1), &Context{Mode: Mode(mode)}
				b := NewBasicBlock(s, ctx, "w", 3, 3, 3+stride/2, stride, 7, 5)
				for _, u := range []*Unit[float64]{b.c1, b.c2} {
					if c := u.Lin.(*Conv2d[float64]); c.Stride == 1 {
						c.useWinograd(&b.work.scratch)
					}
				}
				k := &chain{ctx: ctx, store: s, blocks: []Block[float64]{b}, x: randomValues(2 * 3 * 7 * 5 * 3), batch: 2, inputs: true}
				k.check(t)
			})
		}
	}
}
