package sensors

import (
	"maps"
	"sync"
	"time"
)

// Outcomes the supervisor itself counts; all others come from drivers.
const (
	OutcomeSample    = "sample"     // handed on
	OutcomeInvalid   = "invalid"    // nil, or its payload is not that of its modality
	OutcomeAfterStop = "after_stop" // came from a driver that had already returned
	OutcomeOther     = "other"      // outcomes beyond the first maxOutcomes names
)

// OutcomeNobody is what a driver counts for a reading in which nobody is. It
// gives no sample, but the sensor is live.
const OutcomeNobody = "nobody"

// maxOutcomes bounds the names a driver can invent.
const maxOutcomes = 64

// RecentWindow is how far back the recent counts of a Snapshot reach: at least
// this far, at most twice.
const RecentWindow = 5 * time.Second

// counters counts what came in and what became of it. in is always the sum of
// the outcomes because both change under one lock.
type counters struct {
	mu       sync.Mutex
	in       uint64
	outcomes map[string]uint64

	// What was counted in the present window and in the one before it.
	began         time.Time
	recent, older map[string]uint64
}

func (c *counters) add(outcome string, n uint64) {
	if n == 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcomes == nil {
		c.outcomes, c.recent, c.older = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64)
		c.began = now
	}
	if _, known := c.outcomes[outcome]; !known && len(c.outcomes) >= maxOutcomes {
		outcome = OutcomeOther
	}
	c.in += n
	c.outcomes[outcome] += n
	c.turn(now)
	c.recent[outcome] += n
}

// turn begins a new window if it is time. It needs c.mu.
func (c *counters) turn(now time.Time) {
	age := now.Sub(c.began)
	if age < RecentWindow {
		return
	}
	c.recent, c.older = c.older, c.recent
	clear(c.recent)
	if age >= 2*RecentWindow {
		clear(c.older)
	}
	c.began = now
}

func (c *counters) read() (in uint64, outcomes, recent map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcomes != nil {
		c.turn(time.Now())
	}
	recent = maps.Clone(c.older)
	for o, n := range c.recent {
		recent[o] += n
	}
	return c.in, maps.Clone(c.outcomes), recent
}
