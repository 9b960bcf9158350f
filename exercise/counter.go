package exercise

import (
	"cmp"
	"math"
	"slices"
)

// Repetitions are the rises and falls of one signal, a share s: 0 at rest, 1
// at the target. A network that is not sure gives something between the poses
// it knows, so its movements are smaller than the person's, by a share that
// differs between people, exercises and models. But they go up and down when
// the person does, and hardly ever otherwise. Hence the rises and falls of a
// set measure each other, and the noise of the signal measures what a rise is.
// What share of the target must be reached is asked only where the size of the
// poses is known, see Tracker.SetFigures.
const (
	riseFloor      = 0.11  // least rise, share of rest..target
	riseMaxFloor   = 0.60  // where pose noise stops raising it
	quietFew       = 20.0  // poses of quiet standing that show half of the variance
	quietMost      = 200.0 // poses of it used
	riseNoise      = 6.0   // standard deviations of the smoothed signal that are a rise
	riseShare      = 0.4   // of the usual rise is a rise, where the size of poses is not known
	attemptShare   = 0.25  // of the usual rise is an attempt
	fallShare      = 0.45  // of the own rise is the return
	turnShare      = 0.25  // of the first rise, down and up again, is a return too
	sureRise       = 0.35  // a smaller first rise is believed when a second one follows
	alikeShare     = 0.5   // least ratio of those two, and of a repetition to the usual one
	followRel      = 2.0   // of the table's 90 % duration: latest start of the second
	noisePass      = 0.05  // weight of the newest pose in the noise
	followShare    = 0.4   // weight of the newest repetition in the usual rise
	wobbleShare    = 0.35  // of the usual rise above the usual low: a dip on the way, no attempt
	completeShare  = 0.40  // of the target is a repetition, where the size of poses is known (exercises.md 3)
	noAttemptShare = 0.25  // of the target is an attempt there
	slopeShare     = 0.35  // foot of the slopes, share of the height

	minDurationRel  = 0.4 // of the table's 10 % duration
	endAllowance    = 0.6 // of the duration is seen when the signal is back
	minOutFrames    = 2
	maxInvalidShare = 0.3 // of a repetition's poses, beyond: not judged

	// maxRepetitionS is the longest repetition, seconds: 30 s for slow and held
	// ones of patients, and what leaving and reaching rest adds to it.
	maxRepetitionS = 35.0
)

// Reasons why an attempt does not count.
const (
	whyTooSmall = "too_small" // less than 40 % of the target, or half of the usual repetition
	whyTooShort = "too_short" // faster than a person moves
	whyTooLong  = "too_long"  // not back within maxRepetitionS
)

// point is a value of s at a time.
type point struct {
	ns int64
	s  float64
}

// repetition is one attempt as the counter saw it.
type repetition struct {
	startNS, peakNS, endNS int64
	leftNS                 int64 // when the signal had clearly left its low
	// outNS and returnNS are how long the signal took between slopeShare of
	// the height of the peak and nearly the peak, there and back; 0 if not seen.
	outNS, returnNS int64
	peak            float64 // in s
	height          float64 // in s: the rise
	notJudged       bool
	low             float64 // in s, where it ended
	settled         bool
}

// seen is a finished attempt and why it does not count, "" if it does.
type seen struct {
	rep *repetition
	why string
}

// counter finds the attempts in one signal.
type counter struct {
	p10S, p90S float64 // usual duration
	restNS     int64   // without a repetition that long, the usual rise is forgotten
	least      float64 // share that a repetition must reach, 0 where the size of poses is not known

	out        bool
	low        point // in rest: lowest since the last repetition
	peak       point // in out
	trough     point // in out, lowest since the peak
	outNS      int64 // when the signal had clearly left its low
	outFrames  int
	startLow   float64
	poses, bad int
	gap        bool

	trail []point // since the last repetition
	last  *repetition

	usual      float64     // rise of the set's repetitions, 0 if not known
	usualLow   float64     // where the last repetition began
	usualNS    int64       // when it was last confirmed
	before     float64     // usual, before the newest repetition
	newest     *repetition // whose fall is not measured yet
	doubtful   *repetition // a small first one, not reported yet
	variance   float64     // of the signal around its smoothed self
	unsmoothed bool        // the shares are those of single poses
	measured   int

	quietNS                         int64 // newest pose of quiet standing
	quietN, quietMean, quietSquares float64
}

