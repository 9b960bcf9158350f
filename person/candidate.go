package person

import "math"

// again reports whether a thing is where one looked like a person in the sweep
// before, too: noise makes a cupboard narrow for once. What the camera sees needs
// no second look, and the first sweep of all is trusted.
func (f *Finder) again(atNS int64, i int) bool {
	s := &f.state
	at := f.things.all[i].middleM
	gate := 0.3 + 1.5*float64(atNS-s.hopeNS)/1e9 // at a walk
	ok := f.agrees(atNS, i) || f.back.nextNS == 0 || s.hopeNS != 0 && atNS > s.hopeNS && atNS-s.hopeNS < 1e9 && distance2(at, s.hopeM) < gate*gate
	s.hopeM, s.hopeNS = at, atNS
	return ok
}

// rival returns a thing that is more likely the person than the track's own: a
// livelier one while the track has not stirred, the one lost a moment ago, or
// the one that the camera has looked at for five seconds.
func (f *Finder) rival(atNS int64, own int) (int, bool) {
	s := &f.state
	young := atNS-s.sinceNS < 3e9
	camera := f.sight.fresh(atNS)
	if s.stirred && !young && !camera {
		return 0, false
	}
	ownScore, ownAgrees := 0.0, false
	if own >= 0 {
		ownScore = f.score(atNS, &f.things.all[own])
		ownAgrees = f.agrees(atNS, own)
	}
	best, score := f.best(atNS)
	if score < newScore || best == own || distance2(f.things.all[best].middleM, s.placeM) < 0.5*0.5 {
		s.rivalNS = 0
		return 0, false
	}
	switch agrees := f.agrees(atNS, best); {
	case !s.stirred && score >= ownScore+1.5:
		return best, true
	case young && f.nearLost(atNS, &f.things.all[best]) && !ownAgrees:
		return best, true
	case !agrees || ownAgrees:
		s.rivalNS = 0
	case s.rivalNS == 0:
		s.rivalNS = atNS
	case atNS-s.rivalNS > 5e9:
		return best, true
	}
	return 0, false
}

// best returns the thing most like a person who is not known yet.
func (f *Finder) best(atNS int64) (best int, score float64) {
	best, score = -1, math.Inf(-1)
	for i := range f.things.all {
		if v := f.score(atNS, &f.things.all[i]); v > score {
			best, score = i, v
		}
	}
	return best, score
}

// score says how much a thing is like a person; from newScore on it may be one.
func (f *Finder) score(atNS int64, t *thing) float64 {
	if t.points < minNewPoints || len(t.columns) < 4 || t.tooLarge() || t.topM() < minNewM {
		return math.Inf(-1)
	}
	agrees := f.sight.agrees(atNS, t.middleM, t.topM())
	moves := f.back.warm() && t.freshShare() > 2*livelyShare
	if !agrees {
		gaveUp := f.state.gaveUpNS != 0 && atNS-f.state.gaveUpNS < gaveUpNS && distance2(t.middleM, f.state.gaveUpM) < 0.5*0.5
		if t.notHuman() || !moves && (t.freeSides < 2 || gaveUp) {
			return math.Inf(-1)
		}
	}
	v := 0.0
	if agrees {
		v += 3 + f.sight.onFeet(atNS, t.middleM)
	}
	if moves {
		v += 2
	}
	if t.freeSides == 2 {
		v++
	}
	if top := t.topM(); top > 1.15 && top < 2.15 {
		v++
	}
	if w := t.widthM(); w > 0.25 && w < 1.05 {
		v += 0.5
	}
	if f.nearLost(atNS, t) {
		v += 1.5
	}
	if t.atBorder && !agrees {
		v -= 2
	}
	if t.upper {
		v -= 0.25
	}
	return v
}

// agrees reports whether the camera sees the person where a thing is.
func (f *Finder) agrees(atNS int64, i int) bool {
	t := &f.things.all[i]
	return f.sight.agrees(atNS, t.middleM, t.topM())
}

func (f *Finder) nearLost(atNS int64, t *thing) bool {
	s := &f.state
	return s.lostNS != 0 && atNS-s.lostNS < lostNS && distance2(t.middleM, s.lostAtM) < 0.7*0.7
}
