package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"posefuse/message"
	"posefuse/pipeline/bus"
	"posefuse/sensors"
)

// Rates of the reporter.
const (
	reportStep   = 100 * time.Millisecond // changes are noticed within
	reportPeriod = time.Second            // status and sensor messages
)

// overloadedFor is how long the pipeline counts as overloaded after a tick was
// skipped.
const overloadedFor = 10 * time.Second

const codeOverloaded = "overloaded"

// Severities of a PartHealth.
const (
	severityOK      = "ok"
	severityWarning = "warning"
	severityError   = "error"
)

// Status returns the daemon's health as it is published.
func (c *Core) Status() message.Status {
	now := c.clock.NowNS()
	s := message.Status{Schema: message.StatusSchema, Room: c.cfg.Room, State: message.Online,
		Time:  c.clock.WallAt(now).UTC().Format(time.RFC3339Nano),
		Parts: c.health(), Poses: c.ticks.progress.poses.Load(),
		FPS: roundTo(c.ticks.progress.fps(now, 0), 1e2), Uptime: roundTo(time.Duration(now).Seconds(), 1e3)}
	if e := c.ticks.engine.Load(); e != nil {
		s.Model = &message.PoseModel{Name: e.card.Name, Version: e.card.Version, SHA256: e.card.SHA256}
		s.Figures = &message.ModelFigures{AngleSDDeg: e.card.AngleSDDeg, MovementShare: e.card.MovementShare, WorthMM: e.worthMM}
	}
	if m := c.models.Load(); m != nil {
		s.Shadow = m.shadow.Load()
	}
	return s
}

// health lists the parts: sensors in the model's order, person, body, arrangement,
// model, aligner, wall clock, descriptors, memory, state, audit, recorder, configuration, bus.
func (c *Core) health() []message.PartHealth {
	var parts []message.PartHealth
	for _, e := range c.cfg.Sensors.list() {
		parts = append(parts, c.sensorHealth(e))
	}
	parts = append(parts, c.personHealth(), c.ticks.body.health(), c.arrangementHealth(), c.modelHealth(), c.alignerHealth())
	machine, synced := c.machine.look(c.clock.NowNS())
	parts = append(append(parts, c.wall.health(c.clock, synced || c.opt.Simulated != 0)), machine...)
	parts = c.auditHealth(c.stateHealth(parts))
	if c.recorder != nil {
		parts = append(parts, c.recorder.Health())
	}
	for _, part := range c.parts {
		parts = append(parts, part())
	}
	if c.opt.Reload != nil {
		parts = append(parts, c.reloads.health())
	}
	if b := c.bus.Load(); b != nil {
		parts = append(parts, b.Health()...)
	}
	return parts
}

// personHealth says where the person is, or that nobody is searched.
func (c *Core) personHealth() message.PartHealth {
	if c.ticks.person != nil {
		h := c.ticks.person.health()
		if track, there, assumed := c.ticks.person.Person(); there && !assumed {
			if cost := c.away(track.PlaceM); cost != "" {
				h.Code, h.Severity, h.Text = codeOutside, severityWarning, h.Text+"; "+cost
			}
		}
		return h
	}
	return message.PartHealth{Part: "person", Code: stateOff, Text: "not searched: person.enabled is false", Severity: severityOK}
}

func (c *Core) modelHealth() message.PartHealth {
	e := c.ticks.engine.Load()
	if e == nil {
		return message.PartHealth{Part: "model", Code: "missing", Severity: severityError,
			Text: "no model is loaded, so poses carry no joints; set model.path to a checkpoint folder"}
	}
	h := message.PartHealth{Part: "model", Code: "ok", Severity: severityOK,
		Text: strings.TrimSpace(fmt.Sprintf("%s %s (%s, %s)", e.card.Name, e.card.Version, e.card.Config.Size, e.card.Config.Modalities))}
	if e.chosen != "" {
		h.Text += " in " + e.chosen
	}
	m := c.models.Load()
	switch {
	case m == nil:
	case m.note.Load() != nil:
		h.Code, h.Severity, h.Text = "rolled_back", severityWarning, h.Text+"; "+*m.note.Load()
	case c.opt.ModelProblem != "" && !m.changed.Load():
		h.Code, h.Severity, h.Text = "fallback", severityWarning, h.Text+"; the promoted model is not used: "+c.opt.ModelProblem
	}
	return h
}

// stallLimit is how long no pose may be published: five periods, and two
// seconds at least.
func (c *Core) stallLimit() time.Duration { return max(2*time.Second, 5*c.cfg.Sync.TickPeriod()) }

// stalled reports whether the tick loop stopped publishing.
func (c *Core) stalled() bool {
	return c.clock.NowNS()-c.ticks.progress.lastNS.Load() > int64(c.stallLimit())
}

// stallText says that it did.
func (c *Core) stallText() string {
	return fmt.Sprintf("no pose was published for %.3g seconds", c.stallLimit().Seconds())
}

