package exercise

import (
	"slices"

	"posefuse/message"
)

// incomplete counts an attempt that was too small, short or long.
func (t *Tracker) incomplete(r *run, side Side, what seen) {
	if t.set == nil {
		if len(t.runs) > 1 || side != r.def.OfSide && !r.def.Alternate {
			return // not known to belong to an exercise
		}
		// One may be a sway of somebody who stands.
		t.small = slices.DeleteFunc(append(t.small, what), func(s seen) bool {
			return s.rep.endNS < what.rep.endNS-int64(t.restS(r.def)*1e9)
		})
		if what.why == whyTooLong && t.held(r, side, what.rep) || len(t.small) >= smallAttempts {
			t.openSet(r, t.small[0].rep.startNS)
			t.set.why = what.why
			t.emit("new", nil)
			t.set.why = ""
		}
		return
	}
	if side != r.def.OfSide && !r.def.Alternate || t.setOf(r) == nil {
		return
	}
	t.set.incomplete[what.why]++
	t.set.activeNS = t.nowNS
	t.set.phase = phaseRest
	t.set.why = what.why
	t.emit("update", nil)
	t.set.why = ""
}

// heldNS is how long a held posture is looked at.
const heldNS = int64(5e9)

// held reports whether an attempt is a posture that somebody holds: beyond
// standing as they do by a repetition.
func (t *Tracker) held(r *run, side Side, rep *repetition) bool {
	cal := &t.filter.cal
	if !cal.standing || r.least() == 0 {
		return false
	}
	rest, ok := r.def.share(body{&cal.neutral, cal}, side)
	for _, f := range t.spanOf(rep, side).frames {
		if v, seen := r.def.share(body{&f.smooth, cal}, side); seen && f.ns > rep.endNS-heldNS {
			ok = ok && v-rest >= r.least()
		}
	}
	return ok
}

// wrongExercise notes a movement of the counted signal that is another exercise.
// One between two repetitions may be the way from or to their start.
func (t *Tracker) wrongExercise(r *run) {
	if t.setOf(r) == nil {
		return
	}
	if t.set.foreign++; t.set.foreign < 2 {
		return
	}
	f := message.Fault{Key: keyWrongExercise, Verdict: verdictFault}
	if _, ok := t.set.faults[f.Key]; !ok {
		t.set.faults[f.Key] = f
	}
	t.emit("update", []weighted{{f, 35}})
}
