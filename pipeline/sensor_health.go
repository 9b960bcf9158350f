package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"posefuse/message"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	timesync "posefuse/sync"
)

// States of a sensor in its messages.
const (
	stateLive = "live"
	stateOff  = "off"
)

// Codes of a sensor's health beside its states and its driver's findings.
const (
	codeOthers     = "others"     // a camera sees more than one person
	codeRejected   = "rejected"   // data come and are refused
	codeClockJump  = "clock_jump" // the device's clock was set, or there are two devices
	codeRate       = "rate"       // more samples than such a sensor can give
	jumpShownFor   = 1500 * time.Millisecond
	jumpWindow     = 10 * time.Second
	jumpsTooMany   = 3   // in jumpWindow: no clock is set that often
	rateTolerance  = 1.5 // times the configured rate
	refusalsToName = 3
)

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
		c.addDoubt(&h, s, &snap)
	case sensors.Starting:
		h.Text, h.Severity = "waiting for the first sample", severityOK
		addFindings(&h, &snap)
	case sensors.Stale:
		c.addSilence(&h, e, &snap)
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

// addSilence says why a running source gives no sample: its data are refused,
// or nothing comes at all.
func (c *Core) addSilence(h *message.PartHealth, e sensorEntry, snap *sensors.Snapshot) {
	driver := e.driver()
	if refused, advice := refusals(&driver, snap.Recent); refused != "" {
		h.Code = codeRejected
		h.Text = "data comes but is rejected: " + refused
		if !faulty(snap) && advice != "" {
			h.Text += "; " + advice
		}
		addFindings(h, snap)
		return
	}
	h.Text = "the source runs, but no sample comes"
	if snap.HasSample {
		h.Text = fmt.Sprintf("silent for %.0f s", time.Duration(c.clock.NowNS()-snap.LastNS).Seconds())
	}
	if faulty(snap) {
		addFindings(h, snap)
		return
	}
	h.Text += "; " + driver.Silent
}

// rateSettles is how long a source must have been live until its rate says
// anything: at first what waited in a buffer comes all at once.
const rateSettles = 2 * time.Second

// addDoubt says what is wrong with a sensor that gives samples.
func (c *Core) addDoubt(h *message.PartHealth, s *sensorPart, snap *sensors.Snapshot) {
	driver, now := s.entry.driver(), c.clock.NowNS()
	limit := driver.MaxHz
	if p := s.entry.cfg.PeriodMS; p > 0 {
		limit = rateTolerance * 1e3 / p
	}
	jumps := s.clock.JumpsSince(now - int64(jumpWindow))
	switch refused, advice := flood(&driver, snap.Recent); {
	case faulty(snap):
		addFindings(h, snap)
	case limit > 0 && snap.RateHz > limit && now-snap.SinceNS >= int64(rateSettles):
		h.Code, h.Severity = codeRate, severityWarning
		h.Text += fmt.Sprintf(", more than the %.0f Hz that such a sensor can give: let one device alone send to this input", limit)
	case jumps >= jumpsTooMany:
		h.Code, h.Severity = codeClockJump, severityWarning
		h.Text += fmt.Sprintf(", but its clock jumped %d times in %.0f s: two devices send to this input, or its clock is set again and again", jumps, jumpWindow.Seconds())
	case s.clock.JumpsSince(now-int64(jumpShownFor)) > 0:
		h.Code, h.Severity = codeClockJump, severityWarning
		h.Text += ", its clock has just jumped: the device restarted or its clock was set"
	case refused != "":
		h.Code, h.Severity = codeRejected, severityWarning
		h.Text += ", but most data is rejected: " + refused + "; " + advice
	}
	for _, f := range snap.Findings {
		if f.Note {
			h.Text += "; " + f.Text
		}
	}
}

// faulty reports whether the driver found anything wrong.
func faulty(snap *sensors.Snapshot) bool {
	return slices.ContainsFunc(snap.Findings, func(f sensors.Finding) bool { return !f.Note })
}

// addFindings adds what the driver finds wrong with its data; the first finding
// gives the code.
func addFindings(h *message.PartHealth, snap *sensors.Snapshot) {
	first := true
	for _, f := range snap.Findings {
		if f.Note {
			continue
		}
		if first {
			first = false
			h.Code, h.Severity = f.Code, severityWarning
		}
		h.Text += "; " + f.Text
	}
}

// refusal is an outcome of refused data with its count.
type refusal struct {
	outcome string
	n       uint64
	sensors.Outcome
}

// refusedIn lists what a driver refused lately, most first and bytes last, for
// they say least.
func refusedIn(d *sensors.Driver, recent map[string]uint64) []refusal {
	var list []refusal
	for outcome, n := range recent {
		if o := d.Outcomes[outcome]; o.Refused != "" && n > 0 {
			list = append(list, refusal{outcome, n, o})
		}
	}
	slices.SortFunc(list, func(a, b refusal) int {
		bytes := func(r refusal) int {
			if r.Unit == "bytes" {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(bytes(a), bytes(b)), cmp.Compare(b.n, a.n), strings.Compare(a.outcome, b.outcome))
	})
	return list
}

// refusals says in words what a driver refused lately, "" if nothing, and what
// to do about the most frequent.
func refusals(d *sensors.Driver, recent map[string]uint64) (text, advice string) {
	list := refusedIn(d, recent)
	if len(list) == 0 {
		return "", ""
	}
	var parts []string
	for _, r := range list[:min(len(list), refusalsToName)] {
		parts = append(parts, thousands(r.n)+" "+r.outcome)
	}
	return strings.Join(parts, ", "), list[0].Refused
}

// flood is refusals where a driver refuses more than it takes of the same unit.
func flood(d *sensors.Driver, recent map[string]uint64) (text, advice string) {
	list := refusedIn(d, recent)
	if len(list) == 0 {
		return "", ""
	}
	var refused, taken uint64
	unit := list[0].Unit
	for outcome, n := range recent {
		switch o := d.Outcomes[outcome]; {
		case o.Refused != "" && o.Unit == unit:
			refused += n
		case unit == "" && outcome == sensors.OutcomeSample, unit != "" && o.Unit == unit:
			taken += n
		}
	}
	if taken == 0 || refused <= taken {
		return "", ""
	}
	return refusals(d, recent)
}

// thousands writes a count with a comma every three digits.
func thousands(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// addSight says what a live camera has in view, if that is not one person.
func (c *Core) addSight(h *message.PartHealth) {
	switch c.seen.sight(c.clock.NowNS()) {
	case sightNobody:
		h.Code, h.Text = "nobody", h.Text+", nobody in view"
	case sightOthers:
		h.Code, h.Severity = codeOthers, severityWarning
		h.Text += ", another person in view; the pose follows one of them, so let one person alone be in the picture"
	case sightPerson:
	}
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
	// What it counted in other units has a ledger of its own.
	m.Counters = a.Outcomes.Map()
	described := s.entry.driver().Outcomes
	for outcome, n := range snap.Outcomes {
		switch unit := described[outcome].Unit; {
		case outcome == sensors.OutcomeSample:
		case unit == "":
			m.Counters[outcome] += n
			m.Counters["in"] += n
		default:
			if m.Input == nil {
				m.Input = map[string]uint64{}
			}
			m.Input[inputName(outcome, unit)] += n
		}
	}
}

// inputName joins an outcome and its unit, which the outcome may have already.
func inputName(outcome, unit string) string {
	if strings.HasSuffix(outcome, "_"+unit) {
		return outcome
	}
	return outcome + "_" + unit
}
