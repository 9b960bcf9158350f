package timesync

import (
	"posefuse/sensors/modality"
)

// phaseLock moves the ticks onto the capture times of a reference sensor that
// runs at about the tick rate, so that one tick holds the same frame of every
// sensor. It changes only the time to the next tick, by little, so the rate
// stays within 2 % of the nominal one; the first lock after a start or a
// standstill is quick.
type phaseLock struct {
	period int64
	off    bool

	ref     modality.Kind
	locked  bool  // ref is valid
	errNS   int64 // newest phase error, capture minus tick
	dir     int64 // sign of the last correction that mattered
	quick   int   // quick corrections left
	without int   // ticks since a reference was there
}

const (
	quickTicks   = 10  // quick corrections after a start
	quickShare   = 5   // a quick correction is at most period/quickShare
	slowShare    = 66  // a slow one at most period/slowShare: 1.5 %
	lockMinTimes = 4   // capture times needed to judge a reference
	lockPhase    = 8   // capture times the phase is the median of
	rateTolShare = 33  // the reference's period is within period/rateTolShare
	doneNS       = 5e5 // a phase error below ends the quick start
)

// restart allows quick corrections again.
func (p *phaseLock) restart() {
	p.quick, p.without, p.locked, p.dir, p.errNS = quickTicks, 0, false, 0, 0
}

// next returns the correction of the time to the tick after tickNS.
func (p *phaseLock) next(tickNS int64, inputs *[modality.Count]*input, now, stale int64) int64 {
	if p.off {
		return 0
	}
	p.locked = false
	for m, in := range inputs { // R, L, M, W is the order of preference
		if in != nil && in.live(now, stale) && in.steady(p.period) {
			p.ref, p.locked = modality.Kind(m), true
			p.errNS = in.phaseError(tickNS, p.period)
			break
		}
	}
	if !p.locked {
		p.errNS = 0
		p.without++
		if p.without > quickTicks {
			p.quick = quickTicks // nothing depends on the phase any more
		}
		return 0
	}
	p.without = 0

	err := p.errNS
	// Near half a period both directions are as good; keep to the one taken.
	if abs(err) > p.period*2/5 && p.dir != 0 && err*p.dir < 0 {
		err += p.dir * p.period
	}
	switch {
	case err > 0:
		p.dir = 1
	case err < 0:
		p.dir = -1
	}
	if p.quick > 0 {
		p.quick--
		if abs(err) < doneNS {
			p.quick = 0
		}
		limit := p.period / quickShare
		return min(max(err, -limit), limit)
	}
	limit := p.period / slowShare
	return min(max(err*3/10, -limit), limit)
}

// steady reports whether the sensor runs at about the given period.
func (in *input) steady(period int64) bool {
	if in.recentN < lockMinTimes {
		return false
	}
	var slots int64
	for i := 1; i < in.recentN; i++ {
		d := in.recent[i] - in.recent[i-1]
		slots += max((d+period/2)/period, 1) // a lost frame is not a slower sensor
	}
	mean := (in.recent[in.recentN-1] - in.recent[0]) / slots
	return abs(mean-period) <= period/rateTolShare
}

// phaseError returns the median of the newest capture times minus the nearest
// instant of the tick grid through tickNS.
func (in *input) phaseError(tickNS, period int64) int64 {
	from := max(in.recentN-lockPhase, 0)
	newest := wrap(in.recent[in.recentN-1]-in.centre-tickNS, period)
	var d [recentLen]int64
	n := 0
	for i := from; i < in.recentN; i++ {
		// Relative to the newest, so that the median is not torn at the wrap.
		d[n] = wrap(in.recent[i]-in.recent[in.recentN-1], period)
		n++
	}
	return wrap(newest+median(d[:n]), period)
}

// wrap returns x modulo period in [-period/2, period/2).
func wrap(x, period int64) int64 {
	x = (x + period/2) % period
	if x < 0 {
		x += period
	}
	return x - period/2
}
