package sensors

import "time"

const rateBuckets = 20

// rateWindow estimates the rate of events over a sliding window from counts
// and end times per bucket, in constant memory.
type rateWindow struct {
	bucket time.Duration
	slots  [rateBuckets]struct {
		index       int64 // bucket number since start; slots are reused
		n           uint64
		first, last time.Duration
	}
}

func newRateWindow(window time.Duration) rateWindow {
	return rateWindow{bucket: max(window/rateBuckets, 1)}
}

// add counts an event at now, a time since any fixed start, never negative.
func (r *rateWindow) add(now time.Duration) {
	i := int64(now / r.bucket)
	s := &r.slots[i%rateBuckets]
	if s.index != i || s.n == 0 {
		s.index, s.n, s.first = i, 0, now
	}
	s.n++
	s.last = now
}

// hz returns the rate at now: intervals over the time they took, and lower as
// soon as the next event is overdue.
func (r *rateWindow) hz(now time.Duration) float64 {
	newest := int64(now / r.bucket)
	var n uint64
	first, last := time.Duration(-1), time.Duration(0)
	for i := range r.slots {
		s := &r.slots[i]
		if s.n == 0 || s.index <= newest-rateBuckets {
			continue
		}
		n += s.n
		if first < 0 || s.first < first {
			first = s.first
		}
		last = max(last, s.last)
	}
	if n < 2 {
		return 0
	}
	span := last - first
	if mean := span / time.Duration(n-1); now-last > 2*mean {
		span = now - first
	}
	if span <= 0 {
		return 0
	}
	return float64(n-1) / span.Seconds()
}
