package timesync

import "posefuse/sensors"

// Outcomes counts what became of a sensor's samples. Every sample handed to
// the aligner ends in exactly one field: In = Fused + Late + Early + Surplus +
// Stale + Duplicate + DroppedOverflow + Pending.
type Outcomes struct {
	In              uint64 // handed over
	Fused           uint64 // used by a tick; once, also when several windows hold the sample
	Late            uint64 // came after the tick it belonged to was given out
	Early           uint64 // capture time lies in the future: the sensor's clock is wrong
	Surplus         uint64 // in time, but no tick took it: another sample was nearer, or its tick was skipped
	Stale           uint64 // capture time older than Config.Stale on arrival
	Duplicate       uint64 // same sequence number and device time as a recent sample
	DroppedOverflow uint64 // the queue was full, the oldest sample gave way
	Pending         uint64 // waiting for its tick
}

// Sum returns the sum of all outcomes and of what is pending.
func (o Outcomes) Sum() uint64 {
	return o.Fused + o.Late + o.Early + o.Surplus + o.Stale + o.Duplicate + o.DroppedOverflow + o.Pending
}

// Map returns the counters by name for status messages.
func (o Outcomes) Map() map[string]uint64 {
	return map[string]uint64{
		"in": o.In, "fused": o.Fused, "late": o.Late, "early": o.Early, "surplus": o.Surplus,
		"stale": o.Stale, "duplicate": o.Duplicate, "dropped_overflow": o.DroppedOverflow, "pending": o.Pending,
	}
}

// entry is a sample in a queue.
type entry struct {
	sample *sensors.Sample
	at     int64 // capture time, room clock
	used   bool  // counted as fused
	late   bool  // arrived after the tick it belongs to
}

// queue is a bounded ring of samples in the order of capture time. A sample
// that arrives out of order is put in its place.
type queue struct {
	ring []entry // capacity
	head int     // index of the oldest
	n    int
	outs *Outcomes
}

func (q *queue) at(i int) *entry {
	i += q.head
	if i >= len(q.ring) {
		i -= len(q.ring)
	}
	return &q.ring[i]
}

// insert adds e, dropping the oldest entry of a full queue.
func (q *queue) insert(e entry) {
	if q.n == len(q.ring) {
		if !q.at(0).used && e.at < q.at(0).at {
			q.outs.DroppedOverflow++ // e itself is the oldest
			return
		}
		if old := q.at(0); !old.used {
			q.outs.DroppedOverflow++
			q.outs.Pending--
		}
		q.pop()
	}
	i := q.n
	q.n++
	for ; i > 0 && q.at(i-1).at > e.at; i-- {
		*q.at(i) = *q.at(i - 1)
	}
	*q.at(i) = e
	q.outs.Pending++
}

// pop forgets the oldest entry without counting it.
func (q *queue) pop() {
	q.at(0).sample = nil
	q.head++
	if q.head == len(q.ring) {
		q.head = 0
	}
	q.n--
}

// prune forgets entries older than before and counts those never used.
func (q *queue) prune(before int64) {
	for q.n > 0 && q.at(0).at < before {
		q.retire(q.at(0))
		q.pop()
	}
}

func (q *queue) retire(e *entry) {
	switch {
	case e.used:
		return
	case e.late:
		q.outs.Late++
	default:
		q.outs.Surplus++
	}
	q.outs.Pending--
}

// use counts the entry as fused the first time.
func (q *queue) use(e *entry) {
	if !e.used {
		e.used = true
		q.outs.Fused++
		q.outs.Pending--
	}
}

// search returns the index of the first entry with capture time >= at.
func (q *queue) search(at int64) int {
	lo, hi := 0, q.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if q.at(mid).at < at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// nearest returns the index of the entry nearest to at, the older one of two
// equally near, -1 if there is none.
func (q *queue) nearest(at int64) int {
	i := q.search(at)
	switch {
	case q.n == 0:
		return -1
	case i == q.n:
		return i - 1
	case i > 0 && at-q.at(i-1).at <= q.at(i).at-at:
		return i - 1
	}
	return i
}
