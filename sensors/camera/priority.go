package camera

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Nice values of Linux: the higher, the less a thread gets beside others.
const (
	lookingNice = 3 // above the program's own; more would starve it on a busy machine
	highestNice = 19
)

// yieldToOthers gives the calling goroutine a thread of its own, which it takes
// with it when it ends, and lets all others go before it: a tick does not wait
// for a detector.
func yieldToOthers() {
	runtime.LockOSThread()
	thread := unix.Gettid()
	own, err := nice(thread)
	if err != nil {
		return
	}
	// Where this is refused the detector merely competes as an equal.
	_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(own+lookingNice, highestNice))
}

// nice returns the nice value of a thread.
func nice(thread int) (int, error) {
	// The kernel's answer is 20 less the value, so that it is never negative.
	v, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	return 20 - v, err
}
