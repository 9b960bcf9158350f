package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// lowShape is a convolution to try.
type lowShape struct{ images, h, w, cin, cout, k, stride int }

func (s lowShape) String() string {
	return fmt.Sprintf("%dx%dx%dx%d-%d k%d s%d", s.images, s.h, s.w, s.cin, s.cout, s.k, s.stride)
}

func anyLowShape(t *rapid.T) lowShape {
	pick := func(name string, hi int) int { return rapid.IntRange(1, hi).Draw(t, name) }
	of := func(name string, hi int, more ...int) int {
		return rapid.OneOf(rapid.IntRange(1, hi), rapid.SampledFrom(more)).Draw(t, name)
	}
	return lowShape{pick("images", 3), pick("h", 7), of("w", 7, 16, 31, 32, 33, 48), of("cin", 21, 32, 64, 65, 128), pick("cout", 70),
		rapid.SampledFrom([]int{1, 3}).Draw(t, "k"), pick("stride", 2)}
}

// lowCase is a convolution with operands.
type lowCase struct {
	lowShape
	conv                      *LowConv
	in                        *LowImage
	x, weight, bias, residual []float32
	inScale                   float32
}

func newLowCase(s lowShape, f LowFormat, seed uint64) *lowCase {
	rng := rand.New(rand.NewPCG(seed, 7))
	fill := func(n int, lo float32) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = lo + (1-lo)*rng.Float32()
		}
		return v
	}
	c := &lowCase{lowShape: s, inScale: 1. / 255,
		x: fill(s.images*s.h*s.w*s.cin, 0), weight: fill(s.cout*s.k*s.k*s.cin, -1), bias: fill(s.cout, -1)}
	c.conv = NewLowConv(f, s.images, s.h, s.w, s.cin, s.cout, s.k, s.stride)
	c.conv.SetWeights(PackLow(c.conv.Format, c.cin, c.cout, c.k, c.weight, c.bias), c.inScale)
	c.in = NewLowImage(f, s.images, s.h, s.w, s.cin)
	c.in.Set(c.x, c.inScale)
	c.residual = fill(c.values(), -1)
	return c
}

func (c *lowCase) values() int { return c.images * c.conv.Ho * c.conv.Wo * c.cout }

// apply runs the convolution with every output and returns them.
func (c *lowCase) apply() ([]float32, []byte) {
	out := make([]float32, c.values())
	low := NewLowImage(c.conv.Format, c.images, c.conv.Ho, c.conv.Wo, c.cout)
	c.conv.Apply(c.in, LowOutput{Residual: c.residual, Float: out, Low: low, Scale: 0.02, ReLU: true})
	return out, low.data
}

// reference is the convolution in float64.
func (c *lowCase) reference() []float64 {
	out := make([]float64, 0, c.values())
	for n := range c.images {
		for y := range c.conv.Ho {
			for x := range c.conv.Wo {
				for o := range c.cout {
					s := float64(c.bias[o]) + float64(c.residual[len(out)])
					for t := range c.k * c.k {
						iy, ix := y*c.stride+t/c.k-c.k/2, x*c.stride+t%c.k-c.k/2
						if iy < 0 || iy >= c.h || ix < 0 || ix >= c.w {
							continue
						}
						for i := range c.cin {
							s += float64(c.x[((n*c.h+iy)*c.w+ix)*c.cin+i]) * float64(c.weight[(o*c.k*c.k+t)*c.cin+i])
						}
					}
					out = append(out, max(s, 0))
				}
			}
		}
	}
	return out
}

// onEachLowPath runs f in plain Go and with each of this CPU's instructions for
// the format. Where a CPU has AVX-512 but no AMX, AMX's way through the blocks is
// among them, with sums in plain Go.
func onEachLowPath(f LowFormat, run func(path string)) {
	saved := active
	defer func() { active = saved }()
	tried := map[lowKernels]bool{}
	for _, p := range slices.Backward(available()) {
		if !tried[p.low[f]] {
			tried[p.low[f]] = true
			active = p
			run(p.name)
		}
	}
	if tried[lowAVX512] && !tried[lowAMX] {
		active.low[f] = lowAMX
		run("blocks")
	}
}

