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
	of     *group
}

// group is what one call of Do waits for. left counts down before done does,
// so that who sees it at 0 waits for done no longer than an instant.
type group struct {
	left atomic.Int32
	done sync.WaitGroup
}

var (
	threads atomic.Int32
	jobs    = make(chan job, 64)
	workers atomic.Int32
	groups  = sync.Pool{New: func() any { return new(group) }}
)

// spins is how often an idle worker, or a caller who waits for one, looks for
// news and gives way to other goroutines before it sleeps: some hundred
// microseconds in all. A layer takes tens of them, and waking a sleeping thread
// as long, on a virtual machine longer.
const spins = 1000

func init() { threads.Store(int32(runtime.NumCPU())) }

// SetThreads sets how many threads one call may use, at least 1. Worker
// goroutines start on first use; those that fewer threads leave over end after
// their next job.
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
	startWorkers(parts - 1)
	chunk := (n + parts - 1) / parts
	chunk = (chunk + grain - 1) / grain * grain
	finish := offer(t, chunk, n)
	t.Run(0, min(chunk, n))
	finish.wait()
}

// Each runs t on each of 0..n-1 by itself, the first by the caller and the
// others by whoever is free, in their order, and waits for all: for few long
// pieces of different length, which may call Do.
func Each(n int, t Task) {
	if Threads() == 1 || n <= 1 {
		for i := range n {
			t.Run(i, i+1)
		}
		return
	}
	startWorkers(min(Threads(), n) - 1)
	finish := offer(t, 1, n)
	t.Run(0, 1)
	finish.wait()
}

func startWorkers(n int) {
	for int(workers.Load()) < n {
		if w := workers.Load(); int(w) < n && workers.CompareAndSwap(w, w+1) {
			go work()
		}
	}
}

// offer puts all but the first chunk of 0..n-1 before the workers.
func offer(t Task, chunk, n int) *group {
	g := groups.Get().(*group)
	for lo := chunk; lo < n; lo += chunk {
		g.left.Add(1)
		g.done.Add(1)
		j := job{t, lo, min(lo+chunk, n), g}
		select {
		case jobs <- j:
		default:
			j.run()
		}
	}
	return g
}

// wait does what no worker has begun, its own and others', until its own is
// done or none is left to begin, and waits for the rest.
func (g *group) wait() {
	for waiting := true; waiting && g.left.Load() > 0; {
		select {
		case j := <-jobs:
			j.run()
		default:
			waiting = false
		}
	}
	for i := 0; i < spins && g.left.Load() > 0; i++ {
		runtime.Gosched()
	}
	g.done.Wait()
	groups.Put(g)
}

func (j job) run() {
	j.task.Run(j.lo, j.hi)
	j.of.left.Add(-1)
	j.of.done.Done()
}

// work runs jobs until the threads have become fewer.
func work() {
	for {
		next().run()
		if n := workers.Load(); int(n) >= Threads() && workers.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// next returns the next job once there is one.
func next() job {
	for range spins {
		select {
		case j := <-jobs:
			return j
		default:
			runtime.Gosched()
		}
	}
	return <-jobs
}
