package bus

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// serverLog passes the embedded server's warnings and errors on; it is quiet
// about the rest.
type serverLog struct {
	log  *slog.Logger
	full atomic.Uint64 // connections refused because there are too many

	mu       sync.Mutex
	cause    string
	budget   float64 // lines that may be written at once
	filled   time.Time
	withheld int // lines since the last one
}

// Limits of the embedded server's lines: a stranger's mistakes cause one each.
const (
	logBurst = 20
	logEvery = 3 * time.Second
)

func newServerLog(log *slog.Logger) *serverLog { return &serverLog{log: log, budget: logBurst} }

// line writes a line, or counts it for the next one that is written.
func (l *serverLog) line(level slog.Level, format string, v ...any) {
	l.mu.Lock()
	now := time.Now()
	if !l.filled.IsZero() {
		l.budget = min(l.budget+float64(now.Sub(l.filled))/float64(logEvery), logBurst)
	}
	l.filled = now
	if l.budget < 1 {
		l.withheld++
		l.mu.Unlock()
		return
	}
	l.budget--
	withheld := l.withheld
	l.withheld = 0
	l.mu.Unlock()
	var args []any
	if withheld > 0 {
		args = append(args, "more_like_it", withheld)
	}
	l.log.Log(context.Background(), level, fmt.Sprintf(format, v...), args...)
}

// forget drops the reason why an earlier server could not run.
func (l *serverLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause = ""
}

func (l *serverLog) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// Noticef drops what the server says when all is well.
func (l *serverLog) Noticef(string, ...any) {}

// Debugf drops debugging output.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef drops protocol traces: they would hold payloads.
func (l *serverLog) Tracef(string, ...any) {}

// Warnf logs a warning, but for the one on a WebSocket listener without TLS:
// Config.Validate allows that on loopback only.
func (l *serverLog) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Websocket not configured with TLS") {
		l.line(slog.LevelWarn, format, v...)
	}
}

// Errorf logs an error, but for refused logins: the gate sums those.
func (l *serverLog) Errorf(format string, v ...any) {
	if strings.Contains(fmt.Sprintf(format, v...), server.ErrTooManyConnections.Error()) {
		l.full.Add(1)
	}
	if !strings.Contains(fmt.Sprintf(format, v...), "authentication error") {
		l.line(slog.LevelError, format, v...)
	}
}

// Fatalf keeps the reason why the server cannot run. It must not end the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == "" {
		l.cause = fmt.Sprintf(format, v...)
	}
}
