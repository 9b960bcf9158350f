package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"

	"posefuse/frame"
	"posefuse/message"
	"posefuse/model"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// RecordConfig is about sessions: what a room sees, kept on request.
type RecordConfig struct {
	Enabled    bool    `yaml:"enabled"`     // a session may be started; none starts by itself
	KeepDays   int     `yaml:"keep_days"`   // sessions older than that are deleted; 0: never
	KeepGiB    float64 `yaml:"keep_gib"`    // the oldest are deleted while all take more; 0: never
	FreeGiB    float64 `yaml:"free_gib"`    // recording pauses while less is left on the disk
	SegmentMin float64 `yaml:"segment_min"` // length of a file, minutes
	// Raw are the sensors of which a session has what the driver reads, too, where
	// the request does not say which.
	Raw []string `yaml:"raw"`
}

func (c *RecordConfig) check(p *setting.Problems) {
	p.Between("record.keep_days", float64(c.KeepDays), 0, 36_500)
	p.Between("record.keep_gib", c.KeepGiB, 0, 1<<20)
	p.Between("record.free_gib", c.FreeGiB, 0, 1<<20)
	p.Between("record.segment_min", c.SegmentMin, 0.1, 1440)
}

// Recorder takes what passes through the daemon. Its methods never wait.
type Recorder interface {
	// Sample takes a sample with its capture time, on the driver's goroutine.
	Sample(s *sensors.Sample)
	// Raw takes what a driver read before it decoded it, on the driver's goroutine.
	// Nothing may be kept.
	Raw(m modality.Kind, r *sensors.Raw)
	// Pose takes a pose as it was published, of a tick at captureNS, on the tick
	// loop's goroutine; joints is nil without one. Nothing may be kept.
	Pose(text []byte, captureNS int64, frame string, joints *[model.NumJoints][3]float64)
	// Health says how the recorder is doing.
	Health() message.PartHealth
}

// Record gives the daemon a recorder. It is called before Run.
func (c *Core) Record(r Recorder) { c.recorder = r }

// HistoryConfig allows the sets of patients to be kept over months.
type HistoryConfig struct {
	Enabled  bool `yaml:"enabled"`
	KeepDays int  `yaml:"keep_days"` // sets older than that are dropped; 0: none
}

func (c *HistoryConfig) check(p *setting.Problems) {
	p.Between("history.keep_days", float64(c.KeepDays), 0, 36_500)
}

// Report adds a part to the daemon's health. It is called before Run.
func (c *Core) Report(part func() message.PartHealth) { c.parts = append(c.parts, part) }

// Recordable is what has to be kept with a room's samples to make poses of them
// again.
type Recordable struct {
	Setup      Setup
	Rig        *frame.Rig // as the poses are made, with what is assumed of it; nil without a model
	Background []byte     // what was learned of the room; empty if nobody is searched
	Model      string     // name and version, "" without one
}

// Recordable returns that of the present moment.
func (c *Core) Recordable() (r Recordable, err error) {
	r.Setup = c.cfg.setup()
	if e := c.ticks.engine.Load(); e != nil {
		r.Model = e.card.Name + " " + e.card.Version
		a := e.card.TrainedIn()
		rig, _ := c.cfg.rig(&a)
		r.Rig = &rig
	}
	if p := c.ticks.person; p != nil {
		var b bytes.Buffer
		if err = p.SaveBackground(&b); err != nil {
			return r, fmt.Errorf("the room's background: %w", err)
		}
		r.Background = b.Bytes()
	}
	return r, nil
}

// Setup is what of a configuration decides which poses a room's samples become.
// Nothing secret is in it.
type Setup struct {
	Room       string                 `json:"room"`
	Sync       SyncConfig             `json:"sync"`
	Sensors    map[string]SensorSetup `json:"sensors"` // by name of the modality; those that are on
	Person     PersonConfig           `json:"person"`
	Pose       PoseConfig             `json:"pose"`
	Extrinsics ExtrinsicsConfig       `json:"extrinsics"`
	Influence  bool                   `json:"influence"`
	// Drivers are what raw bytes were read with, of the sensors whose bytes are
	// recorded, by name. Poses do not depend on them.
	Drivers map[string]DriverSetup `json:"drivers,omitempty"`
}

// SensorSetup is how the samples of a sensor are brought to ticks.
type SensorSetup struct {
	PeriodMS    float64 `json:"period_ms"`
	CentreMS    float64 `json:"centre_ms"`
	ToleranceMS float64 `json:"tolerance_ms"`
}

func (c *Config) setup() Setup {
	s := Setup{Room: c.Room, Sync: c.Sync, Person: c.Person, Pose: c.Pose, Extrinsics: c.Extrinsics, Influence: c.Model.Contribution, Sensors: map[string]SensorSetup{}}
	for _, e := range c.Sensors.list() {
		if e.cfg.Enabled {
			s.Sensors[e.modality.String()] = SensorSetup{PeriodMS: e.cfg.PeriodMS, CentreMS: e.cfg.CentreMS, ToleranceMS: e.cfg.ToleranceMS}
		}
	}
	return s
}

// config returns a configuration with the setup's values and without anything that
// a room is live with.
func (s *Setup) config() (Config, error) {
	c := DefaultConfig()
	c.Room, c.Sync, c.Person, c.Pose, c.Extrinsics, c.Model.Contribution = s.Room, s.Sync, s.Person, s.Pose, s.Extrinsics, s.Influence
	for _, e := range c.Sensors.list() {
		v, on := s.Sensors[e.modality.String()]
		e.cfg.Enabled, e.cfg.PeriodMS, e.cfg.CentreMS, e.cfg.ToleranceMS = on, v.PeriodMS, v.CentreMS, v.ToleranceMS
	}
	if err := c.Check(); err != nil {
		return c, fmt.Errorf("the session's setup: %w", err)
	}
	return c, nil
}

// ParseSetup reads what Setup is as JSON.
func ParseSetup(text []byte) (s Setup, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if err = d.Decode(&s); err != nil {
		return s, fmt.Errorf("the session's setup: %w", err)
	}
	if len(s.Sensors) == 0 {
		return s, fmt.Errorf("the session's setup names no sensor")
	}
	return s, nil
}
