package exercise

// finish ends the attempt at p.
func (c *counter) finish(p point, height float64) *repetition {
	startNS, leftNS := c.start()
	rep := &repetition{
		startNS: startNS, leftNS: leftNS, peakNS: c.peak.ns, endNS: p.ns, peak: c.peak.s, height: height, low: p.s,
		notJudged: c.gap || float64(c.bad) > maxInvalidShare*float64(c.poses),
	}
	rep.outNS, rep.returnNS = c.slopes(p)
	c.out, c.gap, c.poses, c.bad = false, false, 0, 0
	c.low = p
	c.trail = append(c.trail[:0], p)
	return rep
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
	foot, crest := c.startLow+slopeShare*height, c.startLow+0.95*height
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
	oldest := p.ns - int64((maxRepetitionS+2)*1e9)
	if n := len(c.trail); n > 64 && c.trail[n/8].ns < oldest {
		c.trail = c.trail[:copy(c.trail, c.trail[n/8:])]
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

// shift moves what is remembered of the signal by d.
func (c *counter) shift(d float64) {
	for _, p := range []*point{&c.low, &c.peak, &c.trough} {
		p.s += d
	}
	c.startLow += d
	c.usualLow += d
	c.quietMean += d
	for i := range c.trail {
		c.trail[i].s += d
	}
}
