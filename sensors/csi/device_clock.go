package csi

import "math"

// wrapSpan is how far a 32-bit clock of microseconds goes: 71.6 minutes.
const wrapSpan = int64(1) << 32

// backAtLeast is how much more a clock must seem to have gone on than the host's
// to have been set back, us.
const backAtLeast = int64(10e6)

// wrappingClock continues a device's 32-bit microseconds over their wraps. The
// host's clock tells how often it went round, and whether it was set back
// instead.
type wrappingClock struct {
	started bool
	last    uint32
	us      int64 // continued
	nowNS   int64
}

// ns returns the device's time, ns, at a stamp that came at nowNS. restarted
// means that the clock started over.
func (c *wrappingClock) ns(stamp uint32, nowNS int64) (deviceNS int64, restarted bool) {
	if !c.started {
		c.started, c.us = true, int64(stamp)
	} else {
		step, host := int64(stamp-c.last), (nowNS-c.nowNS)/1000
		turns := int64(math.Round(float64(host-step) / float64(wrapSpan)))
		switch {
		case step > host+backAtLeast:
			restarted, c.us = true, int64(stamp)
		default:
			c.us += step + max(turns, 0)*wrapSpan
		}
	}
	c.last, c.nowNS = stamp, nowNS
	return c.us * 1000, restarted
}
