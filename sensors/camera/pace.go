package camera

import (
	"context"
	"time"
)

// pace keeps even steps in time; the first is at once. One that was missed is
// not made up for.
type pace struct {
	period time.Duration
	next   time.Time
}

// newPace makes steps of a rate, or of one an hour if that is slower.
func newPace(hz float64) pace {
	return pace{period: time.Duration(min(float64(time.Second)/hz, float64(time.Hour)))}
}

// wait returns true at the next step, false as soon as ctx ends.
func (p *pace) wait(ctx context.Context) bool {
	now := time.Now()
	if p.next = p.next.Add(p.period); p.next.Before(now) {
		p.next = now
	}
	t := time.NewTimer(p.next.Sub(now))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
