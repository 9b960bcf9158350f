package pipeline

import (
	"bytes"
	"fmt"
	"time"

	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors"
	timesync "posefuse/sync"
)

// ReplayOptions are what recorded samples are made poses with.
type ReplayOptions struct {
	Setup      Setup
	AnchorNS   int64   // Unix time of room time zero, ns
	Background []byte  // what was known of the room; may be empty
	Model      Inferer // belongs to the replay from then on
	// Pose takes each pose. Text is its message; both are valid until it returns.
	// Its latency is 0, for nobody waits.
	Pose func(text []byte, p *message.Pose) error
	// Warn hears of ticks that could not be inferred and of sensors whose data
	// cannot be used, as the daemon's log does.
	Warn func(error)
}

// Replay makes poses of recorded samples as the daemon does of live ones: the same
// aligner, intake, network and body. Its clock is that of the samples, so that equal
// samples give equal poses, bit for bit, however fast they come.
type Replay struct {
	clock   replayClock
	aligner *timesync.Aligner
	ticks   *tickLoop
	wait    time.Duration // until the next tick is due
	begun   bool
	err     error // of Pose, the first one
}

// replayClock is the room clock of a recording.
type replayClock struct{ nowNS, anchorNS int64 }

// NowNS implements timesync.Clock.
func (c *replayClock) NowNS() int64 { return c.nowNS }

// WallAt implements timesync.Clock.
func (c *replayClock) WallAt(ns int64) time.Time { return time.Unix(0, c.anchorNS+ns).UTC() }

// longestQuiet is how much of a time without any sample is played: what is longer
// is a pause of the recording, and skipped.
const longestQuiet = 3 * time.Second

// NewReplay returns a replay that waits for its first sample.
func NewReplay(o ReplayOptions) (*Replay, error) {
	cfg, err := o.Setup.config()
	if err != nil {
		return nil, err
	}
	card := o.Model.Card()
	if card.Config.Recipe == model.RecipeRoom && !cfg.Person.Enabled {
		return nil, fmt.Errorf("model %s %s: its recipe is %s, which needs the person found, and the session was recorded with person.enabled false", card.Name, card.Version, model.RecipeRoom)
	}
	e, err := newEngine(o.Model, cfg.Model.Contribution)
	if err != nil {
		return nil, err
	}
	r := &Replay{clock: replayClock{anchorNS: o.AnchorNS}}
	r.ticks = cfg.newTicks(card, &r.clock, newMetrics())
	r.ticks.onError = o.Warn
	r.ticks.publish = func(buf []byte, p *message.Pose) ([]byte, error) {
		p.LatencyMS = message.PoseLatency{}
		buf, failure := message.AppendPose(buf[:0], p)
		if failure == nil {
			failure = o.Pose(buf, p)
		}
		if r.err == nil {
			r.err = failure
		}
		return buf, nil
	}
	if r.ticks.person != nil && len(o.Background) > 0 {
		if err = r.ticks.person.LoadBackground(bytes.NewReader(o.Background)); err != nil {
			return nil, fmt.Errorf("the room's background in the session: %w", err)
		}
	}
	r.ticks.install(e, nil)
	sync := cfg.Sync.aligner(&r.clock)
	for _, s := range cfg.Sensors.list() {
		if s.cfg.Enabled {
			sync.Sensors = append(sync.Sensors, s.aligned())
		}
	}
	if r.aligner, err = timesync.NewAligner(sync); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	return r, nil
}

// Push takes a sample at the room time at which it was handed on, and gives the
// poses that are due until then. One of the past is taken at the time of the one
// before it.
func (r *Replay) Push(s *sensors.Sample, atNS int64) error {
	if !r.begun {
		r.begun = true
		r.clock.nowNS = atNS
		r.wait = r.aligner.Step(r.ticks.tick)
	}
	r.advance(atNS)
	r.aligner.Push(s)
	r.wait = r.aligner.Step(r.ticks.tick)
	return r.err
}

// advance moves the clock, tick by tick.
func (r *Replay) advance(toNS int64) {
	until := toNS
	if toNS-r.clock.nowNS > int64(longestQuiet) {
		until = r.clock.nowNS + int64(longestQuiet)
	}
	for r.err == nil && r.clock.nowNS+int64(r.wait) <= until {
		r.clock.nowNS += int64(r.wait)
		r.wait = r.aligner.Step(r.ticks.tick)
	}
	r.clock.nowNS = max(r.clock.nowNS, toNS)
}

// Finish gives the poses that the last samples still make and closes the model.
func (r *Replay) Finish() error {
	if r.begun && r.err == nil {
		r.advance(r.clock.nowNS + int64(timesync.DefaultStale))
	}
	r.ticks.closeEngines()
	return r.err
}
