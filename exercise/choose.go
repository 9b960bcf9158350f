package exercise

import "slices"

// choose starts a set when a repetition was done outside one, or ends one when
// another exercise took over.
func (t *Tracker) choose(now bool) {
	if len(t.rivals) == 0 {
		return
	}
	if t.set != nil {
		t.overtake()
		return
	}
	wait := chooseNS
	if len(t.runs) == 1 || now {
		wait = 0
	}
	if t.nowNS-t.rivals[0].rep.endNS < wait {
		return
	}
	best := t.rivals[0]
	for _, a := range t.rivals[1:] {
		if a.rep.height > best.rep.height {
			best = a
		}
	}
	t.startSet(t.take(best.run))
}

// overtake ends the set when another exercise took over: repetitions of it came
// and fewer of the set's own. If those of the set are the same movements, it
// was taken for the wrong exercise, unless they are the larger ones.
func (t *Tracker) overtake() {
	s := t.set
	t.rivals = slices.DeleteFunc(t.rivals, func(a attempt) bool {
		return a.rep.endNS < t.nowNS-int64(s.restS*1e9) && !t.mirrors(a.run)
	})
	if t.inTurn() {
		return
	}
	for _, r := range t.runs {
		n, since, height := 0, int64(0), 0.0
		for _, a := range t.rivals {
			if a.run == r {
				if n == 0 {
					since = a.rep.startNS
				}
				n++
				height += a.rep.height
			}
		}
		own, before, ownHeight := 0, 0, 0.0
		for _, d := range s.reps {
			if d.endNS > since {
				own++
				ownHeight += d.height
			} else if d.endNS < since-int64(followRel*r.def.TempoS.P90*1e9) {
				before++
			}
		}
		if n < switchReps || n <= own {
			continue
		}
		if own > 0 && height/float64(n) <= ownHeight/float64(own) {
			continue // a part of the set's own movement, as the dip before a jump
		}
		reps := t.take(r)
		// One repetition that repetitions of another exercise of the same joint
		// follow at once was one of those.
		alone := len(s.reps) == 1 && s.run.def.Range == r.def.Range && s.run.def.OfSide == r.def.OfSide
		s.misread = before == 0 && (own > 0 || alone)
		t.endSet()
		t.startSet(reps)
		return
	}
}

// take removes all rivals and returns those of one run.
func (t *Tracker) take(r *run) []attempt {
	reps := slices.DeleteFunc(slices.Clone(t.rivals), func(a attempt) bool { return a.run != r })
	t.rivals = t.rivals[:0]
	return reps
}
