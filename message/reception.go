package message

import (
	"slices"
	"time"
)

// Reception is what a subscriber saw of a daemon's poses.
type Reception struct {
	Poses         int            `json:"poses"`
	Seconds       float64        `json:"seconds"`
	RateHz        float64        `json:"rate_hz"`
	Missing       uint64         `json:"missing_in_seq"`
	WorstGapMS    float64        `json:"worst_gap_ms"` // between arrivals
	Coalitions    map[string]int `json:"coalitions"`
	WithoutJoints int            `json:"poses_without_joints"`
	// Milliseconds from the last sensor byte of a tick to its publication, and
	// the parts the daemon reports.
	Total Quantiles `json:"latency_total_ms"`
	// Publish is from the tick's instant to its publication; what it is more than
	// sync.hold_ms the daemon itself took. Ticks with WiFi alone do not tell.
	Publish Quantiles `json:"latency_publish_ms"`
	Align   Quantiles `json:"latency_align_ms"`
	Infer   Quantiles `json:"latency_infer_ms"`
}

// Quantiles of a time, milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Receiver counts the poses of one subscriber. Its zero value is ready.
type Receiver struct {
	seen                Reception
	total, align, infer []float64
	publish             []float64
	first, last         time.Time
	seq                 uint64
}

// Add takes in a pose that arrived at a time.
func (r *Receiver) Add(p *Pose, at time.Time) {
	m := &r.seen
	if m.Poses == 0 {
		r.first, m.Coalitions = at, map[string]int{}
	} else {
		m.WorstGapMS = max(m.WorstGapMS, float64(at.Sub(r.last).Microseconds())/1000)
		if p.Seq > r.seq+1 {
			m.Missing += p.Seq - r.seq - 1
		}
	}
	r.last, r.seq = at, p.Seq
	m.Poses++
	m.Coalitions[p.Coalition]++
	if p.JointsM == nil {
		m.WithoutJoints++
	} else {
		r.total, r.align, r.infer = append(r.total, p.LatencyMS.Total), append(r.align, p.LatencyMS.Align), append(r.infer, p.LatencyMS.Infer)
		if ms, ok := publishedAfter(p); ok {
			r.publish = append(r.publish, ms)
		}
	}
}

// publishedAfter returns when a pose was published after its tick, ms: a sample's
// age then, and how far it lies before the tick.
func publishedAfter(p *Pose) (ms float64, ok bool) {
	for _, letter := range [...]string{"R", "L", "M"} {
		if m := p.Modalities[letter]; m.AgeMS != nil && m.SkewMS != nil {
			return *m.AgeMS + *m.SkewMS, true
		}
	}
	return 0, false
}

// Poses returns how many there were.
func (r *Receiver) Poses() int { return r.seen.Poses }

// Reception returns what was seen. The rate needs two poses.
func (r *Receiver) Reception() Reception {
	m := r.seen
	m.Seconds = r.last.Sub(r.first).Seconds()
	m.RateHz = float64(m.Poses-1) / m.Seconds
	m.Total, m.Align, m.Infer = quantilesOf(r.total), quantilesOf(r.align), quantilesOf(r.infer)
	m.Publish = quantilesOf(r.publish)
	return m
}

func quantilesOf(x []float64) Quantiles {
	if len(x) == 0 {
		return Quantiles{}
	}
	slices.Sort(x)
	at := func(q float64) float64 { return x[min(int(q*float64(len(x))), len(x)-1)] }
	return Quantiles{at(.5), at(.95), at(.99), x[len(x)-1]}
}
