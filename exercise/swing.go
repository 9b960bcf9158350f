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
	swingFloor       = 0.11  // least rise, share of neutral..target
	swingMaxFloor    = 0.60  // where pose noise stops raising it
	swingQuietFew    = 20.0  // poses of quiet standing that show half of the variance
	swingQuietMost   = 200.0 // poses of it used
	swingNoise       = 6.0   // standard deviations of the smoothed signal that are a rise
	swingShare       = 0.4   // of the usual rise is a rise
	swingFall        = 0.45  // of the own rise is the return
	swingTurn        = 0.25  // of the first rise, down and up again, is a return too
	swingSure        = 0.35  // a smaller first rise is believed when a second one follows
	swingAlike       = 0.5   // least ratio of those two
	swingFollow      = 2.0   // of the table's 90 % duration: latest start of the second
	swingForgetNS    = int64(setRestS * 1e9)
	swingNoisePass   = 0.05 // weight of the newest pose in the noise
	swingFollowShare = 0.4  // weight of the newest repetition in the usual rise
)

// swing is the part of a counter for estimated poses.
type swing struct {
	usual    float64     // rise of the set's repetitions, 0 if not known
	usualNS  int64       // when it was last confirmed
	before   float64     // usual, before the newest repetition
	newest   *repetition // whose fall is not measured yet
	doubtful *repetition // a small first one, not reported yet
	variance float64     // of the signal around its smoothed self
	seen     int

	quietNS                         int64 // newest pose of quiet standing
	quietN, quietMean, quietSquares float64
}

// newSwingCounter returns a counter for shares of estimated poses.
func newSwingCounter(p10S, p90S float64) *counter {
	return newCounter(0, 1, p10S, p90S)
}

// noisy takes how far the newest pose's share is from the smoothed one.
func (w *swing) noisy(residual float64) {
	w.seen++
	w.variance += max(swingNoisePass, 1/float64(w.seen)) * (residual*residual - w.variance)
}

// quiet takes the shares of somebody who stands quietly.
func (w *swing) quiet(ns int64, share float64) {
	if ns <= w.quietNS || w.quietN >= swingQuietMost {
		return
	}
	w.quietNS = ns
	if w.quietN >= swingQuietFew && math.Abs(share-w.quietMean) > w.floor() {
		return // a slow exercise looks like standing to the calibration
	}
	w.quietN++
	d := share - w.quietMean
	w.quietMean += d / w.quietN
	w.quietSquares += d * (share - w.quietMean)
}

// floor is the least rise that is movement: above the noise between poses and
// the slower one that quiet standing shows. The residual of a mean of three is
// white noise of twice the mean's own variance. Neighbouring poses of slow
// noise are alike, so few of them show too little of it.
func (w *swing) floor() float64 {
	variance := w.variance / 2
	if w.quietN >= 2 {
		variance = max(variance, w.quietSquares/(w.quietN-1)*(1+swingQuietFew/w.quietN))
	}
	return min(max(swingFloor, swingNoise*math.Sqrt(variance)), swingMaxFloor)
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
			c.rising(p, c.low.s)
		}
		return nil
	}
	c.outFrames++
	// The first rise of a set may come from farther below than the others,
	// whose lows then are no return. A clear fall and as clear a new rise is.
	least := max(rise, swingTurn*(c.peak.s-c.startLow))
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
	case c.peak.s-s < max(rise, swingFall*full):
		return nil
	}
	reps := c.believe(c.finishSwing(end, height))
	if s > end.s+rise { // on its way out again
		c.trail = append(c.trail, p)
		c.rising(p, end.s)
	}
	return reps
}

// rising notes that the signal has clearly left its low.
func (c *counter) rising(p point, low float64) {
	c.measureFall(low)
	c.out, c.peak, c.trough, c.outFrames, c.startLow = true, p, p, 1, low
}

// believe takes a finished swing and returns what is reported now.
func (c *counter) believe(rep *repetition) []*repetition {
	if rep == nil {
		return nil
	}
	first, height := c.doubtful, rep.height
	c.doubtful, c.usualNS, c.newest, c.before = nil, rep.endNS, rep, c.usual
	switch {
	case first != nil && min(height, first.height) >= swingAlike*max(height, first.height):
		c.follow(height)
		return []*repetition{first, rep}
	case first == nil && c.usual > 0:
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
func (c *counter) measureFall(low float64) {
	r := c.newest
	if r == nil || c.usual == 0 {
		return
	}
	if fall := r.peak - low; fall < r.height {
		r.height = fall
		c.follow(fall)
	}
	c.newest = nil
}

// finishSwing ends the swing at p; nil if it is too short or long for a
// repetition.
func (c *counter) finishSwing(p point, height float64) *repetition {
	startNS, leftNS := c.start()
	rep := &repetition{
		startNS: startNS, leftNS: leftNS, peakNS: c.peak.ns, endNS: p.ns, peak: c.peak.s, height: height, low: p.s,
		notJudged: c.gap || float64(c.bad) > maxInvalidShare*float64(c.poses),
	}
	rep.outNS, rep.returnNS = c.slopes(p)
	duration := durationS(rep)
	if c.outFrames < minOutFrames || duration < 0.6*minDurationRel*c.p10S || duration > maxDurationRel*c.p90S {
		rep = nil
	} else {
		c.last = rep
	}
	c.out, c.gap, c.poses, c.bad = false, false, 0, 0
	c.low, c.high = p, p
	c.trail = append(c.trail[:0], p)
	return rep
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

// recalibrated takes poses of quiet standing after the calibration that was
// made from them replaced old. Signals that are measured from standing have
// jumped by what the newest pose has; that is no movement.
func (t *Tracker) recalibrated(old *calibration) {
	since := t.nowNS - int64(calibrationS*1e9)
	for _, r := range t.runs {
		for c, side := range r.counters() {
			if n := len(t.track); n > 0 {
				newest := &t.track[n-1].smooth
				before, ok1 := r.def.estimate(body{newest, old}, side)
				after, ok2 := r.def.estimate(body{newest, &t.filter.cal}, side)
				if ok1 && ok2 {
					c.shift(after - before)
				}
			}
			for i := range t.track {
				if t.track[i].ns < since {
					continue
				}
				if v, ok := r.def.estimate(body{&t.track[i].smooth, &t.filter.cal}, side); ok {
					c.quiet(t.track[i].ns, v)
				}
			}
		}
	}
}

// counters returns the counters of a run with the sides they are for.
func (r *run) counters() map[*counter]Side {
	m := map[*counter]Side{r.own: r.def.OfSide}
	if r.other != nil {
		m[r.other] = r.def.OfSide.Other()
	}
	return m
}

// shift moves what is remembered of the signal by d.
func (c *counter) shift(d float64) {
	for _, p := range []*point{&c.low, &c.high, &c.peak, &c.trough} {
		p.s += d
	}
	c.startLow += d
	c.quietMean += d
	for i := range c.trail {
		c.trail[i].s += d
	}
}
