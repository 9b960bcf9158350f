package exercise

import "fmt"

// newPerson ends the set of the person before.
func (t *Tracker) newPerson(why string) {
	t.choose(true)
	if t.set != nil {
		t.endSet()
	}
	t.out.Notice(noticeNewPerson, "another person: "+why+"; counting begins again")
	t.seat = seat{}
	t.forget()
}

// forget drops what the counters and the smoothing know of the movement.
func (t *Tracker) forget() {
	t.raw, t.track, t.rivals, t.small, t.busyNS = t.raw[:0], t.track[:0], t.rivals[:0], t.small[:0], 0
	for _, r := range t.runs {
		t.reset(r)
	}
}

// satDown ends the set of somebody who takes a seat.
func (t *Tracker) satDown() {
	t.choose(true)
	if t.set != nil {
		t.endSet()
	}
	for _, r := range t.runs {
		r.own.rest()
		if r.other != nil {
			r.other.rest()
		}
	}
}

// calibrate learns the person from quiet standing between sets, and within one or
// where a repetition may be going on sees whether it is still the same person:
// who takes another's place may look like a movement that is held.
func (t *Tracker) calibrate() {
	busy := t.busyNS > 0 && float64(t.nowNS-t.busyNS) < calibrationS*1e9
	cal, ok := t.filter.standing()
	if !ok || busy && !cal.upright() {
		return
	}
	old := t.filter.cal
	same := old.sameAs(&cal)
	if !same {
		t.newPerson(fmt.Sprintf("legs and trunk measure %.2f m instead of %.2f m", cal.sizeM(), old.sizeM()))
	} else if busy {
		return // it may be a posture that is held
	}
	if t.set != nil {
		return
	}
	t.filter.cal = cal
	t.measureStill()
	if same {
		t.recalibrated(&old)
	}
}

// recalibrated takes poses of quiet standing after the calibration that was
// made from them replaced old. Signals that are measured from standing have
// jumped by what the newest pose has; that is no movement.
func (t *Tracker) recalibrated(old *calibration) {
	since := t.nowNS - int64(calibrationS*1e9)
	for _, r := range t.runs {
		for c, side := range r.counters() {
			if n := len(t.track); n > 0 {
				newest := &t.track[n-1].smooth
				before, ok1 := r.def.share(body{newest, old}, side)
				after, ok2 := r.def.share(body{newest, &t.filter.cal}, side)
				if ok1 && ok2 {
					c.shift(after - before)
				}
			}
			for i := range t.track {
				if t.track[i].ns < since {
					continue
				}
				if v, ok := r.def.share(body{&t.track[i].smooth, &t.filter.cal}, side); ok {
					c.quiet(t.track[i].ns, v)
				}
			}
		}
	}
}

// measureStill notes the range that signals of rules show while the person
// stands still: noise of the poses, which no rule may take for movement.
func (t *Tracker) measureStill() {
	p := span{cal: &t.filter.cal}
	since := t.nowNS - int64(calibrationS*1e9)
	for i := range t.track {
		if t.track[i].ns >= since {
			p.frames = t.track[i:]
			break
		}
	}
	if len(p.frames) == 0 {
		return
	}
	for _, r := range t.runs {
		p.side = r.def.firstSide()
		for _, rule := range r.def.Rules {
			if rule.Measure != AtRange {
				continue
			}
			if v, ok := p.ofRule(rule); ok {
				if old, ok := t.still[rule.Signal]; ok {
					v = old + followShare*(v-old)
				}
				t.still[rule.Signal] = v
			}
		}
	}
}
