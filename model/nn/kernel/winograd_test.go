package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naiveConv is the 3 x 3 convolution in float64.
func naiveConv[T Float](x, w []T, n, h, wd, cin, cout int) []float64 {
	y := make([]float64, n*h*wd*cout)
	eachTap(n, h, wd, func(in, out, tap int) {
		for o := range cout {
			for i := range cin {
				y[out*cout+o] += float64(x[in*cin+i]) * float64(w[(o*cin+i)*9+tap])
			}
		}
	})
	return y
}

// eachTap calls f for every pair of pixels a 3 x 3 filter joins.
func eachTap(n, h, wd int, f func(in, out, tap int)) {
	for i := range n {
		for y := range h {
			for x := range wd {
				for t := range 9 {
					if v, u := y+t/3-1, x+t%3-1; v >= 0 && v < h && u >= 0 && u < wd {
						f((i*h+v)*wd+u, (i*h+y)*wd+x, t)
					}
				}
			}
		}
	}
}

func normal[T Float](rng *rand.Rand, n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(rng.NormFloat64())
	}
	return x
}

// errorOf returns the root mean square of got - want relative to that of want
// or, where that is small by chance, to the usual size of such values, and the
// largest difference relative to it.
func errorOf[T Float](got []T, want []float64, usual float64) (rms, largest float64) {
	var e, s float64
	for i, w := range want {
		d := float64(got[i]) - w
		e += d * d
		s += w * w
		largest = max(largest, math.Abs(d))
	}
	n := float64(len(want))
	size := max(math.Sqrt(s/n), usual)
	return math.Sqrt(e/n) / size, largest / size
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkWinograd compares output, input gradient and weight gradient with the
// naive convolution: tol bounds the root mean square of the difference relative
// to that of the values.
func checkWinograd[T Float](t failer, seed uint64, n, h, wd, cin, cout int, relu bool, tol float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	s := new(Scratch[T])
	x, w, res, bias := normal[T](rng, n*h*wd*cin), normal[T](rng, cout*cin*9), normal[T](rng, n*h*wd*cout), normal[T](rng, cout)
	dy, scale := normal[T](rng, n*h*wd*cout), normal[T](rng, cout)
	for i := range scale {
		scale[i] = 0.5 + 0.2*min(max(scale[i], -2), 2)
	}
	check := func(what string, got []T, want []float64, terms int) {
		t.Helper()
		if rms, top := errorOf(got, want, math.Sqrt(float64(terms))); !(rms <= tol && top <= 12*tol) {
			t.Fatalf("%s %dx%dx%d %d->%d: %s is off by %.3g, at most %.3g", Path(), n, h, wd, cin, cout, what, rms, top)
		}
	}

	g := Winograd[T]{H: h, W: wd, Cin: cin, Cout: cout, Scratch: s}
	u := make([]T, g.WeightLen())
	g.Pack(u, w, nil, false)
	y := make([]T, len(res))
	g.Forward(u, x, y, n, ConvEpilogue[T]{})
	want := naiveConv(x, w, n, h, wd, cin, cout)
	check("plain output", y, want, 9*cin)

	g.Pack(u, w, scale, false)
	copy(y, res)
	g.Forward(u, x, y, n, ConvEpilogue[T]{Bias: bias, Res: y, ReLU: relu})
	for i := range want {
		want[i] = want[i]*float64(scale[i%cout]) + float64(bias[i%cout]) + float64(res[i])
		if relu {
			want[i] = max(want[i], 0)
		}
	}
	check("output", y, want, 9*cin)

	wantX, wantW := make([]float64, len(x)), make([]float64, len(w))
	eachTap(n, h, wd, func(in, out, tap int) {
		for o := range cout {
			for i := range cin {
				d := float64(dy[out*cout+o])
				wantX[in*cin+i] += d * float64(w[(o*cin+i)*9+tap])
				wantW[(o*cin+i)*9+tap] += d * float64(x[in*cin+i])
			}
		}
	})
	back := Winograd[T]{H: h, W: wd, Cin: cout, Cout: cin, Scratch: s}
	ub := make([]T, back.WeightLen())
	back.Pack(ub, w, nil, true)
	dx := make([]T, len(x))
	back.Forward(ub, dy, dx, n, ConvEpilogue[T]{})
	check("input gradient", dx, wantX, 9*cout)
	dw := make([]T, len(w))
	g.Gradient(x, dy, dw, n)
	check("weight gradient", dw, wantW, n*h*wd)
}

// F(4x4) in float32 stays within a few units in the last place of the naive
// convolution in float64, and in float64 agrees with it.
func TestWinogradEqualsNaiveConvolution(t *testing.T) {
	defer SetThreads(Threads())
	defer func(n int) { manyWeights = n }(manyWeights)
	onEachPath(t, func(t *testing.T) {
		for _, s := range [][5]int{{1, 1, 1, 1, 1}, {1, 4, 4, 16, 16}, {2, 5, 7, 3, 5}, {1, 17, 4, 32, 48}, {3, 13, 9, 17, 33}, {2, 8, 8, 64, 64}, {1, 1, 9, 8, 24}, {5, 3, 1, 40, 7}} {
			for _, threads := range []int{1, 3, 4} {
				SetThreads(threads)
				manyWeights = threads & 1 << 30 // 4 threads share the weights
				checkWinograd[float32](t, 1, s[0], s[1], s[2], s[3], s[4], threads == 1, 3e-6)
			}
			checkWinograd[float64](t, 1, s[0], s[1], s[2], s[3], s[4], false, 1e-14)
		}
		rapid.Check(t, func(r *rapid.T) {
			SetThreads(rapid.IntRange(1, 4).Draw(r, "threads"))
			manyWeights = rapid.IntRange(0, 1).Draw(r, "tiles shared") << 30
			d := func(name string, most int) int { return rapid.IntRange(1, most).Draw(r, name) }
			checkWinograd[float32](r, uint64(d("seed", 1000)), d("n", 3), d("h", 11), d("w", 11), d("cin", 40), d("cout", 40), rapid.Bool().Draw(r, "relu"), 3e-6)
		})
	})
}

// A value that is not a number shows in the outputs it reaches, ReLU or not.
func TestWinogradKeepsNaN(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		const h, w, c = 9, 9, 19
		g := Winograd[float32]{H: h, W: w, Cin: c, Cout: c, Scratch: new(Scratch[float32])}
		u, x, y := make([]float32, g.WeightLen()), make([]float32, h*w*c), make([]float32, h*w*c)
		g.Pack(u, normal[float32](rand.New(rand.NewPCG(1, 1)), c*c*9), nil, false)
		x[(4*w+4)*c+3] = float32(math.NaN())
		for _, relu := range []bool{false, true} {
			g.Forward(u, x, y, 1, ConvEpilogue[float32]{ReLU: relu})
			for ch := range c {
				if v := y[(5*w+3)*c+ch]; v == v {
					t.Fatalf("relu %v: channel %d is %g beside a NaN", relu, ch, v)
				}
				if v := y[ch]; v != v {
					t.Fatalf("relu %v: channel %d far from the NaN is one", relu, ch)
				}
			}
		}
	})
}

