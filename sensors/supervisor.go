package sensors

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"posefuse/sensors/modality"
)

// State is how a supervised source is doing.
type State uint8

// The states of a supervised source.
const (
	Off      State = iota // not running
	Starting              // running, no sample yet, still within its grace
	Live                  // samples arrive
	Stale                 // running, but the last sample is too old
	Down                  // failed; the supervisor tries again
)

// String returns the state's name in messages.
func (s State) String() string {
	switch s {
	case Off:
		return "off"
	case Starting:
		return "starting"
	case Live:
		return "live"
	case Stale:
		return "stale"
	case Down:
		return "down"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Clock gives the room clock, ns.
type Clock interface{ NowNS() int64 }

// SupervisorConfig tunes a supervisor. Zero values mean the defaults.
type SupervisorConfig struct {
	StaleAfter time.Duration // without a sample until stale; 500 ms
	StartGrace time.Duration // until a first sample may come before stale; 3 s
	RetryMin   time.Duration // first wait after a failure; 100 ms
	RetryMax   time.Duration // longest wait, doubled up to it; 1 s
	RateWindow time.Duration // over which the rate is taken; 2 s
	// OnChange is called after each change of state, one call at a time. A
	// change that is undone before the call is made is left out. It must not
	// wait for the supervisor.
	OnChange func(Snapshot)
	// Raw gets what the driver reads, before it decodes it, on the driver's
	// goroutine. It must not block.
	Raw func(*Raw)
}

// Snapshot is what is known of a source at one moment.
type Snapshot struct {
	Name      string
	Modality  modality.Kind
	State     State
	SinceNS   int64   // room clock when the state began
	RateHz    float64 // samples per second over the window
	LastNS    int64   // room clock of the last sample's arrival; valid if HasSample
	HasSample bool
	Restarts  uint64 // runs after the first
	LastError string // of the last failed run, "" if none failed; kept after recovery
	NextStep  string // what the user can do about LastError, may be ""
	ErrorNS   int64  // room clock of LastError
	// In is everything the driver reported; it equals the sum of Outcomes.
	In       uint64
	Outcomes map[string]uint64
	Recent   map[string]uint64 // Outcomes of the last RecentWindow or a little more
	Findings []Finding         // what the driver says about the data, as long as it stands
}

// WhatToDo returns the last error with the next step, one sentence for people.
func (s *Snapshot) WhatToDo() string {
	if s.NextStep == "" {
		return s.LastError
	}
	return s.LastError + "; " + s.NextStep
}

// Supervisor keeps one source running: it starts it again after a failure,
// watches for silence and counts every outcome.
type Supervisor struct {
	name     string
	modality modality.Kind
	src      Source
	cfg      SupervisorConfig
	clock    Clock
	out      func(*Sample)
	counts   counters
	start    time.Time
	wake     chan struct{} // tells the watcher that the state may have changed

	mu        sync.Mutex
	running   bool
	active    bool // the source's Run is in progress
	state     State
	sinceNS   int64
	rate      rateWindow
	last      time.Time // arrival of the last sample, or of the run's start
	lastNS    int64
	hasSample bool
	fresh     bool // this run has delivered a sample
	runs      uint64
	errText   string
	nextStep  string
	errNS     int64
	findings  findings
}

// NewSupervisor returns a supervisor for src. out gets every sample on the
// driver's goroutine, so it must not block; clock is the room clock. It panics
// if src, clock or out is nil.
func NewSupervisor(name string, modality modality.Kind, src Source, cfg SupervisorConfig, clock Clock, out func(*Sample)) *Supervisor {
	if src == nil || clock == nil || out == nil {
		panic("sensors: supervisor " + name + " needs a source, a clock and an output")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&cfg.StaleAfter, 500*time.Millisecond)
	def(&cfg.StartGrace, 3*time.Second)
	def(&cfg.RetryMin, 100*time.Millisecond)
	def(&cfg.RetryMax, time.Second)
	def(&cfg.RateWindow, 2*time.Second)
	cfg.RetryMax = max(cfg.RetryMax, cfg.RetryMin)
	return &Supervisor{
		name: name, modality: modality, src: src, cfg: cfg, clock: clock, out: out,
		start: time.Now(), wake: make(chan struct{}, 1),
		rate: newRateWindow(cfg.RateWindow), sinceNS: clock.NowNS(),
	}
}

// Run keeps the source running until ctx ends, then returns nil once the
// source has returned. A second Run at the same time is an error; one after
// another is fine.
func (s *Supervisor) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return fmt.Errorf("sensor %s: already supervised", s.name)
	}
	s.running = true
	s.mu.Unlock()

	watched := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(stop)
	}()
	s.retry(ctx)
	s.mu.Lock()
	s.running = false
	s.setState(Off)
	s.mu.Unlock()
	close(stop)
	<-watched
	return nil
}

