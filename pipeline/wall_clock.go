package pipeline

import (
	"fmt"
	"sync"
	"time"

	"posefuse/message"
	timesync "posefuse/sync"
)

// stepShownFor is how long a step of the wall clock is a warning.
const stepShownFor = 10 * time.Second

// firstYear is before any posefuse: a wall clock that shows an earlier one was
// not set since the machine started.
const firstYear = 2025

// wallClock remembers what became of the wall clock, which only gives the
// messages' capture_time.
type wallClock struct {
	mu     sync.Mutex
	steps  int
	newest time.Duration
	atNS   int64 // room clock when the newest step was followed
}

// follow moves the anchor if the wall clock was set, and returns by how much.
func (w *wallClock) follow(c *timesync.RoomClock) time.Duration {
	step := c.Follow()
	if step != 0 {
		w.note(step, c.NowNS())
	}
	return step
}

func (w *wallClock) note(step time.Duration, nowNS int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	w.newest, w.atNS = step, nowNS
}

// health is the part "clock"; synced is whether something keeps the wall clock
// right.
func (w *wallClock) health(c timesync.Clock, synced bool) message.PartHealth {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := c.NowNS()
	h := message.PartHealth{Part: "clock", Code: "ok", Text: "the wall clock was not set since the start", Severity: severityOK}
	if !synced {
		h.Code, h.Severity = "unsynchronised", severityWarning
	}
	if w.steps > 0 {
		h.Text = fmt.Sprintf("the wall clock was set %d times since the start, last by %+.3f s %.0f s ago; capture_time follows, capture_ns does not move",
			w.steps, w.newest.Seconds(), time.Duration(now-w.atNS).Seconds())
		if now-w.atNS < int64(stepShownFor) {
			h.Code, h.Severity = "set", severityWarning
		}
	}
	if !synced {
		h.Text += "; nothing keeps it right, so capture_time drifts away from other machines' clocks: start NTP (timedatectl set-ntp true)"
	}
	if year := c.WallAt(now).Year(); year < firstYear {
		h.Code, h.Severity = "unset", severityWarning
		h.Text = fmt.Sprintf("the wall clock shows the year %d, so capture_time is wrong until it is set; start NTP (timedatectl set-ntp true)", year)
	}
	return h
}
