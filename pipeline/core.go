// Package pipeline is the live path of the daemon: it supervises the sensors,
// aligns their samples, infers a pose per tick and publishes it, and tells how
// everything is doing.
//
// One owner, Core, creates and closes every part. Parts start in this order
// and stop in the reverse one, each completely before the next:
//
//	bus        embedded servers or connections; nothing can be published without it
//	http       page, API, health and metrics
//	viewers    point clouds and the camera's keypoints, apart from the tick loop
//	reporter   status, sensor messages, readiness and watchdog
//	aligner    ticks: infer and publish one pose each
//	sensors    one supervisor per sensor, which feeds the aligner
//
// No lock is held while another part is called.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/nats-io/nats.go"

	"posefuse/audit"
	"posefuse/message"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/pipeline/bus"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// Options are the parts that Core does not make itself.
type Options struct {
	Config  Config
	Version string // of the daemon, semantic
	Log     *slog.Logger

	// Model makes the poses. Without one the daemon runs and says what is
	// missing; its messages carry no joints.
	Model Inferer
	// Registry keeps the models that ctl.model.* may choose, and Shipped opens the
	// one inside the program, from which they started; nil refuses the requests.
	Registry *registry.Registry
	Shipped  func() (*model.Network, model.Card, error)
	// ModelProblem says why another model runs than the promoted one; "" if it does.
	ModelProblem string
	// NewDetector makes what finds keypoints in pictures, from detector.model;
	// nil means the function NewDetector.
	NewDetector func(model string) (camera.Detector, error)
	// Sources replaces the driver of a sensor whose entry is not nil.
	Sources [modality.Count]sensors.Source
	// Simulated are the sensors whose samples are made up: messages say so.
	Simulated modality.Set
	// Page serves everything that the API does not; nil serves the API alone.
	Page func(nc *nats.Conn, room string) http.Handler
	// Foxglove serves Foxglove's protocol, where web.foxglove is set; nil: nothing does.
	Foxglove func(nc *nats.Conn, room string, origins []string) (http.Handler, error)
	// Guard decides who may see what the port serves; network is whether others than
	// this machine reach it. nil: everybody.
	Guard func(b *bus.Bus, network bool) func(http.Handler) http.Handler
	// Tap, if set, sees every sample with its capture time, on the driver's
	// goroutine. It must not block.
	Tap func(*sensors.Sample)
	// Reload reads the configuration again, as it was read for Config; nil if
	// there is no file.
	Reload func() (Config, error)
	// SetLog changes what is logged and how; nil if it cannot change.
	SetLog func(LogConfig)
	// Notify tells the service manager; nil means sd_notify.
	Notify func(state string) error
	// WatchdogInterval is the service manager's limit; 0 reads WATCHDOG_USEC.
	WatchdogInterval time.Duration
}

// sensorPart is one configured sensor.
type sensorPart struct {
	entry      sensorEntry
	supervisor *sensors.Supervisor
	clock      *timesync.ClockModel
}

// Core is the daemon. Build it with New, run it with Run.
type Core struct {
	cfg     Config
	opt     Options
	log     *slog.Logger
	clock   *timesync.RoomClock
	aligner *timesync.Aligner
	ticks   *tickLoop
	points  *pointFeed
	seen    *keypointFeed
	picture *pictureTap // nil: the camera takes none
	metrics *metrics
	sensors [modality.Count]*sensorPart // nil if off
	errors  *errorLog

	pictures pictureSize // of the camera, as it sends
	wall     wallClock   // what became of the wall clock
	machine  machine     // what the operating system gives

	recorder Recorder // nil: nothing can be recorded
	parts    []func() message.PartHealth

	reloads reloads                   // of the configuration
	audit   atomic.Pointer[audit.Log] // nil: none is kept

	state   atomic.Pointer[stateFolder]    // set while running
	bus     atomic.Pointer[bus.Bus]        // the same
	models  atomic.Pointer[modelControl]   // the same
	pages   pages                          // page and Foxglove, on their ports
	httpCut atomic.Uint64                  // connections to the page that gave way to newer ones
	viewers viewers                        // of the page
	counted atomic.Pointer[func() Counted] // of exercises; nil: nobody counts
	ready   chan struct{}
	changed chan struct{} // capacity 1: a sensor changed its state
	started atomic.Bool
}