func (c *Core) alignerHealth() message.PartHealth {
	h := message.PartHealth{Part: "pipeline", Code: "ok", Text: "a pose per tick", Severity: severityOK}
	switch {
	case c.ticks.progress.poses.Load() == 0 && !c.stalled():
		h.Code, h.Text = "starting", "waiting for the first tick"
	case c.stalled():
		h.Code, h.Text, h.Severity = "stalled", c.stallText()+"; the machine is overloaded or a part hangs", severityError
	case c.liveSensors() == 0:
		h.Code, h.Text, h.Severity = "no_sensor", "no sensor is live, so poses carry no joints", severityWarning
	default:
		if st := c.aligner.Stats(); st.SkippedNS != 0 && c.clock.NowNS()-st.SkippedNS < int64(overloadedFor) {
			h.Code, h.Severity = codeOverloaded, severityWarning
			h.Text = fmt.Sprintf("a pose takes %.0f ms and ticks come every %.0f ms, so %d were skipped; use the edge model, a checkpoint of lower precision, fewer modalities or a lower sync.rate_hz",
				milliseconds(st.BusyNS), milliseconds(int64(c.cfg.Sync.TickPeriod())), st.Skipped)
		}
	}
	return h
}

func (c *Core) liveSensors() int {
	n := 0
	for _, s := range c.sensors {
		if s != nil && s.supervisor.Snapshot().State == sensors.Live {
			n++
		}
	}
	return n
}

func (c *Core) addControl(b *bus.Bus) error {
	if err := b.HandleControl("reload", c.reloadControl); err != nil {
		return err
	}
	if err := b.HandleControl("status", func([]byte) ([]byte, error) { return json.Marshal(c.Status()) }); err != nil {
		return err
	}
	return b.HandleControl("person.calibrate", c.ticks.body.calibrate)
}

// reporter publishes what others should know and tells the service manager
// that the pipeline makes progress.
type reporter struct {
	core     *Core
	bus      *bus.Bus
	watchdog time.Duration // feed at least this often; 0: nobody waits

	last     []string // part codes of the newest status
	slow     bool     // the pipeline was overloaded in it
	lastSent int64
	sensorNS int64
	fedAt    int64
	fedPoses uint64
	isReady  bool
}

func newReporter(c *Core, b *bus.Bus) *reporter {
	r := &reporter{core: c, bus: b, watchdog: c.opt.WatchdogInterval}
	if r.watchdog == 0 {
		d, err := daemon.SdWatchdogEnabled(false)
		if err != nil {
			c.log.Warn("watchdog is off", "error", err)
		}
		r.watchdog = d
	}
	return r
}

func (r *reporter) run(ctx context.Context) error {
	t := time.NewTicker(reportStep)
	defer t.Stop()
	r.report()
	for {
		select {
		case <-ctx.Done():
			r.notify(daemon.SdNotifyStopping)
			return nil
		case <-r.core.changed:
		case <-t.C:
		}
		r.report()
	}
}

func (r *reporter) report() {
	now := r.core.clock.NowNS()
	r.progress(now)
	if step := r.core.wall.follow(r.core.clock); step != 0 {
		r.core.log.Warn("the wall clock was set: capture_time follows, the room clock does not move", "step_s", roundTo(step.Seconds(), 1e3))
	}
	s := r.core.Status()
	codes := make([]string, len(s.Parts))
	for i, p := range s.Parts {
		codes[i] = p.Part + "=" + p.Code
		if slow := p.Code == codeOverloaded; p.Part == "pipeline" {
			if slow && !r.slow {
				r.core.log.Warn("ticks are skipped", "reason", p.Text)
			}
			r.slow = slow
		}
	}
	r.tellSensors(&s, codes)
	if !slices.Equal(codes, r.last) || now-r.lastSent >= int64(reportPeriod) {
		r.last, r.lastSent = codes, now
		if err := r.bus.PublishStatus(&s); err != nil {
			r.core.errors.report(err)
		}
	}
	if now-r.sensorNS < int64(reportPeriod) && r.sensorNS != 0 {
		return
	}
	r.sensorNS = now
	for _, m := range r.core.sensorMessages() {
		if err := r.bus.PublishSensor(&m); err != nil {
			r.core.errors.report(err)
		}
	}
}

// tellSensors logs what is newly wrong with the sensors' data; that one is silent,
// failed or live again is logged when it happens, and one that is not started yet is
// no news.
func (r *reporter) tellSensors(s *message.Status, codes []string) {
	for i, p := range s.Parts {
		known := p.Code == sensors.Off.String() || p.Code == sensors.Stale.String() || p.Code == sensors.Down.String() || p.Code == codeOthers
		if !strings.HasPrefix(p.Part, "sensor.") || p.Severity != severityWarning || known || i < len(r.last) && codes[i] == r.last[i] {
			continue
		}
		r.core.log.Warn("sensor's data", "sensor", strings.TrimPrefix(p.Part, "sensor."), "code", p.Code, "text", p.Text)
	}
}

// progress reports readiness with the first pose, and feeds the watchdog only
// when poses were published since the last time.
func (r *reporter) progress(now int64) {
	poses := r.core.ticks.progress.poses.Load()
	if poses == r.fedPoses {
		return
	}
	if !r.isReady {
		r.isReady = true
		r.notify(daemon.SdNotifyReady)
	}
	if r.watchdog > 0 && now-r.fedAt >= int64(r.watchdog)/4 {
		r.fedAt, r.fedPoses = now, poses
		r.notify(daemon.SdNotifyWatchdog)
	}
}

func (r *reporter) notify(state string) {
	if err := r.core.opt.Notify(state); err != nil {
		r.core.log.Warn("service manager was not told", "state", state, "error", err)
	}
}
