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

// job lets a worker into a group, if that is still the one that was offered.
type job struct {
	of   *group
	turn uint32
}

// group is the work of one call of Do: chunks that its caller and workers take
// one by one, so that none waits for more than a chunk of one that the system
// took off its core. It is used again and again: jobs of an earlier turn find
// nothing.
type group struct {
	// open is the turn, and below it how many chunks nobody has taken.
	open  atomic.Uint64
	task  Task
	n     int
	chunk int
	count int

	// left counts down before done does, so that who sees it at 0 waits for done
	// no longer than an instant.
	left atomic.Int32
	done sync.WaitGroup
}

// chunksPerThread is into how many pieces a call's work is cut for each thread
// that may help: half a piece is what the slowest keeps the others waiting.
const chunksPerThread = 4

var (
	threads atomic.Int32
	jobs    = make(chan job, 64)
	workers atomic.Int32
	groups  = sync.Pool{New: func() any { return new(group) }}
)

// An idle worker, or a caller who waits for one, looks for news and gives way to
// other goroutines before it sleeps, at most spins times: some hundred
// microseconds in all. A layer takes tens of them, and waking a sleeping thread
// as long, on a virtual machine longer. Who waited in vain looks half as often
// the next time, who did not twice: where other programs have the cores, what is
// waited for comes late, and looking takes time from it.
const (
	spins    = 1000
	minSpins = 16
)

// patience is how often to look before sleeping.
type patience struct{ times atomic.Int32 }

// look calls there up to its patience and reports whether it came true.
func (p *patience) look(there func() bool) bool {
	n := max(p.times.Load(), minSpins)
	for range n {
		if there() {
			p.times.Store(min(2*n, spins))
			return true
		}
		runtime.Gosched()
	}
	p.times.Store(n / 2)
	return false
}

// ofCallers is the patience of callers who wait for workers.
var ofCallers patience

func init() { threads.Store(int32(Cores())) }

// SetThreads sets how many threads one call may use, at least 1. Worker
// goroutines start on first use; those that fewer threads leave over end after
// their next job.
func SetThreads(n int) { threads.Store(int32(max(n, 1))) }

// Threads returns the number set by SetThreads; it starts as Cores.
func Threads() int { return int(threads.Load()) }

// occupied is how many callers of Occupy work.
var occupied atomic.Int32

// Occupy says that the caller is one of several who each have a core to work on,
// until it calls free. Calls of Do and Each then share their work with what
// threads are left: none while all have work of their own, those of the others
// once they are done.
func Occupy() (free func()) {
	occupied.Add(1)
	return func() { occupied.Add(-1) }
}

// helpers returns how many workers may help a caller.
func helpers() int { return Threads() - int(max(occupied.Load(), 1)) }

// Parallel splits 0..n-1 among the kernel's threads and waits for all. It may
// be called from inside f.
func Parallel(n int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	if helpers() < 1 || n == 1 {
		f(0, n)
		return
	}
	Do(n, 1, taskFunc(f))
}

// Do splits 0..n-1 into ranges whose lengths are multiples of grain (but for the
// last), some for each of Threads(), runs t on them and waits. The caller takes
// its part, so nested calls cannot deadlock.
func Do(n, grain int, t Task) {
	grains := (n + grain - 1) / grain
	helpers := min(helpers(), grains-1)
	if helpers < 1 {
		if n > 0 {
			t.Run(0, n)
		}
		return
	}
	pieces := chunksPerThread * (helpers + 1)
	share(t, n, (grains+pieces-1)/pieces*grain, helpers)
}

// Each runs t on each of 0..n-1 by itself, by whoever is free, in their order,
// and waits for all: for few long pieces of different length, which may call Do.
func Each(n int, t Task) {
	helpers := min(helpers(), n-1)
	if helpers < 1 {
		for i := range n {
			t.Run(i, i+1)
		}
		return
	}
	share(t, n, 1, helpers)
}

// share runs t on chunks of 0..n-1 together with so many workers.
func share(t Task, n, chunk, helpers int) {
	startWorkers(helpers)
	g := groups.Get().(*group)
	g.task, g.n, g.chunk, g.count = t, n, chunk, (n+chunk-1)/chunk
	g.left.Store(int32(g.count))
	g.done.Add(g.count)
	turn := uint32(g.open.Load()>>32) + 1
	g.open.Store(uint64(turn)<<32 | uint64(g.count))
	for range min(helpers, g.count-1) {
		select {
		case jobs <- job{g, turn}:
		default: // workers have enough to do
		}
	}
	g.work(turn)
	g.wait()
	g.task = nil
	groups.Put(g)
}

func startWorkers(n int) {
	for int(workers.Load()) < n {
		if w := workers.Load(); int(w) < n && workers.CompareAndSwap(w, w+1) {
			go work()
		}
	}
}

// work runs chunks of the turn until none is left to take.
func (g *group) work(turn uint32) {
	for {
		open := g.open.Load()
		if uint32(open>>32) != turn || uint32(open) == 0 {
			return
		}
		if !g.open.CompareAndSwap(open, open-1) {
			continue
		}
		lo := (g.count - int(uint32(open))) * g.chunk
		g.task.Run(lo, min(lo+g.chunk, g.n))
		g.left.Add(-1)
		g.done.Done()
	}
}

// wait returns when every chunk has run. Meanwhile it helps others, whose chunks
// workers may be waiting for.
func (g *group) wait() {
	for waiting := true; waiting && g.left.Load() > 0; {
		select {
		case j := <-jobs:
			j.of.work(j.turn)
		default:
			waiting = false
		}
	}
	ofCallers.look(func() bool { return g.left.Load() == 0 })
	g.done.Wait()
}

// work runs jobs until the threads have become fewer.
func work() {
	var idle patience
	idle.times.Store(spins)
	for {
		j := next(&idle)
		j.of.work(j.turn)
		if n := workers.Load(); int(n) >= Threads() && workers.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// next returns the next job once there is one.
func next(idle *patience) (j job) {
	if idle.look(func() bool {
		select {
		case j = <-jobs:
			return true
		default:
			return false
		}
	}) {
		return j
	}
	return <-jobs
}
