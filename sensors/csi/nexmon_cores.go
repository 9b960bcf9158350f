package csi

import "math/bits"

// coreMask is a set of receive cores, bit c for core c.
type coreMask uint8

func (m coreMask) list() []int {
	var out []int
	for c := range maxNexmonCores {
		if m&(1<<c) != 0 {
			out = append(out, c)
		}
	}
	return out
}

// How the cores are learned.
const (
	learnFirst    = 4           // frames until the first decision
	learnOver     = 64          // newest frames that count
	learnAtMostNS = int64(5e8)  // the first decision waits no longer
	turnAtMostNS  = int64(25e7) // between cores that take turns
)

// coreLearner finds out which cores make one packet from those that received
// each of the newest frames.
type coreLearner struct {
	want  coreMask // 0: not known yet
	turns bool     // each frame is received by one of them in turn
	lost  coreMask // sent once and do not any more

	masks [learnOver]coreMask
	n     int // frames noted
}

// note takes the cores of one frame and decides again after each run of frames.
func (l *coreLearner) note(m coreMask) {
	l.masks[l.n%learnOver] = m
	l.n++
	if l.n == learnFirst || l.n%learnOver == 0 {
		l.decide()
	}
}

// decide takes the most frequent set of cores, or those that take turns.
func (l *coreLearner) decide() {
	n := min(l.n, learnOver)
	if n == 0 {
		return
	}
	var frames [1 << maxNexmonCores]int
	var union coreMask
	singles, best := 0, coreMask(0)
	for _, m := range l.masks[:n] {
		frames[m]++
		union |= m
		if bits.OnesCount8(uint8(m)) == 1 {
			singles++
		}
	}
	for m, k := range frames {
		more := bits.OnesCount8(uint8(m)) > bits.OnesCount8(uint8(best))
		if k > frames[best] || k == frames[best] && more {
			best = coreMask(m)
		}
	}
	was := l.want
	// Alone in most frames, and no core in most of them: in turn. A core that
	// is seldom there is an accident.
	l.turns = 10*singles >= 9*n && 4*frames[best] <= 3*n && bits.OnesCount8(uint8(union)) > 1
	l.want = best
	if l.turns {
		l.want = 0
		for _, c := range union.list() {
			if 10*frames[1<<c] >= n {
				l.want |= 1 << c
			}
		}
	}
	l.lost = (l.lost | was) &^ (l.want | union)
}
