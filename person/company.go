package person

// Somebody else in the region is no part of the pose, but a therapist must know:
// sensors that tell no two people apart, the radar and WiFi, see both.

const (
	companyM      = 0.7 // from the person to somebody else's middle
	companyScore  = 4   // moves, stands free and has a person's height
	companySeenS  = 0.6 // of seeing somebody else before it is said
	companyHoldNS = 2e9 // and after it was seen last
)

// company is what is known of somebody else.
type company struct {
	seenS  float64 // for how long, sweep after sweep; sinks while nobody is seen
	lastNS int64   // when it was last seen for long enough; 0 is never
	placeM [2]float64
}

// lookAround notes whether something that moves like a person is elsewhere.
func (f *Finder) lookAround(atNS int64) {
	s := &f.state
	c := &s.company
	other := -1
	if s.alive && f.back.warm() {
		for i := range f.things.all {
			t := &f.things.all[i]
			if !t.upper && t.freshShare() > 2*livelyShare && distance2(t.middleM, s.placeM) > companyM*companyM && f.score(atNS, t) >= companyScore {
				other = i
				break
			}
		}
	}
	if other < 0 {
		c.seenS = max(c.seenS-f.stepS/2, 0)
		return
	}
	c.seenS = min(c.seenS+f.stepS, 2*companySeenS)
	if c.seenS >= companySeenS {
		c.lastNS, c.placeM = atNS, f.things.all[other].middleM
	}
}

// there reports whether somebody else has moved there of late.
func (c *company) there(atNS int64) bool { return c.lastNS != 0 && atNS-c.lastNS <= companyHoldNS }
