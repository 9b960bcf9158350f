package camera

import "time"

// thinner takes every n-th picture of a camera that is faster than wanted: an
// even rate is worth more to the aligner than the highest one.
type thinner struct {
	maxHz float64

	// When the newest pictures came, a ring. Their mean distance is the
	// camera's period: a network that holds pictures back and then brings them
	// at once changes single distances, hardly their mean.
	came  [32]int64
	n     int   // pictures in the ring
	every int   // take each such picture; 0 is unknown
	since int   // pictures since the one taken last
	taken int64 // when that came
}

// thinnerPause is how long a camera pauses before it counts as a new one.
const thinnerPause = int64(2 * time.Second)

// take tells whether to look at the picture that came at the given time.
func (t *thinner) take(at int64) bool {
	if t.maxHz <= 0 {
		return true
	}
	if t.n > 0 {
		if d := at - t.came[(t.n-1)%len(t.came)]; d < 0 || d > thinnerPause {
			*t = thinner{maxHz: t.maxHz}
		}
	}
	t.came[t.n%len(t.came)] = at
	t.n++
	t.since++
	want := float64(time.Second) / t.maxHz
	t.choose(want)
	// Twice the wanted distance without a picture: the camera has slowed down.
	if t.n > 1 && t.since < t.every && float64(at-t.taken) < 2*want {
		return false
	}
	t.since, t.taken = 0, at
	return true
}

// choose sets every for pictures that are wanted so many nanoseconds apart.
func (t *thinner) choose(want float64) {
	k := min(t.n, len(t.came))
	if k < 2 {
		return
	}
	span := float64(t.came[(t.n-1)%len(t.came)] - t.came[(t.n-k)%len(t.came)])
	ratio := want * float64(k-1) / max(span, 1)
	// Rounded up, with a tenth of room: 15.2 pictures a second are 15. Between
	// two choices the old one stays, lest the rate change all the time.
	low, high := int(min(ratio, 1e6)+0.87), int(min(ratio, 1e6)+0.93)
	if low == high || t.every == 0 || t.every < low || t.every > high {
		t.every = max(high, 1)
	}
}
