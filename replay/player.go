// Package replay plays recordings as fake sensors: each modality of a clip is
// encoded to the bytes its real sensor sends and goes through the transport
// the driver really reads, on an absolute schedule, with faults on request.
package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// Defaults of Config.
const (
	DefaultPause = 1500 * time.Millisecond
	DefaultLead  = 300 * time.Millisecond
)

// Config says what to play, how fast and on which fake sensors.
type Config struct {
	Data  recording.Dataset // where the clips come from
	Clips []recording.Key   // played in this order; all of Data if empty
	Loop  bool              // start over after the last clip

	Speed float64       // 1 if 0; 2 plays at 20 frames a second
	Pause time.Duration // between clips, so that temporal windows start over; DefaultPause if 0, none if negative
	Lead  time.Duration // from Run to the first frame; DefaultLead if 0

	// The fake sensors; nil ones are not played.
	Camera *CameraConfig
	LiDAR  *LiDARConfig
	Radar  *RadarConfig
	CSI    *CSIConfig

	Faults map[modality.Kind]Faults

	// OnFrame, if set, is called at the capture time of each frame, in order.
	// It must not block.
	OnFrame func(FrameEvent)

	Log *slog.Logger // nil discards
}

// FrameEvent says when a frame was captured, so that published poses can be
// matched to frames.
type FrameEvent struct {
	Clip    recording.Key
	Pass    int       // number of the clip in play order, 0-based
	Frame   int       // 0-based
	Capture time.Time // host clock, with its monotonic part
}

// Player plays clips on fake sensors.
type Player struct {
	cfg   Config
	feeds []*feed
}

// schedule is the absolute time of every frame: pauses are whole periods.
type schedule struct {
	start  time.Time // capture time of frame 0
	period time.Duration
}

func (s *schedule) frame(n int64) time.Time { return s.start.Add(time.Duration(n) * s.period) }

// indexAt returns the number of the first frame captured at t or later.
func (s *schedule) indexAt(t time.Time) int64 {
	d := t.Sub(s.start)
	if d <= 0 {
		return 0
	}
	return int64((d + s.period - 1) / s.period)
}

// planned is a clip with its place in the schedule.
type planned struct {
	clip    recording.Clip
	pass    int
	first   int64   // number of its first frame
	csiGain float64 // factor from stored CSI to integers, 0 if the clip has none
}

