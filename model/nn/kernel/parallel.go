package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Task is work on a range of indices that can be split among threads. Keeping
// a Task in a long-lived struct, rather than a closure, costs no allocation.
type Task interface {
	// Run works on indices lo..hi-1.
	Run(lo, hi int)
}

type taskFunc func(lo, hi int)

func (f taskFunc) Run(lo, hi int) { f(lo, hi) }

type job struct {
	task   Task
	lo, hi int
	done   *sync.WaitGroup
}

var (
	threads atomic.Int32
	jobs    = make(chan job, 64)
	workers atomic.Int32
	groups  = sync.Pool{New: func() any { return new(sync.WaitGroup) }}
)

func init() { threads.Store(int32(runtime.NumCPU())) }

// SetThreads sets how many threads one call may use, at least 1. Worker
// goroutines start on first use and stay for the life of the process.
func SetThreads(n int) { threads.Store(int32(max(n, 1))) }

// Threads returns the number set by SetThreads; it starts as the number of CPUs.
func Threads() int { return int(threads.Load()) }

// Parallel splits 0..n-1 among the kernel's threads and waits for all. It may
// be called from inside f.
func Parallel(n int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if Threads() == 1 || n == 1 {
		f(0, n)
		return
	}
	Do(n, 1, taskFunc(f))
}

// Do splits 0..n-1 into at most Threads() ranges whose lengths are multiples
// of grain (but for the last), runs t on them and waits. What no worker has
// begun by the time the caller has done its own range, the caller does too, so
// nested calls cannot deadlock.
func Do(n, grain int, t Task) {
	parts := min(Threads(), (n+grain-1)/grain)
	if parts <= 1 {
		if n > 0 {
			t.Run(0, n)
		}
		return
	}
	for int(workers.Load()) < parts-1 {
		if w := workers.Load(); int(w) < parts-1 && workers.CompareAndSwap(w, w+1) {
			go work()
		}
	}
	chunk := (n + parts - 1) / parts
	chunk = (chunk + grain - 1) / grain * grain
	wg := groups.Get().(*sync.WaitGroup)
	for lo := chunk; lo < n; lo += chunk {
		wg.Add(1)
		j := job{t, lo, min(lo+chunk, n), wg}
		select {
		case jobs <- j:
		default:
			j.run()
		}
	}
	t.Run(0, min(chunk, n))
	for waiting := true; waiting; {
		select {
		case j := <-jobs:
			j.run()
		default:
			waiting = false
		}
	}
	wg.Wait()
	groups.Put(wg)
}

func (j job) run() {
	j.task.Run(j.lo, j.hi)
	j.done.Done()
}

func work() {
	for j := range jobs {
		j.run()
	}
}