func TestEveryInstructionIsTried(t *testing.T) {
	for _, f := range []LowFormat{Int8, BFloat16} {
		var tried []string
		onEachLowPath(f, func(string) { tried = append(tried, LowPath(f)) })
		t.Logf("%s is tested on %q", f, tried)
		for _, p := range available() {
			if name := lowNames[p.low[f]]; !slices.Contains(tried, name) {
				t.Errorf("%s on %q, path %s, is not tried", f, name, p.name)
			}
		}
		if f == Int8 && !slices.Contains(tried, "amx") {
			t.Log("AMX is NOT tested: this CPU has none, or the system forbids it")
		}
	}
}

// TestLowConvInt8IsExact holds the instructions' results equal to the plain
// ones, to the bit, on awkward shapes.
func TestLowConvInt8IsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newLowCase(anyLowShape(rt), Int8, rapid.Uint64().Draw(rt, "seed"))
		var float [][]float32
		var low [][]byte
		onEachLowPath(Int8, func(string) {
			c.in.Set(c.x, c.inScale)
			a, b := c.apply()
			float, low = append(float, a), append(low, b)
		})
		for i := range float[1:] {
			if !slices.Equal(float[i+1], float[0]) || !slices.Equal(low[i+1], low[0]) {
				rt.Fatalf("%v: paths differ", c)
			}
		}
	})
}

// TestLowConvBounds holds the results within what rounding the operands can do.
func TestLowConvBounds(t *testing.T) {
	for _, f := range []LowFormat{Int8, BFloat16} {
		t.Run(f.String(), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				c := newLowCase(anyLowShape(rt), f, rapid.Uint64().Draw(rt, "seed"))
				want := c.reference()
				depth := float64(c.cin * c.k * c.k)
				// Each operand is at most 1: a product is off by at most the
				// sum of both rounding errors.
				bound := depth * (0.5/255 + 0.5/127 + 1e-4)
				if f == BFloat16 {
					bound = depth * (2./512 + 1e-4)
				}
				onEachLowPath(f, func(path string) {
					got, low := c.apply()
					for i, v := range got {
						if d := math.Abs(float64(v) - want[i]); d > bound+1e-5 {
							rt.Fatalf("%v on %s: value %d is %g, want %g within %g", c, path, i, v, want[i], bound)
						}
					}
					m := NewLowImage(f, c.images, c.conv.Ho, c.conv.Wo, c.cout)
					m.Set(got, 0.02)
					if !slices.Equal(m.data, low) {
						rt.Fatalf("%v on %s: the low output is not the rounded float output, or its border is not zero", c, path)
					}
				})
			})
		})
	}
}

func TestLowConvExtremes(t *testing.T) {
	s := lowShape{1, 2, 3, 64, 33, 3, 1}
	c := newLowCase(s, Int8, 1)
	for i := range c.x {
		c.x[i] = 9 // far above 255 activations of 1/255
	}
	for i := range c.weight {
		c.weight[i] = 1 - 2*float32(i/(9*s.cin)%2)
	}
	clear(c.bias)
	c.conv.SetWeights(PackLow(c.conv.Format, c.cin, c.cout, c.k, c.weight, c.bias), c.inScale)
	onEachLowPath(Int8, func(path string) {
		c.in.Set(c.x, c.inScale)
		out := make([]float32, c.values())
		c.conv.Apply(c.in, LowOutput{Float: out})
		for i, v := range out {
			want := float32(4 * s.cin) // four taps of a corner see the image
			if i/s.cout%3 == 1 {
				want = float32(6 * s.cin)
			}
			if i%s.cout%2 == 1 {
				want = -want
			}
			if math.Abs(float64(v-want)) > 1e-3 {
				t.Fatalf("%s: value %d is %g, want %g", path, i, v, want)
			}
		}
		low := NewLowImage(Int8, 1, 2, 3, s.cout)
		c.conv.Apply(c.in, LowOutput{Low: low, Scale: 1, ReLU: true})
		for i, at := range low.at {
			for o := range s.cout {
				want := byte(255)
				if o%2 == 1 {
					want = 0
				}
				if got := low.data[int(at)+o]; got != want {
					t.Fatalf("%s: position %d channel %d is %d, want %d", path, i, o, got, want)
				}
			}
		}
	})
}

func TestLowConvThreadsAgree(t *testing.T) {
	saved := Threads()
	defer SetThreads(saved)
	for _, f := range []LowFormat{Int8, BFloat16} {
		c := newLowCase(lowShape{3, 17, 9, 64, 96, 3, 1}, f, 3)
		var first []float32
		for _, n := range []int{1, 2, 3, 7} {
			SetThreads(n)
			got, _ := c.apply()
			if first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Fatalf("%s: %d threads give another result than one", f, n)
			}
		}
	}
}

func TestLowConvAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	for _, f := range []LowFormat{Int8, BFloat16} {
		c := newLowCase(lowShape{1, 34, 34, 32, 32, 3, 1}, f, 3)
		out := make([]float32, c.values())
		if n := testenv.AllocsPerRun(10, func() { c.in.Set(c.x, 1); c.conv.Apply(c.in, LowOutput{Float: out}) }); n > 0 {
			t.Errorf("%s: %v allocations", f, n)
		}
	}
}

func TestBFloat16Bits(t *testing.T) {
	for _, c := range []struct {
		in   float32
		want uint16
	}{
		{0, 0}, {1, 0x3f80}, {-2, 0xc000},
		{math.Float32frombits(0x3f808000), 0x3f80}, // a tie to even, down
		{math.Float32frombits(0x3f818000), 0x3f82}, // a tie to even, up
		{math.Float32frombits(0x3f808001), 0x3f81},
		{math.Float32frombits(0x007fffff), 0}, // below the normal numbers
		{math.Float32frombits(0x80000001), 0x8000},
		{math.MaxFloat32, 0x7f80}, {float32(math.Inf(-1)), 0xff80},
	} {
		if got := BFloat16Bits(c.in); got != c.want {
			t.Errorf("BFloat16Bits(%g) = %#x, want %#x", c.in, got, c.want)
		}
	}
	if got := BFloat16Bits(float32(math.NaN())); got&0x7f80 != 0x7f80 || got&0x7f == 0 {
		t.Errorf("BFloat16Bits(NaN) = %#x, no NaN", got)
	}
}

func BenchmarkLowConv(b *testing.B) {
	shapes := []lowShape{{3, 136, 32, 64, 64, 3, 1}, {3, 136, 32, 64, 128, 3, 2}, {3, 68, 16, 128, 128, 3, 1}, {3, 34, 8, 256, 256, 3, 1},
		{3, 17, 4, 512, 512, 3, 1}, {3, 34, 8, 256, 512, 1, 2}}
	for _, f := range []LowFormat{Int8, BFloat16} {
		for _, s := range shapes {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/%v/%d", f, s, threads), func(b *testing.B) {
					saved := Threads()
					defer SetThreads(saved)
					SetThreads(threads)
					c := newLowCase(s, f, 1)
					out := make([]float32, c.values())
					low := NewLowImage(f, s.images, c.conv.Ho, c.conv.Wo, s.cout)
					best := math.Inf(1)
					for b.Loop() {
						start := time.Now()
						c.conv.Apply(c.in, LowOutput{Residual: c.residual, Float: out, Low: low, Scale: 0.1, ReLU: true})
						best = min(best, float64(time.Since(start)))
					}
					b.ReportMetric(float64(c.values()*s.cin*s.k*s.k)/best, "best-GMAC/s")
					b.ReportMetric(best/1e6, "best-ms")
				})
			}
		}
	}
}

// Rows of a matrix as weights give what the same numbers packed give.
func TestLowRowsAreWeights(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.IntRange(1, 40).Draw(rt, "rows")
		in := rapid.OneOf(rapid.IntRange(1, 70), rapid.SampledFrom([]int{128, 136})).Draw(rt, "in")
		out := rapid.IntRange(1, 100).Draw(rt, "out")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 9))
		fill := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = rng.Float32() - 0.5
			}
			return v
		}
		x, w := NewLowMatrix(BFloat16, rows, in), fill(out*in)
		x.Set(fill(rows*in), 1)
		m, p := NewLowMatrix(BFloat16, out, in), NewLowRows(BFloat16, in, out)
		c := NewLowLinear(BFloat16, rows, in, out)
		onEachLowPath(BFloat16, func(path string) {
			apply := func(w *LowWeights) []float32 {
				y := make([]float32, rows*out)
				c.SetWeights(w, 1)
				c.Apply(x, LowOutput{Float: y})
				return y
			}
			p.SetRows(m) // of zeros: none may stay
			m.Set(w, 1)
			p.SetRows(m)
			if !slices.Equal(apply(p), apply(PackLow(BFloat16, in, out, 1, w, nil))) {
				rt.Fatalf("%dx%d-%d on %s: rows as weights give something else", rows, in, out, path)
			}
			m.Set(make([]float32, out*in), 1)
		})
	})
}
