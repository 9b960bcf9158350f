package timesync

import (
	"fmt"
	"sync"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Defaults of ApproximateConfig.
const (
	DefaultAgePenalty       = 0.1
	DefaultApproximateQueue = 64
	// backwardsNS is how far a sensor's time goes back before it is a restart
	// and not a reordered sample.
	backwardsNS = int64(time.Second)
)

// ApproximateConfig configures an Approximate synchroniser.
type ApproximateConfig struct {
	Modalities []modality.Kind // all required, at least one, each once
	Queue      int             // samples held per modality, default 64
	// AgePenalty prefers earlier sets over later, tighter ones: a later set
	// must be smaller by this share of its delay. 0 takes the default of 0.1,
	// a negative value means none.
	AgePenalty  float64
	MaxInterval time.Duration // largest spread of a set, 0 = no limit
	// LowerBounds are the least times between two samples of each modality, in
	// the order of Modalities; true bounds let sets be given out earlier. Nil
	// means 0.
	LowerBounds []time.Duration
}

// Approximate puts out sets of one sample per sensor with the smallest spread
// in time, and only sets in which every sensor takes part: the "all sensors
// required" mode, after the adaptive algorithm of ROS 2's ApproximateTime
// (sensors.md 13). It waits for ever when a sensor stops; the live path
// therefore uses the Aligner.
//
// Every sample is in at most one set, and sets do not cross. Between two
// pivots - a pivot is the newest of the first samples after the last set - the
// set of smallest spread is given out. The result does not depend on the order
// of arrival between sensors unless a queue overflows.
type Approximate struct {
	cfg     ApproximateConfig
	penalty float64 // 1 + age penalty
	out     func([]*sensors.Sample)

	mu       sync.Mutex
	index    [modality.Count]int // of a modality in topics, -1 if not configured
	topics   []topic
	nonEmpty int
	pivot    int // topic of the pivot, -1 without a candidate
	pivotNS  int64
	cand     []timed
	startNS  int64
	endNS    int64
	set      []*sensors.Sample
	resets   uint64
}

type timed struct {
	sample *sensors.Sample
	at     int64
}

// topic is the queue of one sensor. past holds samples that the search has
// passed since the candidate was made; they follow the candidate's sample.
type topic struct {
	queue, past []timed
	lower       int64
	dropped     bool // lost a sample since its head last mattered
	last        int64
	seen        bool
	outs        Outcomes
}

// NewApproximate returns a synchroniser that gives sets to out, in the order
// of cfg.Modalities. The slice is reused; out must not call Push.
func NewApproximate(cfg ApproximateConfig, out func([]*sensors.Sample)) (*Approximate, error) {
	if len(cfg.Modalities) == 0 || out == nil {
		return nil, fmt.Errorf("approximate time: give modalities and an output")
	}
	if cfg.LowerBounds != nil && len(cfg.LowerBounds) != len(cfg.Modalities) {
		return nil, fmt.Errorf("approximate time: %d lower bounds for %d modalities", len(cfg.LowerBounds), len(cfg.Modalities))
	}
	if cfg.Queue < 0 || cfg.MaxInterval < 0 {
		return nil, fmt.Errorf("approximate time: queue %d and maximum interval %v must not be negative", cfg.Queue, cfg.MaxInterval)
	}
	if cfg.Queue == 0 {
		cfg.Queue = DefaultApproximateQueue
	}
	switch {
	case cfg.AgePenalty == 0:
		cfg.AgePenalty = DefaultAgePenalty
	case cfg.AgePenalty < 0:
		cfg.AgePenalty = 0
	}
	n := len(cfg.Modalities)
	a := &Approximate{
		cfg: cfg, penalty: 1 + cfg.AgePenalty, out: out, pivot: -1,
		topics: make([]topic, n), cand: make([]timed, n), set: make([]*sensors.Sample, n),
	}
	for m := range a.index {
		a.index[m] = -1
	}
	for i, m := range cfg.Modalities {
		if m >= modality.Count || a.index[m] >= 0 {
			return nil, fmt.Errorf("approximate time: modality %s is unknown or listed twice", m)
		}
		a.index[m] = i
		if cfg.LowerBounds != nil {
			a.topics[i].lower = int64(cfg.LowerBounds[i])
		}
	}
	return a, nil
}

// Push hands over one sample with CaptureNS set and gives out the sets it
// completes. Samples of modalities that are not configured are ignored. Safe
// for concurrent use.
func (a *Approximate) Push(s *sensors.Sample) {
	if int(s.Modality) >= len(a.index) || a.index[s.Modality] < 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.index[s.Modality]
	t := &a.topics[i]
	t.outs.In++
	if t.seen && s.CaptureNS <= t.last {
		if t.last-s.CaptureNS < backwardsNS && !s.Restarted {
			if s.CaptureNS == t.last {
				t.outs.Duplicate++
			} else {
				t.outs.Late++
			}
			return
		}
		a.reset() // a recording that loops, a clock that stepped back
	}
	t.seen, t.last = true, s.CaptureNS
	t.outs.Pending++
	t.queue = append(t.queue, timed{s, s.CaptureNS})
	if len(t.queue) == 1 {
		a.nonEmpty++
		a.search()
	} else if a.pivot >= 0 && a.nonEmpty < len(a.topics) {
		a.searchVirtual() // the new sample may prove the candidate
		a.search()
	}
	if len(t.queue)+len(t.past) > a.cfg.Queue {
		a.overflow(i)
	}
}

// Outcomes returns the counters of a modality.
func (a *Approximate) Outcomes(m modality.Kind) Outcomes {
	a.mu.Lock()
	defer a.mu.Unlock()
	if int(m) >= len(a.index) || a.index[m] < 0 {
		return Outcomes{}
	}
	return a.topics[a.index[m]].outs
}

// Resets returns how often a sensor's time went back and everything held was
// given up.
func (a *Approximate) Resets() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.resets
}