func newCounter(p10S, p90S, restS float64) *counter {
	return &counter{p10S: p10S, p90S: p90S, restNS: int64(restS * 1e9)}
}

// invalid counts a pose whose signal could not be measured.
func (c *counter) invalid() {
	c.poses++
	c.bad++
}

// cut notes a gap in the poses: the repetition across it is not judged.
func (c *counter) cut() { c.gap = true }

// busy reports whether a repetition may be going on, more than the noise of
// somebody who stands.
func (c *counter) busy() bool { return c.out && c.peak.s-c.startLow >= c.least }

// rest forgets an attempt that goes on: what follows begins here.
func (c *counter) rest() {
	c.out, c.gap, c.poses, c.bad, c.doubtful = false, false, 0, 0, nil
	c.trail = c.trail[:0]
}

// noisy takes how far the newest pose's share is from the smoothed one.
func (c *counter) noisy(residual float64) {
	c.measured++
	c.variance += max(noisePass, 1/float64(c.measured)) * (residual*residual - c.variance)
}

// quiet takes the shares of somebody who stands quietly.
func (c *counter) quiet(ns int64, share float64) {
	if ns <= c.quietNS || c.quietN >= quietMost {
		return
	}
	c.quietNS = ns
	if c.quietN >= quietFew && math.Abs(share-c.quietMean) > c.floor() {
		return // a slow exercise looks like standing to the calibration
	}
	c.quietN++
	d := share - c.quietMean
	c.quietMean += d / c.quietN
	c.quietSquares += d * (share - c.quietMean)
}

// floor is the least rise that is movement: above the noise between poses and
// the slower one that quiet standing shows. The residual of a mean of three is
// white noise of twice the mean's own variance. Neighbouring poses of slow
// noise are alike, so few of them show too little of it.
func (c *counter) floor() float64 {
	variance := c.variance / 2
	if c.unsmoothed {
		variance = c.variance * 3 / 2
	}
	if c.quietN >= 2 {
		variance = max(variance, c.quietSquares/(c.quietN-1)*(1+quietFew/c.quietN))
	}
	return min(max(riseFloor, riseNoise*math.Sqrt(variance)), riseMaxFloor)
}

// feed takes the signal's share at time ns and returns the attempts that it
// finishes: none, one, or two if it confirms a doubtful one.
func (c *counter) feed(ns int64, s float64) []seen {
	p := point{ns, s}
	c.poses++
	c.remember(p)
	c.settle(p)
	var found []seen
	if !c.out && c.usual > 0 {
		late := c.restNS
		if c.doubtful != nil {
			late = int64(followRel * c.p90S * 1e9)
		}
		if ns-c.usualNS > late {
			if c.doubtful != nil {
				found = append(found, seen{c.doubtful, whyTooSmall})
			}
			c.usual, c.doubtful = 0, nil
		}
	}
	rise := c.rise()
	if !c.out {
		switch {
		case s <= c.low.s:
			c.low = p
		case c.low.ns < c.trail[0].ns: // forgotten
			c.low = slices.MinFunc(c.trail, func(a, b point) int { return cmp.Compare(a.s, b.s) })
		}
		if s > c.low.s+rise {
			c.rising(p, c.low.s)
		}
		return found
	}
	c.outFrames++
	// The first rise of a set may come from farther below than the others,
	// whose lows then are no return. A clear fall and as clear a new rise is.
	least := max(rise, turnShare*(c.peak.s-c.startLow))
	turned := c.usual == 0 && c.peak.s-c.trough.s >= least && s-c.trough.s >= least
	if s > c.peak.s && !turned {
		c.peak, c.trough = p, p
	}
	if s < c.trough.s {
		c.trough = p
	}
	height := c.peak.s - c.startLow
	full := height // what a return is measured by
	if c.usual > 0 {
		full = min(full, c.usual)
	}
	end := p
	switch {
	case turned:
		end = c.trough
	case c.peak.s-s >= max(min(rise, 0.8*height), fallShare*full):
	case ns-c.outNS >= int64(maxRepetitionS*1e9):
		rep := c.finish(p, height)
		c.low = p
		return append(found, seen{rep, whyTooLong})
	default:
		return found
	}
	found = append(found, c.believe(c.finish(end, height))...)
	if s > end.s+rise { // on its way out again
		c.trail = append(c.trail, p)
		c.rising(p, end.s)
	}
	return found
}

