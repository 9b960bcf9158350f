package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// depthwiseReference convolves in float64 by the definition: an output of
// stride s stands over columns s*o-1 to s*o+1, or for stride 2, where TensorFlow
// pads behind, 2*o to 2*o+2.
func depthwiseReference(h, w, c, stride int, x, weights, bias []float32, low, high float64) []float64 {
	before := 1
	if stride == 2 {
		before = 0
	}
	ho, wo := h/stride, w/stride
	out := make([]float64, ho*wo*c)
	for oy := range ho {
		for ox := range wo {
			for i := range c {
				var sum float64
				if bias != nil {
					sum = float64(bias[i])
				}
				for ky := range 3 {
					for kx := range 3 {
						y, xx := oy*stride+ky-before, ox*stride+kx-before
						if y >= 0 && y < h && xx >= 0 && xx < w {
							sum += float64(x[(y*w+xx)*c+i]) * float64(weights[(3*ky+kx)*c+i])
						}
					}
				}
				out[(oy*wo+ox)*c+i] = min(max(sum, low), high)
			}
		}
	}
	return out
}

func inGuarded(t *testing.T, x []float32) []float32 {
	g := guarded(t, len(x))
	copy(g, x)
	return g
}

// TestDepthwise holds every path's rows against the definition, on shapes that
// fill vectors and shapes that do not, in memory that ends with the data.
func TestDepthwise(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 1))
	inf := math.Inf(1)
	onEachPath(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 4, 8, 12, 16, 17, 24, 32, 40, 96} {
			for _, wo := range []int{1, 2, 3, 6, 13} {
				for stride := 1; stride <= 2; stride++ {
					h, w := 2*stride, wo*stride
					x, weights, bias := inGuarded(t, random(rng, h*w*c)), random(rng, 9*c), random(rng, c)
					for _, b := range [][]float32{bias, nil} {
						low, high := -inf, inf
						if b != nil {
							low, high = 0, 1
						}
						want := depthwiseReference(h, w, c, stride, x, weights, b, low, high)
						var p PackedDepthwise
						p.Pack(c, w, stride, weights, b)
						got := guarded(t, len(want))
						for oy := range h / stride {
							var rows [3][]float32
							for k := range rows {
								y := oy*stride + k + stride - 2
								if y >= 0 && y < h {
									rows[k] = x[y*w*c : (y+1)*w*c]
								}
							}
							p.Row(wo, &rows, got[oy*wo*c:(oy+1)*wo*c], float32(low), float32(high))
						}
						name := fmt.Sprintf("c %d, %d columns, stride %d", c, wo, stride)
						for i, v := range want {
							if math.Abs(float64(got[i])-v) > 1e-5 {
								t.Fatalf("%s: output %d is %v, want %v", name, i, got[i], v)
							}
						}
					}
				}
			}
		}
	})
}

func TestDepthwiseKeepsNaN(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		var p PackedDepthwise
		ones := make([]float32, 9*16)
		for i := range ones {
			ones[i] = 1
		}
		p.Pack(16, 4, 1, ones, nil)
		x := make([]float32, 4*16)
		x[16] = float32(math.NaN())
		y := make([]float32, 4*16)
		p.Row(4, &[3][]float32{nil, x, nil}, y, 0, 6)
		for col, bad := range []bool{true, true, true, false} {
			if math.IsNaN(float64(y[16*col])) != bad {
				t.Errorf("column %d is %v", col, y[16*col])
			}
		}
	})
}