// NewPlayer checks cfg. It opens neither clips nor transports.
func NewPlayer(cfg Config) (*Player, error) {
	if cfg.Data == nil {
		return nil, errors.New("replay: no data set to play")
	}
	if len(cfg.Clips) == 0 {
		cfg.Clips = cfg.Data.Keys()
	}
	if len(cfg.Clips) == 0 {
		return nil, fmt.Errorf("replay: %s holds no clips", cfg.Data.Describe())
	}
	if cfg.Speed == 0 {
		cfg.Speed = 1
	}
	if !(cfg.Speed >= 0.01 && cfg.Speed <= 100) {
		return nil, fmt.Errorf("replay: speed %v is not between 0.01 and 100", cfg.Speed)
	}
	if cfg.Pause == 0 {
		cfg.Pause = DefaultPause
	}
	if cfg.Lead <= 0 {
		cfg.Lead = DefaultLead
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Player{cfg: cfg}
	builders := map[modality.Kind]func() (fake, error){}
	if cfg.Camera != nil {
		builders[modality.Camera] = func() (fake, error) { return newCameraFake(*cfg.Camera) }
	}
	if cfg.LiDAR != nil {
		builders[modality.LiDAR] = func() (fake, error) { return newLiDARFake(*cfg.LiDAR) }
	}
	if cfg.Radar != nil {
		builders[modality.Radar] = func() (fake, error) { return newRadarFake(*cfg.Radar) }
	}
	if cfg.CSI != nil {
		builders[modality.CSI] = func() (fake, error) { return newCSIFake(*cfg.CSI) }
	}
	for m := range modality.Count {
		build := builders[m]
		if build == nil {
			continue
		}
		f, err := build()
		if err != nil {
			return nil, fmt.Errorf("replay: %s: %w", m, err)
		}
		p.feeds = append(p.feeds, &feed{
			modality: m, fake: f, faults: cfg.Faults[m], log: cfg.Log, wanted: true,
			wake: make(chan struct{}, 1), passed: -1,
		})
	}
	if len(p.feeds) == 0 {
		return nil, errors.New("replay: no fake sensor to play on")
	}
	return p, nil
}

// Period returns the time between frames at the configured speed.
func (p *Player) Period() time.Duration {
	return time.Duration(recording.FramePeriodMS * float64(time.Millisecond) / p.cfg.Speed)
}

// Run plays the clips until the last one ends or ctx does, which is no error.
// A clip that does not open is logged and skipped; if none opens, or one is
// missing from the data set, Run returns the reasons. It may be called once.
func (p *Player) Run(ctx context.Context) error {
	s := &schedule{start: time.Now().Add(p.cfg.Lead), period: p.Period()}
	plans := make([]chan planned, len(p.feeds))
	var wg sync.WaitGroup
	for i, f := range p.feeds {
		f.play = s
		plan := make(chan planned, 1)
		plans[i] = plan
		wg.Go(func() { f.run(ctx, plan) })
	}
	err := p.conduct(ctx, s, plans)
	for _, plan := range plans {
		close(plan)
	}
	wg.Wait()
	return err
}

// conduct opens the clips one ahead, hands them to all feeds and reports the
// frames.
func (p *Player) conduct(ctx context.Context, s *schedule, plans []chan planned) error {
	pauseFrames := int64(0)
	if p.cfg.Pause > 0 {
		pauseFrames = int64((p.cfg.Pause + s.period - 1) / s.period)
	}
	var failed []error
	var now *planned // the clip being played
	next := int64(0)
	pass := 0
	for round := 0; round == 0 || p.cfg.Loop; round++ {
		opened := 0
		for _, key := range p.cfg.Clips {
			c, err := p.prepare(key)
			if err != nil {
				p.cfg.Log.Error("clip is skipped", "clip", key.String(), "error", err)
				if round == 0 {
					failed = append(failed, err)
				}
				continue
			}
			opened++
			if at := s.indexAt(time.Now().Add(s.period)); now == nil {
				next = max(next, at) // opening may have taken longer than the lead
			}
			c.pass, c.first = pass, next
			pass++
			next += int64(c.clip.Len()) + pauseFrames
			for _, plan := range plans {
				select {
				case plan <- c:
				case <-ctx.Done():
					return nil
				}
			}
			if now != nil && !p.report(ctx, s, now) {
				return nil
			}
			now = &c
		}
		if opened == 0 {
			break
		}
	}
	if now != nil && !p.report(ctx, s, now) {
		return nil
	}
	return errors.Join(failed...)
}

// prepare opens a clip and looks once through what must be known beforehand.
func (p *Player) prepare(key recording.Key) (planned, error) {
	c, err := p.cfg.Data.Open(key)
	if err != nil {
		return planned{}, err
	}
	out := planned{clip: c}
	if p.cfg.CSI != nil {
		out.csiGain = csiGain(c)
	}
	return out, nil
}

// report calls OnFrame for every frame of a clip and reports whether to go on.
func (p *Player) report(ctx context.Context, s *schedule, c *planned) bool {
	for i := range c.clip.Len() {
		at := s.frame(c.first + int64(i))
		timer := time.NewTimer(time.Until(at))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		if p.cfg.OnFrame != nil {
			p.cfg.OnFrame(FrameEvent{Clip: c.clip.Key(), Pass: c.pass, Frame: i, Capture: at})
		}
	}
	return true
}

// Stop unplugs a fake sensor: its transport closes at once.
func (p *Player) Stop(m modality.Kind) { p.want(m, false) }

// Start plugs a fake sensor in again. Like a real one it starts with a new
// clock and new counters.
func (p *Player) Start(m modality.Kind) { p.want(m, true) }

func (p *Player) want(m modality.Kind, on bool) {
	for _, f := range p.feeds {
		if f.modality == m {
			f.want(on)
		}
	}
}

// Counts returns what became of the wire data so far, per sensor played.
func (p *Player) Counts() map[modality.Kind]Counts {
	out := make(map[modality.Kind]Counts, len(p.feeds))
	for _, f := range p.feeds {
		out[f.modality] = f.snapshot()
	}
	return out
}