func (s *Supervisor) retry(ctx context.Context) {
	wait := s.cfg.RetryMin
	for first := true; ctx.Err() == nil; first = false {
		s.mu.Lock()
		s.runs++
		s.fresh, s.active = false, true
		s.last = time.Now()
		// A source that failed stays down until it proves otherwise.
		if first {
			s.setState(Starting)
		}
		s.mu.Unlock()
		s.poke()

		err := s.runOnce(ctx)
		s.mu.Lock()
		s.active = false
		s.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the source stopped by itself")
		}
		s.mu.Lock()
		if s.fresh {
			wait = s.cfg.RetryMin
		}
		s.errText, s.nextStep, s.errNS = err.Error(), NextStep(err), s.clock.NowNS()
		s.setState(Down)
		s.mu.Unlock()

		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		wait = min(2*wait, s.cfg.RetryMax)
	}
}

// runOnce runs the source once and turns a panic on its goroutine into an
// error. One on a goroutine that the driver started is the driver's to catch.
func (s *Supervisor) runOnce(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sink := &runSink{s: s}
	defer func() {
		sink.close()
		if p := recover(); p != nil {
			err = fmt.Errorf("sensor %s: %w", s.name, Panicked(p))
		}
	}()
	return s.src.Run(ctx, sink)
}

// Panicked makes an error of what recover returned, with the place. A driver
// calls it where it recovers on a goroutine of its own.
func Panicked(p any) error {
	return fmt.Errorf("the driver panicked: %v (%s)", p, panicSite(debug.Stack()))
}

// panicSite returns the file and line of the frame that panicked.
func panicSite(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") && i+3 < len(lines) {
			site, _, _ := strings.Cut(strings.TrimSpace(lines[i+3]), " ")
			return site
		}
	}
	return "unknown place"
}

// setState needs s.mu.
func (s *Supervisor) setState(state State) {
	if s.state == state {
		return
	}
	s.state = state
	s.sinceNS = s.clock.NowNS()
	s.poke()
}

func (s *Supervisor) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// watch declares silence and reports changes of state until stop closes.
func (s *Supervisor) watch(stop <-chan struct{}) {
	reported := Off
	timer := time.NewTimer(s.cfg.StaleAfter)
	defer timer.Stop()
	for {
		ending := false
		select {
		case <-stop:
			ending = true
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.checkStale(time.Now()))
		if snap := s.Snapshot(); snap.State != reported {
			reported = snap.State
			if s.cfg.OnChange != nil {
				s.cfg.OnChange(snap)
			}
		}
		if ending {
			return
		}
	}
}

// checkStale declares the source stale if it is time and returns when to look
// again.
func (s *Supervisor) checkStale(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.cfg.StaleAfter
	if !s.fresh && s.state == Starting {
		limit = max(s.cfg.StartGrace, limit)
	}
	// Failed before, but running for this long now: its transport works.
	if s.state != Live && s.state != Starting && (s.state != Down || !s.active) {
		return limit
	}
	left := s.last.Add(limit).Sub(now)
	if left > 0 {
		return left
	}
	s.setState(Stale)
	return s.cfg.StaleAfter
}

// Snapshot returns the present state. It is safe to call at any time and holds
// the hot path up for less than a microsecond.
func (s *Supervisor) Snapshot() Snapshot {
	in, outcomes, recent := s.counts.read()
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := Snapshot{
		Name: s.name, Modality: s.modality, State: s.state, SinceNS: s.sinceNS,
		RateHz: s.rate.hz(time.Since(s.start)), LastNS: s.lastNS, HasSample: s.hasSample,
		LastError: s.errText, NextStep: s.nextStep, ErrorNS: s.errNS,
		In: in, Outcomes: outcomes, Recent: recent, Findings: s.findings.list(time.Now()),
	}
	if s.runs > 0 {
		snap.Restarts = s.runs - 1
	}
	return snap
}

func (s *Supervisor) emit(sample *Sample) {
	if !s.valid(sample) {
		s.counts.add(OutcomeInvalid, 1)
		return
	}
	s.counts.add(OutcomeSample, 1)
	s.mu.Lock()
	s.lastNS, s.hasSample = s.clock.NowNS(), true
	s.heard()
	s.mu.Unlock()
	s.out(sample)
}

// heard notes a reading. It needs s.mu.
func (s *Supervisor) heard() {
	s.last, s.fresh = time.Now(), true
	s.rate.add(s.last.Sub(s.start))
	s.setState(Live)
}

// nobody notes readings in which nobody is.
func (s *Supervisor) nobody() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard()
}

// valid reports whether the sample has the payload of the sensor's modality
// and no other.
func (s *Supervisor) valid(x *Sample) bool {
	if x == nil || x.Modality != s.modality {
		return false
	}
	has := [modality.Count]bool{modality.Camera: x.Keypoints != nil, modality.LiDAR: x.Cloud != nil, modality.Radar: x.Radar != nil, modality.CSI: x.CSI != nil}
	for m, h := range has {
		if h != (m == int(s.modality)) {
			return false
		}
	}
	return true
}
