package sensors

import (
	"maps"
	"sync"
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

// counters counts what came in and what became of it. in is always the sum of
// the outcomes because both change under one lock.
type counters struct {
	mu       sync.Mutex
	in       uint64
	outcomes map[string]uint64
}

func (c *counters) add(outcome string, n uint64) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcomes == nil {
		c.outcomes = make(map[string]uint64)
	}
	if _, known := c.outcomes[outcome]; !known && len(c.outcomes) >= maxOutcomes {
		outcome = OutcomeOther
	}
	c.in += n
	c.outcomes[outcome] += n
}

func (c *counters) read() (in uint64, outcomes map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in, maps.Clone(c.outcomes)
}
