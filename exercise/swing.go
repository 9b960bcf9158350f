package exercise

import "math"

// Estimated poses are counted by swings. A network that is not sure gives
// something between the poses it knows, so its movements are smaller than the
// person's, by a share that differs between people, exercises and models and
// is not known in advance: a lunge of one person may show half of the knee's
// flexion and a sixth of the step. But they go up and down when the person
// does, and hardly ever otherwise. Hence no share of a target is asked for:
// the rises and falls of a set measure each other, and the noise of the signal
// measures what a rise is.

const (
	swingFloor       = 0.12 // least rise, share of neutral..target
	swingMaxFloor    = 0.40 // where pose noise stops raising it
	swingNoise       = 6.0  // standard deviations of the smoothed signal that are a rise
	swingShare       = 0.4  // of the usual rise is a rise
	swingFall        = 0.45 // of the own rise is the return
	swingSure        = 0.35 // a smaller first rise is believed when a second one follows
	swingAlike       = 0.5  // least ratio of those two
	swingFollow      = 2.0  // of the table's 90 % duration: latest start of the second
	swingForgetNS    = int64(4e9)
	swingNoisePass   = 0.05 // weight of the newest pose in the noise
	swingFollowShare = 0.4  // weight of the newest repetition in the usual rise
)

// swing is the part of a counter for estimated poses.
type swing struct {
	estimated bool
	usual     float64     // rise of the set's repetitions, 0 if not known
	usualNS   int64       // when it was last confirmed
	before    float64     // usual, before the newest repetition
	newest    *repetition // whose fall is not measured yet
	doubtful  *repetition // a small first one, not reported yet
	variance  float64     // of the signal around its smoothed self
	seen      int
}

// newSwingCounter returns a counter for shares of estimated poses.
func newSwingCounter(p10S, p90S float64) *counter {
	c := newCounter(0, 1, p10S, p90S)
	c.estimated = true
	return c
}

// noisy takes how far the newest pose's share is from the smoothed one.
func (w *swing) noisy(residual float64) {
	w.seen++
	w.variance += max(swingNoisePass, 1/float64(w.seen)) * (residual*residual - w.variance)
}

// floor is the least rise that is movement. The residual of a mean of three is
// white noise of twice the mean's own variance.
func (w *swing) floor() float64 {
	return min(max(swingFloor, swingNoise*math.Sqrt(w.variance/2)), swingMaxFloor)
}

// feedSwing takes a share of an estimated pose and returns the repetitions
// that it completes: none, one, or two if it confirms a doubtful one.
func (c *counter) feedSwing(ns int64, s float64) []*repetition {
	p := point{ns, s}
	c.poses++
	c.remember(p)
	c.settle(p)
	if !c.out && c.usual > 0 {
		late := swingForgetNS
		if c.doubtful != nil {
			late = int64(swingFollow * c.p90S * 1e9)
		}
		if ns-c.usualNS > late {
			c.usual, c.doubtful = 0, nil
		}
	}
	rise := max(c.floor(), swingShare*c.usual)
	if !c.out {
		if len(c.trail) == 1 || s < c.low.s {
			c.low = p
		}
		if s > c.low.s+rise {
			c.measureFall()
			c.out, c.peak, c.outFrames, c.startLow = true, p, 1, c.low.s
		}
		return nil
	}
	c.outFrames++
	if s > c.peak.s {
		c.peak = p
	}
	height := c.peak.s - c.startLow
	if c.peak.s-s < max(rise, swingFall*height) {
		return nil
	}
	verdict, rep := c.finishSwing(p, height)
	if verdict != complete {
		return nil
	}
	first := c.doubtful
	c.doubtful, c.usualNS, c.newest, c.before = nil, ns, rep, c.usual
	switch {
	case first != nil && min(height, first.height) >= swingAlike*max(height, first.height):
		c.follow(height)
		return []*repetition{first, rep}
	case c.usual > 0 && first == nil:
		c.follow(height)
		return []*repetition{rep}
	case height >= swingSure:
		c.usual = height
		return []*repetition{rep}
	}
	c.usual, c.doubtful = height, rep
	return nil
}

// follow takes the height of one more repetition.
func (c *counter) follow(height float64) {
	if c.before == 0 {
		c.usual = height
		return
	}
	c.usual = c.before + swingFollowShare*(height-c.before)
}

// measureFall corrects the height of the last repetition when the signal rises
// again: the first one of a set may come from farther below, from standing
// instead of the exercise's own start, than the others.
func (c *counter) measureFall() {
	r := c.newest
	if r == nil || c.usual == 0 {
		return
	}
	if fall := r.peak - c.low.s; fall < r.height {
		r.height = fall
		c.follow(fall)
	}
	c.newest = nil
}

// finishSwing ends the swing at p.
func (c *counter) finishSwing(p point, height float64) (outcome, *repetition) {
	startNS, leftNS := c.start()
	rep := &repetition{
		startNS: startNS, leftNS: leftNS, peakNS: c.peak.ns, endNS: p.ns, peak: c.peak.s, height: height, low: p.s,
		notJudged: c.gap || float64(c.bad) > maxInvalidShare*float64(c.poses),
	}
	rep.outNS, rep.returnNS = c.slopes(p)
	verdict := complete
	duration := durationS(rep)
	if c.outFrames < minOutFrames || duration < 0.6*minDurationRel*c.p10S || duration > maxDurationRel*c.p90S {
		verdict = incomplete
	} else {
		c.last = rep
	}
	c.out, c.gap, c.poses, c.bad = false, false, 0, 0
	c.low, c.high = p, p
	c.trail = append(c.trail[:0], p)
	return verdict, rep
}

// estimate is the mean share of the signals that estimated poses are counted
// by. Before calibration it does without those that need it.
func (d *Definition) estimate(b body, side Side) (share float64, ok bool) {
	terms := d.Estimate
	if len(terms) == 0 {
		terms = []Count{d.Count}
	}
	n := 0
	for _, c := range terms {
		v, ok := c.value(b, side)
		if !ok {
			if b.cal.standing {
				return 0, false
			}
			continue
		}
		share += (v - c.Neutral) / (c.Target - c.Neutral)
		n++
	}
	if n == 0 {
		return 0, false
	}
	return share / float64(n), true
}

// feedEstimate gives one smoothed estimated pose to one counter of a run.
func (t *Tracker) feedEstimate(r *run, c *counter, b body, ns int64, side Side) {
	share, ok := r.def.estimate(b, side)
	if !ok {
		c.invalid()
		return
	}
	if raw, ok := r.def.estimate(body{&t.track[len(t.track)-1].raw, b.cal}, side); ok {
		c.noisy(raw - share)
	}
	reps := c.feedSwing(ns, share)
	if c.out || len(reps) > 0 {
		t.busyNS = t.nowNS
	}
	for _, rep := range reps {
		t.attempt(r, side, complete, rep, rep)
	}
}
