package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/model"
	"posefuse/model/keypoint"
	"posefuse/model/registry"
	"posefuse/person"
	"posefuse/pipeline/bus"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// Config is the daemon's whole configuration: one YAML document. Every key has
// its unit in its name and is described in configs/posefuse.yaml, which equals
// DefaultConfig.
type Config struct {
	Room       string           `yaml:"room"`
	StateDir   string           `yaml:"state_dir"`
	Sensors    SensorsConfig    `yaml:"sensors"`
	Sync       SyncConfig       `yaml:"sync"`
	Detector   DetectorConfig   `yaml:"detector"`
	Model      ModelConfig      `yaml:"model"`
	Person     PersonConfig     `yaml:"person"`
	Pose       PoseConfig       `yaml:"pose"`
	Extrinsics ExtrinsicsConfig `yaml:"extrinsics"`
	Bus        bus.Config       `yaml:"bus"`
	Web        WebConfig        `yaml:"web"`
	Exercise   ExerciseConfig   `yaml:"exercise"`
	Record     RecordConfig     `yaml:"record"`
	History    HistoryConfig    `yaml:"history"`
	Retrain    RetrainConfig    `yaml:"retrain"`
	Audit      AuditConfig      `yaml:"audit"`
	Log        LogConfig        `yaml:"log"`
}

// SyncConfig sets up the aligner.
type SyncConfig struct {
	RateHz    float64 `yaml:"rate_hz"`    // ticks and poses a second
	HoldMS    int     `yaml:"hold_ms"`    // longest wait of a tick for its sensors
	StaleMS   int     `yaml:"stale_ms"`   // a sensor silent for longer is not waited for
	MaxGapMS  int     `yaml:"max_gap_ms"` // a camera window does not reach back over a longer gap
	Mode      string  `yaml:"mode"`       // "reference_clock"
	PhaseLock bool    `yaml:"phase_lock"` // ticks follow a sensor's capture times
}

// ModelConfig names the model that runs.
type ModelConfig struct {
	// Path is a checkpoint folder; empty takes the promoted one of the registry in
	// state_dir, or the shipped one.
	Path  string `yaml:"path"`
	Cores int    `yaml:"cores"` // threads of inference; 0 means one per core
	// Precision is "auto", the fastest that costs next to nothing, or a fixed one.
	Precision string `yaml:"precision"`
	// Contribution adds to each pose what the sensors do to it: influence_mm
	// and spread_mm.
	Contribution bool `yaml:"contribution"`
	// TrustedKeys are ed25519 public keys, base64; if there are any, the daemon runs
	// only models signed with one of them and the shipped one.
	TrustedKeys []string `yaml:"trusted_keys"`
}

// Keys returns the keys of those whose models are trusted.
func (m *ModelConfig) Keys() (registry.Keys, error) { return registry.ParseKeys(m.TrustedKeys) }

// PersonConfig is the search for the person before the network.
type PersonConfig struct {
	// Enabled brings clouds and keypoints into the arrangement that the model
	// was trained in. It needs the extrinsics of the sensors that are on.
	Enabled bool `yaml:"enabled"`
	// Region is where a person may be, room frame; null is 6 m by 6 m before
	// the room's origin.
	Region *person.Box `yaml:"region"`
}

// ExtrinsicsConfig places the sensors in the room. Null means unknown.
type ExtrinsicsConfig struct {
	RoomFromCamera *frame.CameraPose `yaml:"room_from_camera"`
	RoomFromLiDAR  *frame.SensorPose `yaml:"room_from_lidar"`
	RoomFromRadar  *frame.SensorPose `yaml:"room_from_radar"`
	// Camera are the camera's intrinsics; null takes a lens like that of the
	// model's training.
	Camera *frame.Intrinsics `yaml:"camera_intrinsics"`
}

// WebConfig is the page, the API, health and metrics.
type WebConfig struct {
	Enabled   bool   `yaml:"enabled"`
	Listen    string `yaml:"listen"`
	ShowImage bool   `yaml:"show_image"` // the page shows the camera's pictures
	// Foxglove is where programs of Foxglove's WebSocket protocol see the room, on
	// this machine only; empty: nowhere.
	Foxglove        string   `yaml:"foxglove"`
	FoxgloveOrigins []string `yaml:"foxglove_origins"` // of web pages that may connect there
}

