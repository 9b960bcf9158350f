package pipeline

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// besideNice is the nice value of work beside the ticks: they go before it.
const besideNice = 10

// besideTicks runs f on a thread of its own that lets the ticks go first, and
// returns when it is done. The thread ends with it, as only root could raise its
// priority again.
func besideTicks(f func()) {
	elsewhere(func() {
		runtime.LockOSThread() // and never unlocked
		// Where this is refused f merely competes as an equal.
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), besideNice)
		f()
	})
}

// elsewhere runs f on a goroutine of its own, so at the usual priority, and
// returns when it is done. Whoever infers must: an inference may do a part of
// another's.
func elsewhere(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