func (a *Approximate) reset() {
	for i := range a.topics {
		t := &a.topics[i]
		t.unused(len(t.queue) + len(t.past))
		t.queue, t.past, t.dropped, t.seen = t.queue[:0], t.past[:0], false, false
	}
	a.nonEmpty, a.pivot = 0, -1
	a.resets++
}

// unused counts n samples that were given up without a set.
func (t *topic) unused(n int) {
	t.outs.Surplus += uint64(n)
	t.outs.Pending -= uint64(n)
}

// overflow drops the oldest sample of a topic and starts the search over.
func (a *Approximate) overflow(i int) {
	for k := range a.topics {
		a.recover(k, len(a.topics[k].past))
	}
	t := &a.topics[i]
	t.popFront()
	t.outs.DroppedOverflow++
	t.outs.Pending--
	t.dropped = true
	a.recount()
	a.pivot = -1
	a.search()
}

func (t *topic) popFront() { t.queue = t.queue[:copy(t.queue, t.queue[1:])] }

// recount counts the queues that hold something.
func (a *Approximate) recount() {
	a.nonEmpty = 0
	for i := range a.topics {
		if len(a.topics[i].queue) > 0 {
			a.nonEmpty++
		}
	}
}

// recover moves the newest n samples of past back to the head of the queue.
func (a *Approximate) recover(i, n int) {
	t := &a.topics[i]
	if n == 0 {
		return
	}
	keep := len(t.past) - n
	t.queue = append(t.queue, t.past[keep:]...)
	copy(t.queue[n:], t.queue[:len(t.queue)-n])
	copy(t.queue, t.past[keep:])
	t.past = t.past[:keep]
}

// pass moves the head of a queue to its past.
func (a *Approximate) pass(i int) {
	t := &a.topics[i]
	t.past = append(t.past, t.queue[0])
	t.popFront()
	if len(t.queue) == 0 {
		a.nonEmpty--
	}
}

// virtual returns the time of a topic's head, or for an empty queue the
// earliest time its next sample can have.
func (a *Approximate) virtual(i int) int64 {
	t := &a.topics[i]
	if len(t.queue) > 0 {
		return t.queue[0].at
	}
	return max(t.past[len(t.past)-1].at+t.lower, a.pivotNS)
}

// bounds returns the oldest and the newest head.
func (a *Approximate) bounds() (start, end int, startNS, endNS int64) {
	for i := range a.topics {
		at := a.virtual(i)
		if i == 0 || at < startNS {
			start, startNS = i, at
		}
		if i == 0 || at > endNS {
			end, endNS = i, at
		}
	}
	return start, end, startNS, endNS
}

// search runs as far as the samples at hand allow.
func (a *Approximate) search() {
	for a.nonEmpty == len(a.topics) {
		start, end, startNS, endNS := a.bounds()
		for i := range a.topics {
			if i != end {
				a.topics[i].dropped = false // what was lost there was older than the head, so no better
			}
		}
		switch {
		case a.pivot < 0 && (a.cfg.MaxInterval > 0 && endNS-startNS > int64(a.cfg.MaxInterval) || a.topics[end].dropped):
			t := &a.topics[start]
			t.popFront()
			t.unused(1)
			if len(t.queue) == 0 {
				a.nonEmpty--
			}
			continue
		case a.pivot < 0:
			a.candidate(startNS, endNS)
			a.pivot, a.pivotNS = end, endNS
		case a.better(startNS, endNS):
			a.candidate(startNS, endNS)
		}
		a.pass(start)
		switch {
		case start == a.pivot, a.proven(endNS):
			a.publish()
		case a.nonEmpty < len(a.topics):
			a.searchVirtual()
		}
	}
}

// better reports whether the set of the heads beats the candidate.
func (a *Approximate) better(startNS, endNS int64) bool {
	return float64(endNS-a.endNS)*a.penalty < float64(startNS-a.startNS)
}

// proven reports whether no set that ends at endNS or later can beat the
// candidate and still contain a sample as old as the pivot.
func (a *Approximate) proven(endNS int64) bool {
	return float64(endNS-a.endNS)*a.penalty >= float64(a.pivotNS-a.startNS)
}

// candidate takes the heads as the best set so far.
func (a *Approximate) candidate(startNS, endNS int64) {
	for i := range a.topics {
		t := &a.topics[i]
		a.cand[i] = t.queue[0]
		t.unused(len(t.past))
		t.past = t.past[:0]
	}
	a.startNS, a.endNS = startNS, endNS
}

// searchVirtual tries to prove the candidate best although a queue is empty.
func (a *Approximate) searchVirtual() {
	var moves [modality.Count]int
	for {
		start, _, startNS, endNS := a.bounds()
		if a.proven(endNS) {
			a.publish()
			return
		}
		if a.better(startNS, endNS) {
			for i := range a.topics {
				a.recover(i, moves[i])
			}
			a.recount()
			return
		}
		a.pass(start)
		moves[start]++
	}
}

// publish gives out the candidate and goes on behind it.
func (a *Approximate) publish() {
	for i := range a.topics {
		a.recover(i, len(a.topics[i].past))
		t := &a.topics[i]
		// The candidate's sample is the oldest one kept.
		t.popFront()
		t.outs.Fused++
		t.outs.Pending--
		a.set[i] = a.cand[i].sample
	}
	a.recount()
	a.pivot = -1
	a.out(a.set)
}