// ExerciseConfig runs the exercise subscriber inside the daemon.
type ExerciseConfig struct {
	Enabled bool `yaml:"enabled"`
	// Exercise is "auto", or activities or names, separated by commas: "squat, A09".
	Exercise    string `yaml:"exercise"`
	Definitions string `yaml:"definitions"` // folder of exercises that replace or join the built-in ones
	Language    string `yaml:"language"`    // of the sentences
	// SetRestS is how long a rest in a set may be, seconds; 0 leaves it to the exercise.
	SetRestS float64 `yaml:"set_rest_s"`
	// CameraTiltDeg is how far the camera looks down, for poses in its frame.
	CameraTiltDeg float64                   `yaml:"camera_tilt_deg"`
	Targets       map[string]ExerciseTarget `yaml:"targets"` // by activity or name
}

// ExerciseTarget is what a patient is to reach in an exercise; what is left out
// is the exercise's own.
type ExerciseTarget struct {
	Range       float64 `yaml:"range"` // in the unit of what is counted, degrees for most
	Repetitions int     `yaml:"repetitions"`
	TempoS      float64 `yaml:"tempo_s"`
}

// LogConfig is the daemon's log on standard error.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// DefaultConfig is what a key has when the file does not name it.
func DefaultConfig() Config {
	return Config{
		Room:     "room1",
		StateDir: "./posefuse-state",
		Sensors: SensorsConfig{
			Camera: newSensorConfig(modality.Camera, 10),
			LiDAR:  newSensorConfig(modality.LiDAR, 10),
			Radar:  newSensorConfig(modality.Radar, 10),
			CSI:    newSensorConfig(modality.CSI, 0),
		},
		Sync:     SyncConfig{RateHz: 10, HoldMS: 60, StaleMS: 500, MaxGapMS: intake.MaxGapMS, Mode: "reference_clock", PhaseLock: true},
		Detector: DetectorConfig{Model: keypoint.Lightning},
		Model:    ModelConfig{Precision: PrecisionAuto, Contribution: true, TrustedKeys: []string{}},
		Person:   PersonConfig{Enabled: true},
		Pose:     PoseConfig{Filter: SwitchConfig{Enabled: true}, Bones: SwitchConfig{Enabled: true}},
		Bus:      bus.DefaultConfig(),
		Web:      WebConfig{Enabled: true, Listen: "127.0.0.1:8080", FoxgloveOrigins: []string{}},
		Exercise: ExerciseConfig{Enabled: false, Exercise: "auto", Language: "en", Targets: map[string]ExerciseTarget{}},
		History:  HistoryConfig{KeepDays: 365},
		Record:   RecordConfig{KeepDays: 30, KeepGiB: 50, FreeGiB: 2, SegmentMin: 10, Raw: []string{}},
		Retrain:  RetrainConfig{Judge: []string{}, Cores: 0.5, MemoryMiB: 1024},
		Audit:    AuditConfig{Enabled: true, KeepDays: 180, MaxMiB: 32},
		Log:      LogConfig{Level: "info", Format: "text"},
	}
}

