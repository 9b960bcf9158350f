package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// countRuns counts how often each index runs; inner is split once more.
type countRuns struct {
	hits  []atomic.Int32
	inner int
}

func (c *countRuns) Run(lo, hi int) {
	for i := lo; i < hi; i++ {
		Parallel(c.inner, func(a, b int) { c.hits[i].Add(int32(b - a)) })
	}
}

// Each runs every index once, more of them than the queue has room for, and
// from several goroutines whose tasks split their work again.
func TestEachCoversEveryIndexOnce(t *testing.T) {
	defer SetThreads(Threads())
	for _, threads := range []int{1, 2, 5} {
		SetThreads(threads)
		for _, n := range []int{0, 1, 2, 4, 100} {
			var callers sync.WaitGroup
			for range 3 {
				callers.Go(func() {
					c := &countRuns{hits: make([]atomic.Int32, n), inner: 7}
					Each(n, c)
					for i := range c.hits {
						if h := c.hits[i].Load(); h != 7 {
							t.Errorf("threads=%d, n=%d: the 7 parts of index %d ran %d times", threads, n, i, h)
						}
					}
				})
			}
			callers.Wait()
		}
	}
}

// Workers that fewer threads leave over end once they have had a job.
func TestWorkersAreNoMoreThanThreads(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(5)
	Parallel(5, func(int, int) {})
	if n := workers.Load(); n < 4 {
		t.Fatalf("%d workers for 5 threads", n)
	}
	SetThreads(2)
	for range 10_000 {
		Parallel(2, func(int, int) { runtime.Gosched() })
		if workers.Load() == 1 {
			return
		}
	}
	t.Errorf("%d workers for 2 threads, want 1", workers.Load())
}

// BenchmarkDo is what splitting costs: two parts that do nothing.
func BenchmarkDo(b *testing.B) {
	defer SetThreads(Threads())
	SetThreads(2)
	nothing := taskFunc(func(int, int) {})
	b.ReportAllocs()
	for b.Loop() {
		Do(2, 1, nothing)
	}
}

// One that is held up in a piece of the work leaves the rest to the others.
func TestHeldUpThreadHoldsUpOneChunk(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(2)
	const n = 64
	rest := make(chan int, n)
	var held atomic.Int32
	Parallel(n, func(lo, hi int) {
		if lo > 0 {
			rest <- hi - lo
			return
		}
		held.Store(int32(hi))
		for done := hi; done < n; {
			done += <-rest // until everything else has run
		}
	})
	if h := held.Load(); h == 0 || h > n/chunksPerThread {
		t.Errorf("the first chunk holds %d of %d indices", h, n)
	}
}

// Callers who each have a core do their own work whole; who is done leaves its
// core to the others.
func TestOccupiedCoresDoNotHelp(t *testing.T) {
	defer SetThreads(Threads())
	SetThreads(2)
	chunks := func() (n int) {
		var count atomic.Int32
		Parallel(64, func(int, int) { count.Add(1) })
		Do(64, 1, taskFunc(func(int, int) { count.Add(1) }))
		Each(1, taskFunc(func(int, int) {}))
		return int(count.Load())
	}
	first, second := Occupy(), Occupy()
	if n := chunks(); n != 2 {
		t.Errorf("two occupy two cores: two calls ran in %d pieces", n)
	}
	second()
	if n := chunks(); n <= 4 {
		t.Errorf("one of two is done: two calls ran in %d pieces", n)
	}
	first()
	if n := chunks(); n <= 4 {
		t.Errorf("none occupies a core: two calls ran in %d pieces", n)
	}
}
