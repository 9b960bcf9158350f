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
