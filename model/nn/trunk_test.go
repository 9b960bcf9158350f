package nn

import (
	"fmt"
	"math"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model/nn/kernel"
)

// relativeError returns the root mean square of got - want and the largest
// difference, both relative to the root mean square of want.
func relativeError(got []float32, want []float64) (rms, largest float64) {
	var e, s float64
	for i, w := range want {
		d := float64(got[i]) - w
		e += d * d
		s += w * w
		largest = max(largest, math.Abs(d))
	}
	return math.Sqrt(e / s), largest / math.Sqrt(s/float64(len(want)))
}

// calibrate gives the folded trunk running statistics that fit x, so that the
// activations neither grow nor vanish with depth.
func calibrate[T Float](t *trunk[T], s *Store[T], x []T, b int) {
	t.ctx.Mode = Train
	for range 8 {
		t.forward(x, b)
	}
	t.ctx.Mode = Eval
	t.fold()
}

// copyStore takes over the values of a float32 store.
func copyStore(dst *Store[float64], src *Store[float32]) {
	for i, t := range src.All {
		for j, v := range t.Value {
			dst.All[i].Value[j] = float64(v)
		}
	}
}

// direct switches Winograd's algorithm off.
func (t *trunk[T]) direct() {
	for _, b := range t.blocks {
		if b, ok := b.(*BasicBlock[T]); ok {
			for _, u := range []*Unit[T]{b.c1, b.c2} {
				c := u.Lin.(*Conv2d[T])
				c.wino, c.back, c.folded = nil, nil, foldedConv[T]{}
			}
		}
	}
}

// The float32 features of a trunk are as good as those of the direct
// convolution: within 1e-5 of the float64 ones.
func TestTrunkErrorIsSmall(t *testing.T) {
	s, s64 := NewStore[float32](1), NewStore[float64](1)
	a := newTrunk(s, Eval, 34, 12, 16, 2, 2, 2, 1)
	b := newTrunk(s64, Eval, 34, 12, 16, 2, 2, 2, 1)
	b.direct()
	x := uniform[float32](2 * a.in)
	calibrate(a, s, x, 2)
	copyStore(s64, s)
	b.fold()
	got := a.forward(x, 2)
	want := b.forward(uniform[float64](2*b.in), 2)
	rms, top := relativeError(got, want)
	t.Logf("relative error: root mean square %.2g, largest %.2g", rms, top)
	if !(rms < 1e-5 && top < 1e-4) {
		t.Errorf("relative error: root mean square %.2g, largest %.2g", rms, top)
	}
}

// The same for the gradients of a training step, by Winograd's algorithm and by
// direct convolution: both stray where a ReLU's input is a rounding error away
// from 0.
func TestTrunkGradientErrorIsSmall(t *testing.T) {
	gradients := func(a *trunk[float64], s *Store[float64], x, dy []float64) (g []float64) {
		a.forward(x, 2)
		a.backward(append([]float64(nil), dy...))
		for _, p := range s.All {
			g = append(g, p.Grad...)
		}
		return g
	}
	s64 := NewStore[float64](1)
	ref := newTrunk(s64, Train, 34, 12, 16, 2, 2, 2, 1)
	ref.direct()
	size := len(ref.forward(uniform[float64](2*ref.in), 2))
	dy := randomValues(size)
	want := gradients(ref, s64, uniform[float64](2*ref.in), dy)
	for _, direct := range []bool{false, true} {
		s := NewStore[float32](1)
		for i, p := range s64.All {
			q := s.Tensor(p.Name, p.Kind, p.FanIn, p.FanOut, p.Shape...)
			for j := range q.Value {
				q.Value[j] = float32(s64.All[i].Value[j])
			}
		}
		a := newTrunk(s, Train, 34, 12, 16, 2, 2, 2, 1)
		if direct {
			a.direct()
		}
		a.forward(uniform[float32](2*a.in), 2)
		a.backward(narrow[float32](dy))
		var got []float32
		for _, p := range s.All {
			got = append(got, p.Grad...)
		}
		rms, top := relativeError(got, want)
		t.Logf("direct %v: relative error: root mean square %.2g, largest %.2g", direct, rms, top)
		if !(rms < 1e-4) {
			t.Errorf("direct %v: relative error: root mean square %.2g, largest %.2g", direct, rms, top)
		}
	}
}

func TestTrunkInferenceAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	defer kernel.SetThreads(kernel.Threads())
	a := newTrunk(NewStore[float32](1), Eval, 20, 8, 16, 1, 1)
	a.fold()
	x := uniform[float32](a.in)
	for _, threads := range []int{1, 2} {
		kernel.SetThreads(threads)
		a.forward(x, 1)
		if n := testenv.AllocsPerRun(20, func() { a.forward(x, 1) }); n > 0 {
			t.Errorf("%d threads: %g allocations per pass, want 0", threads, n)
		}
	}
}

// A step's results do not depend on the number of threads.
func TestTrunkStepDoesNotDependOnThreads(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	run := func(threads int) (y []float32, s *Store[float32]) {
		kernel.SetThreads(threads)
		s = NewStore[float32](1)
		a := newTrunk(s, Train, 19, 9, 16, 1, 1)
		y = append(y, a.forward(uniform[float32](2*a.in), 2)...)
		a.backward(append([]float32(nil), y...))
		return y, s
	}
	y1, s1 := run(1)
	for _, threads := range []int{2, 3} {
		y, s := run(threads)
		for i := range y {
			if y[i] != y1[i] {
				t.Fatalf("%d threads: output %d is %v, with one %v", threads, i, y[i], y1[i])
			}
		}
		for i, p := range s.All {
			for j := range p.Grad {
				if p.Grad[j] != s1.All[i].Grad[j] {
					t.Fatalf("%d threads: gradient of %s differs", threads, p.Name)
				}
			}
		}
	}
}

// BenchmarkTrunkError reports the error of the paper-size trunk's features
// against float64, by Winograd's algorithm and by direct convolution.
func BenchmarkTrunkError(b *testing.B) {
	s, s64 := NewStore[float32](1), NewStore[float64](1)
	t := newTrunk(s, Eval, 136, 32, 64, 3, 4, 6, 3)
	ref := newTrunk(s64, Eval, 136, 32, 64, 3, 4, 6, 3)
	x := uniform[float32](t.in)
	calibrate(t, s, x, 1)
	copyStore(s64, s)
	ref.fold()
	want := append([]float64(nil), ref.forward(uniform[float64](ref.in), 1)...)
	for _, direct := range []bool{false, true} {
		b.Run(fmt.Sprintf("direct=%v", direct), func(b *testing.B) {
			if direct {
				t.direct()
				t.fold()
			}
			for b.Loop() {
				t.forward(x, 1)
			}
			rms, top := relativeError(t.forward(x, 1), want)
			b.ReportMetric(rms*1e6, "rms-ppm")
			b.ReportMetric(top*1e6, "max-ppm")
		})
	}
}
