package nn

import (
	"math"
	"testing"

	"posefuse/internal/testenv"
)

// TestSelectiveKernelGradients checks the layers of the WiFi baseline against
// difference quotients in float64, in each mode.
func TestSelectiveKernelGradients(t *testing.T) {
	testenv.SlowRace(t)
	cfg := SelectiveKernelConfig{In: 3, Out: 8, H: 7, W: 4, Dilations: []int{1, 2, 3}, Groups: 4, Squeeze: 2}
	for _, c := range []struct {
		name   string
		in     int
		inputs bool
		make   func(s *Store[float64], ctx *Context) []Block[float64]
	}{
		{"unit", 7 * 4 * 3, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewSelectiveKernel(s, ctx, "u", cfg, false)}
		}},
		{"two units, pools and regressor", 7 * 4 * 3, false, func(s *Store[float64], ctx *Context) []Block[float64] {
			second := SelectiveKernelConfig{In: 8, Out: 12, H: 3, W: 2, Dilations: []int{1, 4}, Groups: 2, Squeeze: 3}
			return []Block[float64]{NewSelectiveKernel(s, ctx, "u", cfg, true), NewAveragePool[float64](7, 4, 8),
				NewSelectiveKernel(s, ctx, "v", second, false), NewAveragePool[float64](3, 2, 12),
				NewRegressor(s, ctx, "r", 12, 5, 6, 4, 0.2)}
		}},
	} {
		for mode, name := range []string{"train", "batch statistics", "eval"} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				s, ctx := NewStore[float64](1), &Context{Mode: Mode(mode), Seed: 3}
				k := &chain{ctx: ctx, store: s, blocks: c.make(s, ctx), x: randomValues(3 * c.in), batch: 3, inputs: c.inputs}
				k.check(t)
			})
		}
	}
}

// Each branch equals the sum over its taps, written out.
func TestDilatedBranchesAreConvolutions(t *testing.T) {
	const b, h, w, c, groups = 2, 9, 5, 8, 2
	s := NewStore[float64](3)
	d := NewDilatedBranches(s, "d", c, groups, h, w, []int{1, 2, 4})
	x := randomValues(b * h * w * c)
	outs := d.Forward(x, b)
	per := c / groups
	for k, dil := range d.Dilations {
		for n := range b {
			for y := range h {
				for z := range w {
					for o := range c {
						var want float64
						for i := range per {
							for ky := range 3 {
								for kx := range 3 {
									sy, sx := y+(ky-1)*dil, z+(kx-1)*dil
									if sy < 0 || sy >= h || sx < 0 || sx >= w {
										continue
									}
									want += d.Weight[k].Value[((o*per+i)*3+ky)*3+kx] * x[((n*h+sy)*w+sx)*c+o/per*per+i]
								}
							}
						}
						if got := outs[k][((n*h+y)*w+z)*c+o]; math.Abs(got-want) > 1e-12 {
							t.Fatalf("dilation %d, image %d, position %d %d, channel %d: %v, want %v", dil, n, y, z, o, got, want)
						}
					}
				}
			}
		}
	}
}

func TestAveragePoolLeavesOutOddEdges(t *testing.T) {
	p := NewAveragePool[float64](3, 5, 1)
	got := p.Forward([]float64{1, 2, 3, 4, 99, 5, 6, 7, 8, 99, 99, 99, 99, 99, 99}, 1)
	if len(got) != 2 || got[0] != 3.5 || got[1] != 5.5 {
		t.Errorf("got %v, want [3.5 5.5]", got)
	}
}

func TestMeanSquareGradient(t *testing.T) {
	var l MeanSquare[float64]
	x, y := []float64{1, 2, 4}, []float64{0, 2, 2}
	if got, want := l.Forward(x, y), 5.0/3; math.Abs(got-want) > 1e-15 {
		t.Errorf("loss %v, want %v", got, want)
	}
	for i, want := range []float64{2.0 / 3, 0, 4.0 / 3} {
		if got := l.Backward()[i]; math.Abs(got-want) > 1e-15 {
			t.Errorf("gradient %d: %v, want %v", i, got, want)
		}
	}
}
