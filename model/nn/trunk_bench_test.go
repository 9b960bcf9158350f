package nn

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"posefuse/model/nn/kernel"
)

// trunk is the image part of the WiFi encoder: its stem and residual stages.
type trunk[T Float] struct {
	ctx    *Context
	blocks []Block[T]
	in     int   // values per sample
	flop   int64 // of the forward convolutions per sample, as direct ones
}

// newTrunk builds the stages on 3 antennas of 114 x 10; the paper's network has
// 136 x 32 images, base 64 and 3, 4, 6, 3 blocks.
func newTrunk[T Float](s *Store[T], mode Mode, h, w, base int, counts ...int) *trunk[T] {
	const antennas = 3
	t := &trunk[T]{ctx: &Context{Mode: mode}, in: antennas * 114 * 10}
	add := func(h, w, k, cin, cout int) {
		t.flop += 2 * antennas * int64(h*w*k*k*cin*cout)
	}
	t.blocks = append(t.blocks, NewImageStem(s, t.ctx, "csi", antennas, 114, 10, h, w, base))
	add(h, w, 3, 1, base)
	c := base
	for i, n := range counts {
		for j := range n {
			out, stride := base<<i, 1
			if i > 0 && j == 0 {
				stride = 2
			}
			t.blocks = append(t.blocks, NewBasicBlock(s, t.ctx, fmt.Sprintf("csi.layer%d.%d", i+1, j), antennas, c, out, stride, h, w))
			h, w = (h-1)/stride+1, (w-1)/stride+1
			add(h, w, 3, c, out)
			add(h, w, 3, out, out)
			if stride > 1 {
				add(h, w, 1, c, out)
			}
			c = out
		}
	}
	return t
}

func (t *trunk[T]) forward(x []T, b int) []T {
	for _, k := range t.blocks {
		x = k.Forward(x, b)
	}
	return x
}

func (t *trunk[T]) backward(dy []T) {
	for i := len(t.blocks) - 1; i >= 0; i-- {
		dy = t.blocks[i].Backward(dy)
	}
}

func (t *trunk[T]) fold() {
	for _, k := range t.blocks {
		k.Fold()
	}
}

func uniform[T Float](n int) []T {
	x := make([]T, n)
	for i, v := range randomValues(n) {
		x[i] = T(0.5 + 0.1*v)
	}
	return x
}

// timed runs f for the benchmark and reports the arithmetic rate of all rounds
// and of the fastest one, which other processes disturb least.
func timed(b *testing.B, flop int64, f func()) {
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(float64(flop)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(float64(flop)/best.Seconds()/1e9, "best-GFLOP/s")
}

func onThreads(b *testing.B, name string, f func(b *testing.B)) {
	defer kernel.SetThreads(kernel.Threads())
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprintf("%s/threads=%d", name, n), func(b *testing.B) {
			kernel.SetThreads(n)
			f(b)
		})
	}
}

// BenchmarkTrunkInfer runs the paper-size trunk for one sample.
func BenchmarkTrunkInfer(b *testing.B) {
	t := newTrunk(NewStore[float32](1), Eval, 136, 32, 64, 3, 4, 6, 3)
	t.fold()
	x := uniform[float32](t.in)
	onThreads(b, "batch=1", func(b *testing.B) {
		t.forward(x, 1)
		b.ReportAllocs()
		timed(b, t.flop, func() { t.forward(x, 1) })
	})
}

// BenchmarkTrunkTrain runs forward and backward pass of the paper-size trunk
// for 16 samples.
func BenchmarkTrunkTrain(b *testing.B) {
	const batch = 16
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewStore[float32](1)
	t := newTrunk(s, Train, 136, 32, 64, 3, 4, 6, 3)
	x := uniform[float32](batch * t.in)
	var dy []float32
	step := func() {
		y := t.forward(x, batch)
		if dy == nil {
			dy = make([]float32, len(y))
		}
		for i := range dy {
			dy[i] = 1e-3 * float32(i%7-3)
		}
		t.backward(dy)
	}
	onThreads(b, fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
		step()
		b.ReportAllocs()
		timed(b, 3*batch*t.flop, step)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
	})
}

// BenchmarkTrunkLayer runs single convolutions of the paper-size trunk:
// inference of one sample, forward and backward pass of four.
func BenchmarkTrunkLayer(b *testing.B) {
	for _, l := range []struct{ cin, cout, k, stride, h, w int }{
		{1, 64, 3, 1, 136, 32}, {64, 64, 3, 1, 136, 32}, {64, 128, 3, 2, 136, 32}, {64, 128, 1, 2, 136, 32},
		{128, 128, 3, 1, 68, 16}, {128, 256, 3, 2, 68, 16}, {256, 256, 3, 1, 34, 8}, {256, 512, 3, 2, 34, 8}, {512, 512, 3, 1, 17, 4},
	} {
		s, ctx := NewStore[float32](1), &Context{Mode: Train}
		c := NewConv2d(s, "c", l.cin, l.cout, l.k, l.stride, l.h, l.w)
		c.fold(NewBatchNorm(s, ctx, "bn", l.cout, 3))
		flop := 2 * int64(c.Ho*c.Wo*c.depth()*c.Cout)
		x, y := uniform[float32](12*l.h*l.w*l.cin), uniform[float32](12*c.Ho*c.Wo*l.cout)
		dx := make([]float32, len(x))
		name := fmt.Sprintf("%dx%d,%d-%d,k%d,s%d", l.h, l.w, l.cin, l.cout, l.k, l.stride)
		onThreads(b, "infer/"+name, func(b *testing.B) {
			timed(b, 3*flop, func() { c.forwardFolded(x, y, 3, true) })
		})
		onThreads(b, "forward/"+name, func(b *testing.B) {
			timed(b, 12*flop, func() { c.Forward(x, y, 12) })
		})
		onThreads(b, "backward/"+name, func(b *testing.B) {
			timed(b, 24*flop, func() { c.Backward(x, y, dx, 0, 12) })
		})
	}
}
