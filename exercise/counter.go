package exercise

// Shares of the counting state machine (exercises.md 3).
const (
	enterShare      = 0.65 // of base..top: the movement is out
	leaveShare      = 0.35 // and back again
	countShare      = 0.40 // of base..target: least peak that counts
	shallowShare    = 0.80 // below: counted, but shallow
	incompleteShare = 0.25 // below: no attempt at all
	turnedShare     = 0.55 // of a peak's height: that far back, and
	againShare      = 0.30 // that far out again, is a return and a new attempt
	firstTopShare   = 0.62 // assumed peak before the first one: enterShare of it is countShare
	minDurationRel  = 0.4  // of the table's 10 % duration
	maxDurationRel  = 2.5  // of the table's 90 % duration
	minOutFrames    = 2
	maxInvalidShare = 0.3 // of a repetition's poses, beyond: not judged
)

// counter is the state machine for one signal. Internally the signal is a
// share s: 0 at neutral, 1 at the target.
type counter struct {
	neutral, target float64 // of the signal; the target may be the smaller one
	p10S, p90S      float64 // usual duration

	base, top float64 // in s
	peaks     int

	out        bool
	low, high  point // in rest: lowest since the last repetition, highest since low
	peak       point // in out
	trough     point // in out, lowest since the peak
	outFrames  int
	startLow   float64
	poses, bad int
	gap        bool

	trail []point // since the last repetition, for its start
	last  *repetition

	swing // for estimated poses only
}

// point is a value of s at a time.
type point struct {
	ns int64
	s  float64
}

// outcome is what became of an attempt.
type outcome int

const (
	nothing    outcome = iota
	complete           // counts
	incomplete         // peak too low, or too short or long
)

// repetition is one attempt as the counter saw it.
type repetition struct {
	startNS, peakNS, endNS int64
	leftNS                 int64 // when the signal had clearly left its low
	// outNS and returnNS are how long the signal took between leaveShare of
	// the height of the peak and nearly the peak, there and back; 0 if not seen.
	outNS, returnNS int64
	peak            float64 // in s
	height          float64 // in s, of what was counted: peak, or on estimates the swing's rise
	notJudged       bool
	low             float64 // in s, where it ended
	settled         bool
}

func newCounter(neutral, target, p10S, p90S float64) *counter {
	c := &counter{neutral: neutral, target: target, p10S: p10S, p90S: p90S, top: firstTopShare}
	c.low.s, c.high.s = 0, 0
	return c
}

// setNeutral moves the calibrated neutral value; only at rest.
func (c *counter) setNeutral(v float64) {
	c.neutral = v
	c.base = 0
	c.trail = c.trail[:0]
	c.low, c.high = point{}, point{}
}

// x is s between the usual low and the usual peak.
func (c *counter) x(s float64) float64 { return (s - c.base) / (c.top - c.base) }

// invalid counts a pose whose signal could not be measured.
func (c *counter) invalid() {
	c.poses++
	c.bad++
}

// cut notes a gap in the poses: the repetition across it is not judged.
func (c *counter) cut() { c.gap = true }

// feed takes the signal's value at time ns.
func (c *counter) feed(ns int64, value float64) (outcome, repetition) {
	p := point{ns, (value - c.neutral) / (c.target - c.neutral)}
	c.poses++
	c.remember(p)
	c.settle(p)
	if c.out {
		return c.feedOut(p)
	}
	return c.feedRest(p)
}

func (c *counter) feedRest(p point) (outcome, repetition) {
	if len(c.trail) == 1 || p.s < c.low.s {
		c.low, c.high = p, p
	}
	if p.s > c.high.s {
		c.high = p
	}
	if c.x(p.s) > enterShare {
		c.out, c.peak, c.trough, c.outFrames, c.startLow = true, p, p, 1, c.low.s
		return nothing, repetition{}
	}
	// An attempt that stays below the threshold is seen by its return: most
	// of the way back to where it came from.
	rise := c.high.s - c.low.s
	if rise < incompleteShare || c.high.s < incompleteShare || c.high.s-p.s < 0.65*rise {
		return nothing, repetition{}
	}
	c.peak, c.startLow, c.outFrames = c.high, c.low.s, minOutFrames
	if rise < 0.9*countShare {
		return c.finish(p, incomplete)
	}
	return c.finish(p, complete)
}

