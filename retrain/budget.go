package retrain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Budget holds the process to a share of the machine's time.
type Budget struct {
	cores float64 // on average

	mu   sync.Mutex
	wall time.Time     // of the last Wait's end
	cpu  time.Duration // of the process then
}

// NewBudget allows so many cores on average.
func NewBudget(cores float64) *Budget {
	return &Budget{cores: cores, wall: time.Now(), cpu: cpuTime()}
}

// longestPause bounds a pause, so that one slow step is not paid for in one go.
const longestPause = 5 * time.Second

// Wait sleeps until what was used since the last call is within the budget, or
// ctx ends. Several goroutines may call it.
func (b *Budget) Wait(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pause := b.pause(time.Now(), cpuTime())
	if pause > 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	b.wall, b.cpu = time.Now(), cpuTime()
}

// pause returns how long to sleep.
func (b *Budget) pause(wall time.Time, cpu time.Duration) time.Duration {
	due := float64(cpu-b.cpu)/b.cores - float64(wall.Sub(b.wall))
	return time.Duration(min(max(due, 0), float64(longestPause)))
}

// cpuTime returns what the process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0 // then nothing is held back
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lowest is the nice value of work that everything else goes before.
const lowest = 19

// GoLast lets every other process go before this one: its threads, and those
// that they start, get the lowest priority.
func GoLast() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("low priority: %w", err)
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err = unix.Setpriority(unix.PRIO_PROCESS, id, lowest); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("low priority: %w", err)
		}
		// Idle threads also give way at once when another one wakes up. Where this
		// is refused the nice value stays.
		_ = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE, Nice: lowest}, 0)
	}
	return nil
}
