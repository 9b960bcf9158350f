package exercise

import "slices"

// Two sides in turn, as in alternating lunges, are two sets that go on together:
// Tracker.set is that of the side which was done last, Tracker.waiting the other.

// setOf returns the open set of a run, nil if there is none. It becomes the one
// that events are about.
func (t *Tracker) setOf(r *run) *set {
	if t.waiting != nil && t.waiting.run == r {
		t.waiting.activeNS = t.set.activeNS
		t.set, t.waiting = t.waiting, t.set
	}
	if t.set == nil || t.set.run != r {
		return nil
	}
	return t.set
}

// mirrors reports whether a run is the running set's exercise of the other side.
func (t *Tracker) mirrors(r *run) bool { return t.set.run.def.Mirror == r.def.Activity }

// inTurn begins a set of the other side when its repetitions come between those
// of the running set, and reports whether it did. One alone may be misread.
func (t *Tracker) inTurn() bool {
	i := slices.IndexFunc(t.rivals, func(a attempt) bool { return t.mirrors(a.run) })
	if i < 0 || t.waiting != nil {
		return false
	}
	first, n, own := t.rivals[i], 0, 0
	for _, a := range t.rivals {
		if a.run == first.run {
			n++
		}
	}
	for _, d := range t.set.reps {
		if d.endNS > first.rep.endNS {
			own++
		}
	}
	if n < switchReps || own == 0 {
		return false
	}
	reps := t.take(first.run)
	t.waiting = t.set
	t.startSet(reps)
	return true
}

// otherSide returns the repetitions of the other side that have no set.
func (t *Tracker) otherSide() []attempt {
	return slices.DeleteFunc(slices.Clone(t.rivals), func(a attempt) bool { return !t.mirrors(a.run) })
}

// endSet closes what is open and sends ends and summaries.
func (t *Tracker) endSet() {
	late := t.otherSide()
	t.closeSet()
	if t.waiting != nil {
		t.set, t.waiting = t.waiting, nil
		t.closeSet()
	}
	if len(late) > 0 {
		t.startSet(late)
		t.closeSet()
	}
}