func (c *counter) feedOut(p point) (outcome, repetition) {
	if p.s > c.peak.s {
		c.peak, c.trough = p, p
	}
	if p.s < c.trough.s {
		c.trough = p
	}
	c.outFrames++
	if c.x(p.s) < leaveShare {
		return c.finish(p, complete)
	}
	// The low a person returns to may have moved. Most of the way back and
	// then clearly out again is a return, too.
	height := c.peak.s - c.startLow
	if c.peak.s-c.trough.s > turnedShare*height && p.s-c.trough.s > againShare*height {
		verdict, rep := c.finish(c.trough, complete)
		c.trail, c.high = append(c.trail, p), p
		if c.x(p.s) > enterShare {
			c.out, c.peak, c.trough, c.outFrames, c.startLow = true, p, p, 1, c.low.s
		}
		return verdict, rep
	}
	return nothing, repetition{}
}

// finish ends the attempt at p.
func (c *counter) finish(p point, verdict outcome) (outcome, repetition) {
	startNS, leftNS := c.start()
	rep := repetition{
		startNS: startNS, leftNS: leftNS, peakNS: c.peak.ns, endNS: p.ns, peak: c.peak.s, height: c.peak.s, low: p.s,
		notJudged: c.gap || float64(c.bad) > maxInvalidShare*float64(c.poses),
	}
	rep.outNS, rep.returnNS = c.slopes(p)
	duration := float64(rep.endNS-rep.startNS) / 1e9
	switch {
	case c.peak.s < countShare, c.outFrames < minOutFrames,
		// The end is not reached yet when the signal is back, hence the allowance.
		duration < 0.6*minDurationRel*c.p10S, duration > maxDurationRel*c.p90S:
		verdict = incomplete
	}
	if verdict == complete {
		c.adapt()
		c.last = &rep
	}
	c.out, c.gap, c.poses, c.bad = false, false, 0, 0
	c.low, c.high = p, p
	c.trail = append(c.trail[:0], p)
	return verdict, rep
}

// adapt follows the person: the usual peak is an exponential average of about
// three, the usual low moves slowly and not far from neutral.
func (c *counter) adapt() {
	peak := min(c.peak.s, 1.5)
	if c.peaks == 0 {
		c.top = peak
	} else {
		c.top += 0.5 * (peak - c.top)
	}
	c.peaks++
	low := min(max(c.startLow, -0.3), 0.35)
	c.base += 0.5 * (low - c.base)
	c.base = min(c.base, c.top-0.3)
}

// start is when the signal left its low before the peak, and when it had
// clearly left it: what a person looks like on the way out, whatever the
// standstill before was like.
func (c *counter) start() (startNS, leftNS int64) {
	height := c.peak.s - c.startLow
	startNS, leftNS = c.peak.ns, 0
	for i := len(c.trail) - 1; i >= 0; i-- {
		p := c.trail[i]
		if p.ns > c.peak.ns {
			continue
		}
		startNS = p.ns
		if leftNS == 0 && p.s <= c.startLow+0.2*height {
			leftNS = p.ns
		}
		if p.s <= c.startLow+0.1*height {
			break
		}
	}
	return startNS, max(leftNS, startNS)
}

// slopes returns how long the way out and the way back took, without the hold
// in between.
func (c *counter) slopes(end point) (outNS, returnNS int64) {
	height := c.peak.s - c.startLow
	foot, crest := c.startLow+leaveShare*height, c.startLow+0.95*height
	var low, first, last int64
	for _, p := range c.trail {
		switch {
		case p.s < foot && first == 0:
			low = p.ns
		case p.s >= crest && low > 0:
			if first == 0 {
				first = p.ns
			}
			last = p.ns
		}
	}
	if low == 0 || first == 0 || end.ns <= last {
		return 0, 0
	}
	return first - low, end.ns - last
}

// remember keeps the signal since the last repetition, as long as one may take.
func (c *counter) remember(p point) {
	c.trail = append(c.trail, p)
	oldest := p.ns - int64((maxDurationRel*c.p90S+2)*1e9)
	if n := len(c.trail); n > 64 && c.trail[n/2].ns < oldest {
		c.trail = c.trail[:copy(c.trail, c.trail[n/2:])]
	}
}

// settle moves the end of the last repetition to where the signal really came
// to rest or turned.
func (c *counter) settle(p point) {
	r := c.last
	if r == nil || r.settled {
		return
	}
	if p.s < r.low {
		r.low, r.endNS = p.s, p.ns
	}
	if c.out || p.s > r.low+0.05 || p.ns-r.endNS > 3e8 {
		r.settled = true
	}
}
