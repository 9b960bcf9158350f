package pipeline

import (
	"fmt"
	"slices"
	"time"
)

// A model that was swapped in is on trial for so many ticks, half a minute at
// 10 Hz. While it is, the model before stays ready.
const (
	trialTicks    = 300
	maxTrialFails = 3  // ticks without a pose for an error of the model
	paceTicks     = 20 // slowness is judged over so many
)

// trial watches a model that was swapped in. The tick loop owns it.
type trial struct {
	engine   *engine
	fallback *engine // what ran before, ready to run again; nil if nothing did
	// slowBefore says that ticks took longer than their period before the swap,
	// which then is not the new model's fault.
	slowBefore bool

	ticks, fails int
	pace         pace
	reason       string // why it failed; "" if it did not
	fellBack     bool   // what ran before runs again

	adopted chan struct{}  // closed when the model has its first tick before it
	ended   func(t *trial) // called once it is decided; must not block
}

func newTrial(ended func(*trial)) *trial {
	return &trial{adopted: make(chan struct{}), ended: ended}
}

func (t *trial) begin() { close(t.adopted) }

// note takes one tick of the model and reports whether the trial is decided.
func (t *trial) note(failure error, took, period time.Duration) bool {
	t.ticks++
	t.pace.note(took, period)
	if failure != nil {
		t.fails++
	}
	switch {
	case t.fails >= maxTrialFails:
		t.reason = fmt.Sprintf("%d of its first %d ticks gave no pose: %v", t.fails, t.ticks, failure)
	case t.ticks >= paceTicks && t.pace.slow() && !t.slowBefore:
		if t.slowBefore = !t.slowerThanBefore(); !t.slowBefore {
			t.reason = fmt.Sprintf("more than half of %d ticks took longer than the %v between ticks, and the model before is faster", paceTicks, period)
		}
	}
	return t.reason != "" || t.ticks >= trialTicks
}

// slower is how much longer than the model before a model must take to be the
// reason that ticks are late; a busy machine makes both late.
const slower = 1.5

// slowerThanBefore has the model before work on the newest input, too, to tell a
// slow model from a busy machine. Ticks are late when it is called.
func (t *trial) slowerThanBefore() bool {
	f := t.fallback
	if f == nil {
		return false
	}
	if !sameInput(&f.card, &t.engine.card) {
		return true // there is nothing to give it
	}
	var took [3]time.Duration
	for i := range took {
		begin := time.Now()
		if err := f.inf.Infer(&t.engine.in, &f.out); err != nil {
			return false
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took[:])
	return float64(t.pace.median()) > slower*float64(took[1])
}

// pace remembers how long the newest ticks took.
type pace struct {
	ring [paceTicks]time.Duration
	late [paceTicks]bool // longer than the period
	next int
	n    int // late ones
}

func (p *pace) note(took, period time.Duration) {
	if p.late[p.next] {
		p.n--
	}
	p.ring[p.next], p.late[p.next] = took, took > period
	if took > period {
		p.n++
	}
	p.next = (p.next + 1) % paceTicks
}

// slow reports whether more than half of them took longer than their period.
func (p *pace) slow() bool { return p.n > paceTicks/2 }

// median is of paceTicks ticks, those that were not yet counting as 0.
func (p *pace) median() time.Duration {
	sorted := p.ring
	slices.Sort(sorted[:])
	return sorted[paceTicks/2]
}
