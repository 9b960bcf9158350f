package pipeline

import (
	"log/slog"
	"sync"
	"time"
)

// errorLog logs the errors of the tick loop, at most one a second, with the
// number of those left out.
type errorLog struct {
	log *slog.Logger

	mu      sync.Mutex
	last    time.Time
	skipped int
}

func (l *errorLog) report(err error) {
	l.mu.Lock()
	if time.Since(l.last) < time.Second {
		l.skipped++
		l.mu.Unlock()
		return
	}
	n := l.skipped
	l.last, l.skipped = time.Now(), 0
	l.mu.Unlock()
	l.log.Error("tick", "error", err, "left_out", n)
}