// New checks the configuration and the model and builds every part. It does no
// I/O except a trial inference and what NewDetector reads.
func New(opt Options) (*Core, error) {
	if err := opt.Config.Check(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c := &Core{cfg: opt.Config, opt: opt, log: opt.Log, clock: timesync.NewClock(), metrics: newMetrics(),
		ready: make(chan struct{}), changed: make(chan struct{}, 1)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.opt.NewDetector == nil {
		c.opt.NewDetector = NewDetector
	}
	if c.opt.Notify == nil {
		c.opt.Notify = func(state string) error {
			_, err := daemon.SdNotify(false, state)
			return err
		}
	}
	c.reloads.running = c.cfg
	c.pages.showImage.Store(c.cfg.Web.ShowImage)
	c.errors = &errorLog{log: c.log}
	c.seen = newKeypointFeed(c.cfg.Room)
	sources, err := c.sources()
	if err != nil {
		return nil, err
	}
	var card model.Card
	if opt.Model != nil {
		card = opt.Model.Card()
	}
	used, notes := opt.Config.Arrangement(card)
	c.cfg.Extrinsics = used
	for _, n := range notes {
		c.log.Warn("where the sensors are", "key", n.Key, "problem", n.Text)
	}
	c.ticks = c.cfg.newTicks(card, c.clock, c.metrics)
	c.points, c.ticks.onError = c.ticks.points, c.errors.report
	c.ticks.publish = func(buf []byte, p *message.Pose) ([]byte, error) {
		buf, err := c.bus.Load().PublishPose(buf, p)
		if c.recorder != nil && err == nil {
			c.recorder.Pose(buf, p.CaptureNS, p.Frame, p.JointsM)
		}
		return buf, err
	}
	if opt.Model != nil {
		if err := c.SwapModel(opt.Model); err != nil {
			return nil, err
		}
	}
	if err := c.buildSync(sources); err != nil {
		return nil, err
	}
	if err := c.metrics.registry.Register(c); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return c, nil
}

// sources returns the given sources, and those of the configuration for the rest.
func (c *Core) sources() ([modality.Count]sensors.Source, error) {
	need := c.cfg.Sensors
	for _, e := range need.list() {
		if c.opt.Sources[e.modality] != nil {
			e.cfg.Enabled = false // need is a copy
		}
	}
	out, err := BuildSources(&need)
	if err != nil {
		return out, fmt.Errorf("configuration: %w", err)
	}
	if cam, ok := out[modality.Camera].(*configuredSource); ok {
		if err := c.connectCamera(cam); err != nil {
			return out, err
		}
	}
	for m, s := range c.opt.Sources {
		if s != nil {
			out[m] = s
		}
	}
	return out, nil
}

func (c *Core) buildSync(sources [modality.Count]sensors.Source) error {
	cfg := c.cfg.Sync.aligner(c.clock)
	cfg.Settled = c.ticks.settled
	for _, e := range c.cfg.Sensors.list() {
		src := sources[e.modality]
		if src == nil || !e.cfg.Enabled {
			continue
		}
		cfg.Sensors = append(cfg.Sensors, e.aligned())
		if e.modality == modality.Camera {
			src = &watchedCamera{Source: src, feed: c.seen}
		}
		part := &sensorPart{entry: e, clock: timesync.NewClockModel(timesync.ModelConfig{FixedLatency: millis(e.cfg.LatencyMS)})}
		part.supervisor = sensors.NewSupervisor(e.name, e.modality, src, sensors.SupervisorConfig{
			StaleAfter: millis(float64(e.cfg.StaleMS)),
			OnChange:   c.onSensorChange,
			Raw: func(r *sensors.Raw) {
				if c.recorder != nil {
					c.recorder.Raw(e.modality, r)
				}
			},
		}, c.clock, func(s *sensors.Sample) {
			part.clock.Stamp(s)
			if s.Modality == modality.Camera {
				c.seen.person(s, c.clock.NowNS())
				c.pictures.take(s)
			}
			if c.opt.Tap != nil {
				c.opt.Tap(s)
			}
			if c.recorder != nil {
				c.recorder.Sample(s)
			}
			c.aligner.Push(s)
		})
		c.sensors[e.modality] = part
	}
	a, err := timesync.NewAligner(cfg)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	c.aligner = a
	return nil
}

func (c *Core) onSensorChange(s sensors.Snapshot) {
	switch s.State {
	case sensors.Down:
		c.log.Warn("sensor failed, trying again", "sensor", s.Name, "error", s.WhatToDo())
	case sensors.Stale:
		c.log.Warn("sensor went silent", "sensor", s.Name)
	case sensors.Live:
		c.log.Info("sensor is live", "sensor", s.Name)
	case sensors.Off, sensors.Starting:
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// SwapModel replaces the model between two ticks. The new one is built, tried
// and refused if it cannot run live, before the old one is touched. A model
// that was accepted belongs to the daemon.
func (c *Core) SwapModel(inf Inferer) error {
	if err := c.fits(inf.Card()); err != nil {
		return err
	}
	e, err := newEngine(inf, c.cfg.Model.Contribution)
	if err != nil {
		return err
	}
	c.ticks.install(e, nil)
	if e.chosen != "" {
		c.log.Info("model is ready", "model", e.card.Name, "version", e.card.Version, "precision", e.chosen)
	}
	return nil
}

// fits refuses a model for any room where the person cannot be found.
func (c *Core) fits(card model.Card) error {
	if card.Config.Recipe == model.RecipeRoom && c.ticks.person == nil {
		return fmt.Errorf("model %s %s: its recipe is %s, which needs the person found: set person.enabled to true, or use a model of recipe %s", card.Name, card.Version, model.RecipeRoom, model.RecipePaper)
	}
	return nil
}

// sensorNames are the names of the sensors that are on.
func (c *Core) sensorNames() (names []string) {
	for _, e := range c.cfg.Sensors.list() {
		if c.sensors[e.modality] != nil {
			names = append(names, e.name)
		}
	}
	return names
}

// Run starts every part and blocks until ctx ends or a part fails; then it
// stops them all and returns the reason, nil for ctx. It can be called once.
func (c *Core) Run(ctx context.Context) (err error) {
	if c.started.Swap(true) {
		return errors.New("the daemon was run already")
	}
	state, err := openState(c.cfg.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.release()) }()
	c.state.Store(state)
	if state.problem != nil {
		c.log.Error("measuring goes on, but nothing is kept", "error", state.problem, "temporary_dir", state.dir)
	}
	endAudit, err := c.openAudit(ctx)
	if err != nil {
		return err
	}
	defer endAudit()
	opt := bus.Options{Room: c.cfg.Room, Audit: func(e audit.Entry) { c.audit.Load().Note(e) }, StateDir: state.dir, Version: c.opt.Version, Log: c.log.With("part", "bus"), Sensors: c.sensorNames()}
	b, err := bus.Open(c.cfg.Bus, opt) //nolint:contextcheck // its publisher ends with Close, after ctx
	if err != nil {
		return err
	}
	c.bus.Store(b)
	err = c.runParts(ctx, b)
	if cerr := b.Close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return err
}

func (c *Core) runParts(ctx context.Context, b *bus.Bus) error {
	if err := c.addControl(b); err != nil {
		return err
	}
	models := c.newModelControl(b)
	if err := models.endpoints(); err != nil {
		return err
	}
	if err := c.openPages(b); err != nil { //nolint:contextcheck // opening a port takes no time
		return err
	}
	stages := []stage{{"models", models.run}, {"foxglove", c.pages.foxglove.run}, {"http", c.pages.page.run}}
	if p := c.ticks.person; p != nil {
		if err := p.load(c.cfg.StateDir); err != nil {
			c.log.Warn("the room's background is learned anew", "error", err)
		}
		if c.keeps() {
			stages = append(stages, stage{"background", func(ctx context.Context) error { return p.keep(ctx, c.cfg.StateDir, c.errors.report) }})
		}
	}
	rep := newReporter(c, b)
	stages = append(stages,
		stage{"viewers", func(ctx context.Context) error {
			return c.points.run(ctx, func(p *message.Points) {
				if err := b.PublishPoints(p); err != nil {
					c.errors.report(err)
				}
			})
		}},
		stage{"keypoint viewers", func(ctx context.Context) error {
			return c.seen.run(ctx, func(k *message.ImageKeypoints) {
				if err := b.PublishImageKeypoints(k); err != nil {
					c.errors.report(err)
				}
			})
		}},
		stage{"reporter", rep.run},
		stage{"aligner", func(ctx context.Context) error {
			return c.ticks.run(ctx, c.aligner, c.cfg.Model.InferenceCores())
		}},
		stage{"sensors", func(ctx context.Context) error {
			var parts []stage
			for _, s := range c.sensors {
				if s != nil {
					parts = append(parts, stage{"sensor " + s.entry.name, s.supervisor.Run})
				}
			}
			return runStages(ctx, parts)
		}})
	close(c.ready)
	return runStages(ctx, stages)
}

// Ready is closed when the bus and the HTTP server take connections.
func (c *Core) Ready() <-chan struct{} { return c.ready }

// Bus returns the bus of a running daemon, nil before Ready.
func (c *Core) Bus() *bus.Bus { return c.bus.Load() }

// WebURL returns the page's address, "" if it is off or before Ready.
func (c *Core) WebURL() string {
	if u := c.pages.url.Load(); u != nil {
		return *u
	}
	return ""
}

// Clock returns the room clock.
func (c *Core) Clock() timesync.Clock { return c.clock }