// LoadConfig reads a file, applies the POSEFUSE_* variables of environ and
// checks the result. An empty path means the defaults. Errors name the file
// and the key.
func LoadConfig(path string, environ []string) (Config, error) {
	var doc []byte
	if path != "" {
		var err error
		if doc, err = setting.ReadFile(path, maxConfig); err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
	}
	cfg, err := ParseConfig(doc, environ)
	if err != nil && path != "" {
		return cfg, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

// ParseConfig decodes one YAML document over the defaults, applies the
// POSEFUSE_* variables of environ and checks the result.
func ParseConfig(doc []byte, environ []string) (Config, error) {
	cfg := DefaultConfig()
	if err := checkText(doc); err != nil {
		return cfg, err
	}
	if err := checkKeys(doc); err != nil {
		return cfg, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&cfg); err != nil && !errors.Is(err, io.EOF) {
		return cfg, yamlError(err)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return cfg, errors.New("more than one YAML document; keep the first")
	}
	if err := applyEnviron(&cfg, environ); err != nil {
		return cfg, err
	}
	return cfg, withLines(doc, cfg.Check())
}

// unknownAnchor is what the library says of a value that begins with a star; the
// value may be a password.
var unknownAnchor = regexp.MustCompile(`(?s)unknown anchor '.*' referenced`)

// yamlError drops the library's prefix, keeps its line numbers.
func yamlError(err error) error {
	if text := err.Error(); unknownAnchor.MatchString(text) {
		return errors.New("a value that begins with * names an anchor, and there is none of that name; put the value in quotes")
	}
	if t, ok := errors.AsType[*yaml.TypeError](err); ok {
		return errors.New(strings.Join(t.Errors, "; "))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

// Check reports everything that is wrong with the configuration, without any
// I/O: one line per key, with what to do.
func (c *Config) Check() error {
	var p setting.Problems
	if err := bus.CheckRoom(c.Room); err != nil {
		p = append(p, err)
	}
	if c.StateDir == "" {
		p.Add("state_dir", "empty; name a folder the daemon may write to")
	}
	c.Sensors.check(&p)
	p.Between("sync.rate_hz", c.Sync.RateHz, 1, 60)
	p.Between("sync.hold_ms", float64(c.Sync.HoldMS), 0, 1000)
	p.Between("sync.stale_ms", float64(c.Sync.StaleMS), 50, 60_000)
	p.Between("sync.max_gap_ms", float64(c.Sync.MaxGapMS), 50, 60_000)
	p.OneOf("sync.mode", c.Sync.Mode, "reference_clock")
	c.Detector.check(&p)
	p.Between("model.cores", float64(c.Model.Cores), 0, 1024)
	p.OneOf("model.precision", c.Model.Precision, PrecisionAuto, string(model.Float32), string(model.Int8), string(model.BFloat16))
	if _, err := c.Model.Keys(); err != nil {
		p.Add("model.trusted_keys", "%v", err)
	}
	c.Extrinsics.check(&p)
	if c.Person.Region != nil {
		person.CheckRegion(&p, "person.region", c.Person.Region)
	}
	p.Join("bus", c.Bus.Check())
	if c.Web.Enabled {
		p.Address("web.listen", c.Web.Listen)
		c.checkNetworkPage(&p)
	}
	c.Web.checkFoxglove(&p)
	if c.Exercise.SetRestS < 0 || c.Exercise.SetRestS > 600 {
		p.Add("exercise.set_rest_s", "%v is out of range: give 0 to 600 seconds", c.Exercise.SetRestS)
	}
	if c.Exercise.CameraTiltDeg < -90 || c.Exercise.CameraTiltDeg > 90 {
		p.Add("exercise.camera_tilt_deg", "%v is out of range: give -90 to 90 degrees", c.Exercise.CameraTiltDeg)
	}
	if c.Exercise.Enabled && c.Bus.MQTT.URL == "" && (c.Bus.MQTT.Listen == "" || c.Bus.NATS.URL != "") {
		p.Add("exercise.enabled", "the exercise subscriber needs MQTT: set bus.mqtt.listen or bus.mqtt.url")
	}
	c.Record.check(&p)
	c.checkRaw(&p)
	c.History.check(&p)
	c.Retrain.check(&p, c.Bus.Hub.URL)
	c.Audit.check(&p)
	c.checkPorts(&p)
	p.OneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.OneOf("log.format", c.Log.Format, "text", "json")
	return errors.Join(p...)
}

// network reports whether others than this machine reach the page.
func (c *WebConfig) network() bool {
	host, _, err := setting.SplitAddress(c.Listen)
	return err == nil && !setting.Loopback(host)
}

// checkNetworkPage refuses a page on the network that has no TLS and no login.
func (c *Config) checkNetworkPage(p *setting.Problems) {
	if !c.Web.network() {
		return
	}
	var missing []string
	if c.Bus.TLS.CertFile == "" {
		missing = append(missing, "bus.tls.cert_file and bus.tls.key_file (posefuse cert makes them)")
	}
	if len(c.Bus.Users) == 0 {
		missing = append(missing, "bus.users")
	}
	switch {
	case len(missing) > 0:
		p.Add("web.listen", "%s can be reached from the network, and poses are health data: set %s, or listen on 127.0.0.1", c.Web.Listen, strings.Join(missing, " and "))
	case c.Bus.NATS.URL != "":
		p.Add("web.listen", "%s can be reached from the network, and the users are those of the daemon's own server: leave out bus.nats.url, or listen on 127.0.0.1", c.Web.Listen)
	}
}

func (s *SensorsConfig) check(p *setting.Problems) {
	enabled := 0
	for _, e := range s.list() {
		if e.cfg.Enabled {
			enabled++
			e.check(p)
		}
	}
	if enabled == 0 {
		p.Add("sensors", "every sensor is off; enable at least one")
	}
}

// TickPeriod returns the time between ticks.
func (s *SyncConfig) TickPeriod() time.Duration {
	return time.Duration(math.Round(float64(time.Second) / s.RateHz))
}

// InferenceCores returns how many cores inference may use. The drivers do not
// need one of their own: they run on further threads, for moments.
func (m *ModelConfig) InferenceCores() int {
	if m.Cores == 0 {
		return model.Cores()
	}
	return m.Cores
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
