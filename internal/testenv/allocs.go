package testenv

import (
	"math"
	"runtime/debug"
	"testing"
)

// AllocsPerRun is testing.AllocsPerRun for a machine with other work. That
// counts what the whole process allocates: the collector's goroutines, timers,
// a worker that starts late, the pools a collection empties. What f allocates
// itself it allocates in each batch of runs, so the least of them counts; no
// collection runs meanwhile.
func AllocsPerRun(runs int, f func()) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	least := math.Inf(1)
	for range 10 {
		if least = min(least, testing.AllocsPerRun(runs, f)); least == 0 {
			break
		}
	}
	return least
}