func TestWinogradDoesNotDependOnThreads(t *testing.T) {
	defer SetThreads(Threads())
	const n, h, w, cin, cout = 3, 22, 10, 24, 40
	rng := rand.New(rand.NewPCG(1, 1))
	x, wt, dy := normal[float32](rng, n*h*w*cin), normal[float32](rng, cin*cout*9), normal[float32](rng, n*h*w*cout)
	defer func(n int) { manyWeights = n }(manyWeights)
	manyWeights = 0
	onEachPath(t, func(t *testing.T) {
		run := func(threads int) (y, dw []float32) {
			SetThreads(threads)
			g := Winograd[float32]{H: h, W: w, Cin: cin, Cout: cout, Scratch: new(Scratch[float32])}
			u := make([]float32, g.WeightLen())
			y, dw = make([]float32, len(dy)), make([]float32, len(wt))
			g.Pack(u, wt, nil, false)
			g.Forward(u, x, y, n, ConvEpilogue[float32]{})
			g.Gradient(x, dy, dw, n)
			return y, dw
		}
		y1, d1 := run(1)
		for _, threads := range []int{2, 3, 7, 16} {
			y, d := run(threads)
			for i := range y {
				if y[i] != y1[i] {
					t.Fatalf("%d threads: output %d is %g, with one %g", threads, i, y[i], y1[i])
				}
			}
			for i := range d {
				if d[i] != d1[i] {
					t.Fatalf("%d threads: weight gradient %d is %g, with one %g", threads, i, d[i], d1[i])
				}
			}
		}
	})
}

func BenchmarkWinograd(b *testing.B) {
	defer SetThreads(Threads())
	for _, s := range [][4]int{{3, 136, 32, 64}, {3, 68, 16, 128}, {3, 34, 8, 256}, {3, 17, 4, 512}, {48, 17, 4, 512}} {
		n, h, w, c := s[0], s[1], s[2], s[3]
		g := Winograd[float32]{H: h, W: w, Cin: c, Cout: c, Scratch: new(Scratch[float32])}
		rng := rand.New(rand.NewPCG(1, 1))
		x, wt := normal[float32](rng, n*h*w*c), normal[float32](rng, c*c*9)
		y, dw, bias, u := make([]float32, len(x)), make([]float32, len(wt)), make([]float32, c), make([]float32, g.WeightLen())
		g.Pack(u, wt, nil, false)
		for _, op := range []struct {
			name string
			f    func()
		}{
			{"forward", func() { g.Forward(u, x, y, n, ConvEpilogue[float32]{Bias: bias, ReLU: true}) }},
			{"weights", func() { g.Gradient(x, y, dw, n) }},
			{"pack", func() { g.Pack(u, wt, nil, false) }},
		} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/%dx%dx%dx%d/threads=%d", op.name, n, h, w, c, threads), func(b *testing.B) {
					SetThreads(threads)
					op.f()
					best := time.Duration(math.MaxInt64)
					for b.Loop() {
						start := time.Now()
						op.f()
						best = min(best, time.Since(start))
					}
					b.ReportMetric(18*float64(n*h*w*c*c)/best.Seconds()/1e9, "best-GFLOP/s")
				})
			}
		}
	}
}
