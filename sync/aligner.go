package timesync

import (
	"context"
	"errors"
	"sync"
	"time"

	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// ErrRunning is returned by Run when the aligner runs already.
var ErrRunning = errors.New("aligner runs already")

// maxLag is how far the ticks may fall behind the clock (a suspended machine,
// a stuck consumer) before they are moved to the present instead of being
// caught up one by one.
const maxLag = time.Second

// Aligner is the reference-clock aligner: it ticks at a fixed rate and gives
// out, for every tick, the samples that belong to it. A tick comes at the
// latest one hold after its time and as soon as every live sensor has
// delivered. Push is safe for concurrent use and never waits for a consumer.
type Aligner struct {
	cfg    Config
	period int64
	hold   int64
	stale  int64
	wake   chan struct{}

	mu         sync.Mutex
	running    bool
	inputs     [modality.Count]*input
	unrouted   uint64
	tickNS     int64 // time of the tick being collected, 0 before Run
	lastTickNS int64 // time of the newest tick given out
	ticked     bool
	phase      phaseLock
	resyncs    uint64
	skipped    uint64
	skippedNS  int64 // when a tick was skipped for want of time, 0 never
	busy       [busyTicks]int64
	busyN      int
	tick       Tick
	early      Slot // what announce shows
}

// busyTicks is how many of the consumer's times tell whether it keeps up: an
// odd number, so that a single long one does not decide.
const busyTicks = 5

// Stats is a snapshot of an Aligner.
type Stats struct {
	Ticks     uint64        // given out
	Resyncs   uint64        // times the ticks were moved to the present after a standstill
	Skipped   uint64        // ticks that were never given out: of a standstill, or overtaken because the consumer takes longer than the tick period
	SkippedNS int64         // room clock when the consumer was last too slow, 0 never
	BusyNS    int64         // the consumer's time per tick, median of the newest
	Unrouted  uint64        // samples of modalities without a configured sensor
	Reference modality.Kind // sensor whose capture times the ticks follow
	Locked    bool          // whether Reference is valid
	Sensors   []SensorStats
}

// SensorStats is a snapshot of one sensor of an Aligner.
type SensorStats struct {
	Name     string
	Modality modality.Kind
	State    State // in the newest tick
	Live     bool  // delivered within Config.Stale
	PeriodNS int64 // configured or measured
	AgeNS    int64 // now minus the newest capture time; valid if Seen
	SkewNS   int64 // of the newest tick with this sensor
	Seen     bool
	Outcomes Outcomes
}

// NewAligner checks the configuration and returns an aligner that is not
// running yet. Samples may be pushed before Run.
func NewAligner(cfg Config) (*Aligner, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Aligner{
		cfg:    cfg,
		period: int64(cfg.Period),
		hold:   int64(cfg.Hold),
		stale:  int64(cfg.Stale),
		wake:   make(chan struct{}, 1),
		phase:  phaseLock{period: int64(cfg.Period), off: cfg.NoPhaseLock},
	}
	for i := range cfg.Sensors {
		a.inputs[cfg.Sensors[i].Modality] = newInput(cfg.Sensors[i], cfg)
	}
	for m := range a.tick.Slots {
		a.tick.Slots[m].State = Off
	}
	return a, nil
}

// Push hands over one sample; its CaptureNS must be set (see ClockModel), else
// the receive time stands in for it. Push never blocks on the consumer.
func (a *Aligner) Push(s *sensors.Sample) {
	now := a.cfg.Clock.NowNS()
	a.mu.Lock()
	ready := false
	if int(s.Modality) < len(a.inputs) && a.inputs[s.Modality] != nil {
		in := a.inputs[s.Modality]
		a.accept(in, s, now)
		ready = a.running && (now >= a.tickNS && a.complete(now) || a.cfg.Settled != nil && in.unannounced(a.tickNS, a.period, a.hold))
	} else {
		a.unrouted++
	}
	a.mu.Unlock()
	if ready {
		select {
		case a.wake <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

// accept sorts one sample into its queue or counts why not.
func (a *Aligner) accept(in *input, s *sensors.Sample, now int64) {
	in.outs.In++
	at := s.CaptureNS
	if at == 0 {
		at = s.ReceiveNS
	}
	switch {
	case in.duplicate(s, at):
		in.outs.Duplicate++
		return
	case at > now+a.period:
		in.outs.Early++
		return
	case at < now-a.stale:
		in.outs.Stale++
		return
	}
	in.lastArrival = now
	in.observe(at, a.period)
	late := false
	if a.ticked {
		late = at < a.lastTickNS+in.centre+a.period/2
		if at < in.keepFrom(a.tickNS) {
			in.outs.Late++
			return
		}
	}
	in.q.insert(entry{sample: s, at: at, late: late})
	in.inserted++
}

// complete reports whether no live sensor can still improve the tick.
func (a *Aligner) complete(now int64) bool {
	for _, in := range a.inputs {
		if in != nil && in.live(now, a.stale) && !in.delivered(a.tickNS, a.period, a.hold) {
			return false
		}
	}
	return true
}

// Run gives ticks to out until ctx ends, then returns nil. out is called from
// one goroutine, in order, and should return within a tick period; samples
// pushed meanwhile are kept. While out takes longer, as a rule, than a period,
// ticks are skipped and counted so that the newest one comes. Run may be called again after it returned; Seq
// goes on.
func (a *Aligner) Run(ctx context.Context, out func(*Tick)) error {
	a.mu.Lock()
	if a.running {
		a.mu.Unlock()
		return ErrRunning
	}
	a.running = true
	a.tickNS = max(a.cfg.Clock.NowNS(), a.lastTickNS) + a.period
	a.phase.restart()
	a.mu.Unlock()
	defer a.stop()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
		for ctx.Err() == nil {
			wait, ready := a.advance()
			if !ready {
				timer.Reset(wait)
				break
			}
			start := a.cfg.Clock.NowNS()
			out(&a.tick)
			a.note(a.cfg.Clock.NowNS() - start)
		}
		if a.cfg.Settled != nil && ctx.Err() == nil {
			a.announce()
		}
	}
}

// note keeps the consumer's time for a tick.
func (a *Aligner) note(ns int64) {
	a.mu.Lock()
	a.busy[a.busyN%busyTicks] = ns
	a.busyN++
	a.mu.Unlock()
}

// busyNS returns the median of the consumer's newest times, 0 before there are
// enough.
func (a *Aligner) busyNS() int64 {
	if a.busyN < busyTicks {
		return 0
	}
	d := a.busy
	return median(d[:])
}

// announce tells of every modality that became settled for the tick being
// collected, or changed after it had been.
func (a *Aligner) announce() {
	for m, in := range a.inputs {
		if in == nil {
			continue
		}
		a.mu.Lock()
		tickNS := a.tickNS
		ready := in.unannounced(tickNS, a.period, a.hold)
		if ready {
			in.announcedNS, in.announced = tickNS, in.inserted
			ready = in.peek(&a.early, tickNS)
		}
		a.mu.Unlock()
		if ready {
			a.cfg.Settled(modality.Kind(m), tickNS, &a.early)
		}
	}
}

// advance builds the tick if it is due, else returns how long to wait.
func (a *Aligner) advance() (wait time.Duration, ready bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Clock.NowNS()
	if a.busyNS() > a.period {
		a.skip(now)
	}
	if now < a.tickNS {
		return time.Duration(a.tickNS - now), false
	}
	deadline := a.tickNS + a.hold
	if now < deadline && !a.complete(now) {
		until := deadline
		for _, in := range a.inputs {
			// A sensor that turns stale meanwhile is no longer waited for.
			if in != nil && in.live(now, a.stale) {
				until = min(until, in.lastArrival+a.stale+1)
			}
		}
		return time.Duration(max(until-now, 1)), false
	}
	a.build(now)
	return 0, true
}

// skip leaves out the ticks that a slow consumer can no longer have in time,
// so that the newest one whose hold is over comes next instead of the oldest.
func (a *Aligner) skip(now int64) {
	n := (now - a.hold - a.tickNS) / a.period
	if n <= 0 {
		return
	}
	a.skipped += uint64(n)
	a.skippedNS = now
	a.tickNS += n * a.period
	a.prune()
}

func (a *Aligner) prune() {
	for _, in := range a.inputs {
		if in != nil {
			in.q.prune(in.keepFrom(a.tickNS))
		}
	}
}

// build fills the tick, then moves on to the next one.
func (a *Aligner) build(now int64) {
	t := &a.tick
	t.Seq++
	t.TimeNS, t.ReadyNS = a.tickNS, now
	for m, in := range a.inputs {
		if in != nil {
			in.fill(&t.Slots[m], a.tickNS, a.period, a.hold, in.live(now, a.stale))
		}
	}
	a.lastTickNS, a.ticked = a.tickNS, true

	correction := a.phase.next(a.tickNS, &a.inputs, now, a.stale)
	t.ReferenceNS = a.phase.errNS
	a.tickNS += a.period + correction
	if now-a.tickNS > int64(maxLag) {
		a.skipped += uint64((now - a.tickNS) / a.period)
		a.tickNS = now
		a.resyncs++
		a.phase.restart()
	}
	a.prune()
}

// stop settles what is pending when Run ends.
func (a *Aligner) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = false
	for _, in := range a.inputs {
		if in != nil {
			in.q.prune(1<<63 - 1)
		}
	}
}

// Stats returns the aligner's counters and the state of its sensors, in the
// order of the configuration.
func (a *Aligner) Stats() Stats {
	now := a.cfg.Clock.NowNS()
	a.mu.Lock()
	defer a.mu.Unlock()
	st := Stats{
		Ticks: a.tick.Seq, Resyncs: a.resyncs, Unrouted: a.unrouted,
		Skipped: a.skipped, SkippedNS: a.skippedNS, BusyNS: a.busyNS(),
		Reference: a.phase.ref, Locked: a.phase.locked,
		Sensors: make([]SensorStats, 0, len(a.cfg.Sensors)),
	}
	for _, c := range a.cfg.Sensors {
		in := a.inputs[c.Modality]
		s := SensorStats{
			Name: c.Name, Modality: c.Modality, State: in.state, Live: in.live(now, a.stale),
			PeriodNS: in.period, SkewNS: in.skew, Seen: in.seen, Outcomes: in.outs,
		}
		if in.seen {
			s.AgeNS = now - in.newest
		}
		st.Sensors = append(st.Sensors, s)
	}
	return st
}
