package pipeline

import (
	"fmt"
	"time"
)

// An engine lives as long as somebody holds it: the loop as installed, the loop
// as current, a trial as what to fall back on. Whoever lets go last closes it.

// hold takes one more hold of an engine that is held.
func (e *engine) hold() *engine {
	e.holds.Add(1)
	return e
}

// release lets go of an engine, or of none.
func (l *tickLoop) release(e *engine) {
	if e == nil || e.holds.Add(-1) > 0 {
		return
	}
	if err := e.close(); err != nil {
		l.onError(fmt.Errorf("close model %s %s: %w", e.card.Name, e.card.Version, err))
	}
}

// install makes e the engine from the next tick on. With a trial it is watched,
// and what ran before stays ready for its failure.
func (l *tickLoop) install(e *engine, t *trial) {
	e.hold()
	l.swap.Lock()
	if l.ended {
		l.swap.Unlock()
		l.release(e)
		return
	}
	before := l.engine.Swap(e)
	old := l.trial
	l.trial = t
	if t != nil {
		t.engine, t.slowBefore = e, l.pace.slow()
		switch {
		case l.adopted && before != nil:
			t.fallback = before.hold()
		case old != nil: // what was to run on trial never did
			t.fallback, old.fallback = old.fallback, nil
		}
	}
	l.adopted = false
	l.swap.Unlock()
	l.release(before)
	if old != nil {
		l.release(old.fallback)
	}
}

// adopt takes over the installed engine; it is called between two ticks.
func (l *tickLoop) adopt() {
	l.swap.Lock()
	e, before := l.engine.Load(), l.current
	l.adopted = true
	if e == before {
		l.swap.Unlock()
		return
	}
	if e != nil {
		e.hold()
	}
	t := l.trial
	l.current, l.pace = e, pace{}
	l.swap.Unlock()
	if e != nil {
		e.intake = l.intake
		e.restart()
		if l.person != nil {
			l.person.arrange(e.card.TrainedIn())
			l.person.HoldRadar(e.card.Config.RadarFrames())
		}
		if l.body != nil {
			l.body.newNetwork()
		}
	}
	l.release(before)
	if t != nil && t.engine == e {
		t.begin()
	}
}

// restart forgets what an engine that ran before has left of a tick.
func (e *engine) restart() {
	for m := range e.jobs {
		e.jobs[m].wait()
		e.jobs[m].forget()
	}
	if e.staged != nil {
		e.staged.Begin()
	}
}

// judge tells the trial of the tick's engine how the tick went, and ends it
// when it is decided: where it failed, what ran before runs from the next tick
// on.
func (l *tickLoop) judge(e *engine, failure error, took time.Duration) {
	l.swap.Lock()
	l.pace.note(took, l.period)
	t := l.trial
	if t == nil || t.engine != e || !t.note(failure, took, l.period) {
		l.swap.Unlock()
		return
	}
	l.trial = nil
	fallback := t.fallback
	if t.reason == "" || fallback == nil {
		l.swap.Unlock()
		l.release(fallback)
	} else {
		l.engine.Store(fallback) // the trial's hold becomes the loop's
		l.adopted, t.fellBack = false, true
		l.swap.Unlock()
		l.release(e)
	}
	t.ended(t)
}

// closeEngines lets go of every engine; nothing is installed after.
func (l *tickLoop) closeEngines() {
	l.swap.Lock()
	l.ended = true
	held := []*engine{l.engine.Swap(nil), l.current}
	if l.trial != nil {
		held = append(held, l.trial.fallback)
	}
	l.trial, l.current = nil, nil
	l.swap.Unlock()
	for _, e := range held {
		l.release(e)
	}
}