// rise is the least rise that is an attempt now.
func (c *counter) rise() float64 {
	share := riseShare
	if c.least > 0 {
		share = attemptShare
	}
	return max(c.floor(), share*c.usual)
}

// rising notes that the signal has clearly left its low.
func (c *counter) rising(p point, low float64) {
	c.measureFall(low)
	c.out, c.outNS, c.peak, c.trough, c.outFrames, c.startLow = true, p.ns, p, p, 1, low
}

// believe takes a finished attempt and returns what is known now.
func (c *counter) believe(rep *repetition) []seen {
	if c.outFrames < minOutFrames || durationS(rep) < endAllowance*minDurationRel*c.p10S {
		if rep.height < max(c.least, alikeShare*c.usual) || c.usual == 0 && c.least == 0 {
			return nil
		}
		return []seen{{rep, whyTooShort}}
	}
	height := rep.height
	if c.usual > 0 && c.doubtful == nil && height < alikeShare*c.usual {
		if rep.low > c.usualLow+wobbleShare*c.usual || c.startLow > c.usualLow+wobbleShare*c.usual {
			return nil
		}
		if height >= max(attemptShare*c.usual, noAttemptShare/completeShare*c.least) {
			return []seen{{rep, whyTooSmall}}
		}
	}
	if c.least > 0 {
		switch {
		case height < noAttemptShare/completeShare*c.least:
			return nil
		case height < c.least:
			return []seen{{rep, whyTooSmall}}
		}
		return []seen{c.complete(rep)}
	}
	first := c.doubtful
	switch {
	case first != nil && min(height, first.height) >= alikeShare*max(height, first.height):
		again := c.complete(rep)
		c.doubtful = nil
		return []seen{{first, ""}, again}
	case first == nil && c.usual > 0, height >= sureRise:
		if first != nil {
			c.usual = 0
		}
		again := c.complete(rep)
		c.doubtful = nil
		if first != nil {
			return []seen{{first, whyTooSmall}, again}
		}
		return []seen{again}
	}
	c.usual, c.usualNS, c.doubtful, c.newest, c.before = height, rep.endNS, rep, rep, 0
	return nil
}

// complete takes a repetition that counts.
func (c *counter) complete(rep *repetition) seen {
	c.last, c.newest, c.usualNS, c.before, c.usualLow = rep, rep, rep.endNS, c.usual, c.startLow
	c.follow(rep.height)
	return seen{rep, ""}
}

// follow takes the height of one more repetition.
func (c *counter) follow(height float64) {
	if c.before == 0 {
		c.usual = height
		return
	}
	c.usual = c.before + followShare*(height-c.before)
}

// measureFall corrects the height of the last repetition when the signal rises
// again: the first one of a set may come from farther below, from standing
// instead of the exercise's own start, than the others.
func (c *counter) measureFall(low float64) {
	r := c.newest
	if r == nil || c.usual == 0 {
		return
	}
	if fall := r.peak - low; fall < r.height {
		r.height = fall
		c.usualLow = low
		c.follow(fall)
	}
	c.newest = nil
}
