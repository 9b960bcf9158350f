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
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// States of a sensor in its messages.
const (
	stateLive = "live"
	stateOff  = "off"
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
	}
	return s
}

// health lists the parts: sensors in the model's order, model, aligner, bus.
func (c *Core) health() []message.PartHealth {
	var parts []message.PartHealth
	for _, e := range c.cfg.Sensors.list() {
		parts = append(parts, c.sensorHealth(e))
	}
	parts = append(parts, c.personHealth(), c.modelHealth(), c.alignerHealth())
	if b := c.bus.Load(); b != nil {
		parts = append(parts, b.Health()...)
	}
	return parts
}

func (c *Core) sensorHealth(e sensorEntry) message.PartHealth {
	h := message.PartHealth{Part: "sensor." + e.name, Code: stateOff, Text: "switched off", Severity: severityOK}
	s := c.sensors[e.modality]
	if s == nil {
		return h
	}
	snap := s.supervisor.Snapshot()
	h.Code, h.Severity = snap.State.String(), severityWarning
	switch snap.State {
	case sensors.Live:
		h.Code, h.Text, h.Severity = "ok", fmt.Sprintf("live at %.0f Hz", snap.RateHz), severityOK
		if e.modality == modality.Camera {
			c.addSight(&h)
		}
	case sensors.Starting:
		h.Text, h.Severity = "waiting for the first sample", severityOK
	case sensors.Stale:
		h.Text = "the source runs, but no sample comes; " + e.driver().Silent
		if snap.HasSample {
			h.Text = fmt.Sprintf("silent for %.0f s; %s", time.Duration(c.clock.NowNS()-snap.LastNS).Seconds(), e.driver().Silent)
		}
	case sensors.Down:
		h.Text, h.Severity = snap.WhatToDo(), severityError
	case sensors.Off:
		h.Text = "not running"
	}
	if c.opt.Simulated.Has(e.modality) {
		h.Text = "simulated: " + h.Text
	}
	return h
}

// addSight says what a live camera has in view, if that is not one person.
func (c *Core) addSight(h *message.PartHealth) {
	switch c.seen.sight(c.clock.NowNS()) {
	case sightNobody:
		h.Code, h.Text = "nobody", h.Text+", nobody in view"
	case sightOthers:
		h.Code, h.Severity = "others", severityWarning
		h.Text += ", another person in view; the pose follows one of them, so let one person alone be in the picture"
	case sightPerson:
	}
}

// personHealth says where the person is, or why nobody is searched.
func (c *Core) personHealth() message.PartHealth {
	if c.ticks.person != nil {
		return c.ticks.person.health()
	}
	h := message.PartHealth{Part: "person", Code: stateOff, Text: "not searched: person.enabled is false", Severity: severityOK}
	if c.personMissing != "" {
		h.Code, h.Severity = "no_place", severityWarning
		h.Text = "not searched, for " + c.personMissing + " is not given: poses hold only where the sensors and the person stand as in the model's training"
	}
	return h
}

func (c *Core) modelHealth() message.PartHealth {
	e := c.ticks.engine.Load()
	if e == nil {
		return message.PartHealth{Part: "model", Code: "missing", Severity: severityError,
			Text: "no model is loaded, so poses carry no joints; set model.path to a checkpoint folder"}
	}
	return message.PartHealth{Part: "model", Code: "ok", Severity: severityOK,
		Text: strings.TrimSpace(fmt.Sprintf("%s %s (%s, %s)", e.card.Name, e.card.Version, e.card.Config.Size, e.card.Config.Modalities))}
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

// sensorMessages returns the state of all four sensors.
func (c *Core) sensorMessages() []message.Sensor {
	stats := map[string]timesync.SensorStats{}
	for _, s := range c.aligner.Stats().Sensors {
		stats[s.Name] = s
	}
	var out []message.Sensor
	for _, e := range c.cfg.Sensors.list() {
		m := message.Sensor{Schema: message.SensorSchema, Room: c.cfg.Room, Name: e.name, Modality: e.modality.Letter(),
			State: stateOff, Counters: map[string]uint64{}}
		if s := c.sensors[e.modality]; s != nil {
			fillSensor(&m, s, stats[e.name])
			m.Simulated = c.opt.Simulated.Has(e.modality)
		}
		out = append(out, m)
	}
	return out
}

func fillSensor(m *message.Sensor, s *sensorPart, a timesync.SensorStats) {
	snap, clock := s.supervisor.Snapshot(), s.clock.Status()
	m.State, m.RateHz = snap.State.String(), roundTo(snap.RateHz, 1e2)
	m.LastError, m.Restarts, m.Discontinuities = snap.LastError, snap.Restarts, clock.Discontinuities
	if a.Seen {
		age := milliseconds(a.AgeNS)
		m.AgeMS = &age
		if a.State == timesync.Fused {
			skew := milliseconds(a.SkewNS)
			m.SkewMS = &skew
		}
	}
	switch clock.State {
	case timesync.ModelLearning, timesync.ModelLocked, timesync.ModelSuspect:
		offset, drift := milliseconds(clock.OffsetNS), roundTo(clock.DriftPPM, 1e3)
		m.OffsetMS, m.DriftPPM = &offset, &drift
	case timesync.ModelEmpty, timesync.ModelReceiveOnly, timesync.ModelNoStamp:
	}
	// What the driver passed on is counted by the aligner: join the two
	// ledgers so that "in" stays the sum of the rest.
	m.Counters = a.Outcomes.Map()
	for outcome, n := range snap.Outcomes {
		if outcome != sensors.OutcomeSample {
			m.Counters[outcome] += n
			m.Counters["in"] += n
		}
	}
}

func (c *Core) addControl(b *bus.Bus) error {
	return b.HandleControl("status", func([]byte) ([]byte, error) { return json.Marshal(c.Status()) })
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
