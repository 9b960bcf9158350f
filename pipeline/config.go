package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/pipeline/bus"
)

// Config is the daemon's whole configuration: one YAML document. Every key has
// its unit in its name and is described in configs/posefuse.yaml, which equals
// DefaultConfig.
type Config struct {
	Room       string           `yaml:"room"`
	StateDir   string           `yaml:"state_dir"`
	Sensors    SensorsConfig    `yaml:"sensors"`
	Sync       SyncConfig       `yaml:"sync"`
	Model      ModelConfig      `yaml:"model"`
	Extrinsics ExtrinsicsConfig `yaml:"extrinsics"`
	Bus        bus.Config       `yaml:"bus"`
	Web        WebConfig        `yaml:"web"`
	Exercise   ExerciseConfig   `yaml:"exercise"`
	Log        LogConfig        `yaml:"log"`
}

// SensorsConfig holds one sensor per modality.
type SensorsConfig struct {
	Camera CameraConfig `yaml:"camera"`
	LiDAR  LiDARConfig  `yaml:"lidar"`
	Radar  RadarConfig  `yaml:"radar"`
	CSI    CSIConfig    `yaml:"csi"`
}

// SensorConfig is what every sensor has.
type SensorConfig struct {
	Enabled     bool    `yaml:"enabled"`
	Driver      string  `yaml:"driver"`
	LatencyMS   float64 `yaml:"latency_ms"`   // fixed time from capture to the sensor's stamp or earliest reception
	StaleMS     int     `yaml:"stale_ms"`     // silence after which the sensor's state is stale
	PeriodMS    float64 `yaml:"period_ms"`    // between samples; 0 measures it
	CentreMS    float64 `yaml:"centre_ms"`    // instant the sensor is matched to, relative to the tick
	ToleranceMS float64 `yaml:"tolerance_ms"` // jitter allowed around half a period; 0 takes the sensor kind's default
}

// CameraConfig is modality R.
type CameraConfig struct {
	SensorConfig `yaml:",inline"`
	KeypointsTCP KeypointsTCPConfig `yaml:"keypoints_tcp"`
}

// KeypointsTCPConfig is the keypoint port: JSON lines, one set of 17 COCO
// keypoints each.
type KeypointsTCPConfig struct {
	Listen string `yaml:"listen"`
}

// LiDARConfig is modality L.
type LiDARConfig struct {
	SensorConfig `yaml:",inline"`
	Ouster       OusterConfig `yaml:"ouster"`
	Livox        LivoxConfig  `yaml:"livox"`
}

// OusterConfig is an Ouster OS sensor that sends UDP packets.
type OusterConfig struct {
	Listen       string `yaml:"listen"`        // UDP address of the LiDAR packets
	MetadataFile string `yaml:"metadata_file"` // the sensor's metadata JSON
	From         string `yaml:"from"`          // accept datagrams of this IP address only
}

// LivoxConfig is a Livox sensor that sends UDP packets.
type LivoxConfig struct {
	Listen string `yaml:"listen"` // UDP address of the point packets
	From   string `yaml:"from"`   // accept datagrams of this IP address only
}

// RadarConfig is modality M.
type RadarConfig struct {
	SensorConfig `yaml:",inline"`
	TISerial     TISerialConfig `yaml:"ti_serial"`
}

// TISerialConfig is a TI radar on two serial ports.
type TISerialConfig struct {
	DataPort    string  `yaml:"data_port"`
	DataBaud    int     `yaml:"data_baud"`
	CommandPort string  `yaml:"command_port"`
	CommandBaud int     `yaml:"command_baud"`
	ConfigFile  string  `yaml:"config_file"` // TI .cfg sent at start
	CPUMHz      float64 `yaml:"cpu_mhz"`     // rate of the cycle counter in the frame header
}

// CSIConfig is modality W.
type CSIConfig struct {
	SensorConfig `yaml:",inline"`
	Atheros      AtherosConfig `yaml:"atheros"`
	Nexmon       NexmonConfig  `yaml:"nexmon"`
}

// AtherosConfig is a stream of Atheros CSI Tool records.
type AtherosConfig struct {
	Path     string `yaml:"path"`     // device, FIFO or file
	Listen   string `yaml:"listen"`   // or the TCP address a router forwards to
	Resample bool   `yaml:"resample"` // map packets that have not 114 tones
}

// NexmonConfig is a stream of Nexmon CSI datagrams.
type NexmonConfig struct {
	Interface string `yaml:"interface"` // network interface to capture from
	Port      int    `yaml:"port"`      // UDP destination port
	PcapFile  string `yaml:"pcap_file"` // read instead of the interface
	Follow    bool   `yaml:"follow"`    // read the pcap file as it grows
	Chip      string `yaml:"chip"`      // "auto" or the number, e.g. "43455c0"
	Resample  bool   `yaml:"resample"`  // map packets that have not 114 tones
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
	Path  string `yaml:"path"`  // checkpoint folder or file; empty takes the shipped one
	Cores int    `yaml:"cores"` // threads of inference; 0 means one per core
	// Contribution adds to each pose what the sensors do to it: influence_mm
	// and spread_mm.
	Contribution bool `yaml:"contribution"`
}

// ExtrinsicsConfig places the sensors in the room. Null means unknown.
type ExtrinsicsConfig struct {
	RoomFromCamera *CameraPose `yaml:"room_from_camera"`
	RoomFromLiDAR  *SensorPose `yaml:"room_from_lidar"`
	RoomFromRadar  *SensorPose `yaml:"room_from_radar"`
}

// WebConfig is the page, the API, health and metrics.
type WebConfig struct {
	Enabled bool   `yaml:"enabled"`
	Listen  string `yaml:"listen"`
}

// ExerciseConfig runs the exercise subscriber inside the daemon.
type ExerciseConfig struct {
	Enabled  bool   `yaml:"enabled"`
	Exercise string `yaml:"exercise"` // "auto" or an MM-Fi activity such as "A12"
}

// LogConfig is the daemon's log on standard error.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// DefaultConfig is what a key has when the file does not name it.
func DefaultConfig() Config {
	sensor := func(driver string, latencyMS, toleranceMS float64) SensorConfig {
		return SensorConfig{Enabled: true, Driver: driver, LatencyMS: latencyMS, StaleMS: 500, ToleranceMS: toleranceMS}
	}
	return Config{
		Room:     "room1",
		StateDir: "./posefuse-state",
		Sensors: SensorsConfig{
			Camera: CameraConfig{SensorConfig: sensor("keypoints_tcp", 0, 10), KeypointsTCP: KeypointsTCPConfig{Listen: "127.0.0.1:7010"}},
			LiDAR: LiDARConfig{SensorConfig: sensor("ouster", 0, 10),
				Ouster: OusterConfig{Listen: "127.0.0.1:7502", MetadataFile: "./posefuse-state/ouster.json"},
				Livox:  LivoxConfig{Listen: "127.0.0.1:56301"}},
			Radar: RadarConfig{SensorConfig: sensor("ti_serial", 0, 10),
				TISerial: TISerialConfig{DataPort: "/dev/ttyUSB1", DataBaud: 921600, CommandBaud: 115200, CPUMHz: 200}},
			CSI: CSIConfig{SensorConfig: sensor("atheros", 0, 0),
				Atheros: AtherosConfig{Listen: "127.0.0.1:7020"},
				Nexmon:  NexmonConfig{Interface: "wlan0", Port: 5500, Chip: "auto"}},
		},
		Sync:     SyncConfig{RateHz: 10, HoldMS: 60, StaleMS: 500, MaxGapMS: 500, Mode: "reference_clock", PhaseLock: true},
		Model:    ModelConfig{Contribution: true},
		Bus:      bus.DefaultConfig(),
		Web:      WebConfig{Enabled: true, Listen: "127.0.0.1:8080"},
		Exercise: ExerciseConfig{Enabled: false, Exercise: "auto"},
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
		if doc, err = os.ReadFile(path); err != nil {
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
	return cfg, cfg.Check()
}

// yamlError drops the library's prefix, keeps its line numbers.
func yamlError(err error) error {
	if t, ok := errors.AsType[*yaml.TypeError](err); ok {
		return errors.New(strings.Join(t.Errors, "; "))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}

// problems collects errors with their key paths.
type problems struct{ errs []error }

func (p *problems) add(key, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

func (p *problems) between(key string, v, lo, hi float64) {
	if !(v >= lo && v <= hi) { // also NaN
		p.add(key, "%v is out of range, want %v to %v", v, lo, hi)
	}
}

func (p *problems) oneOf(key, v string, want ...string) {
	if !slices.Contains(want, v) {
		p.add(key, "%q is unknown: use %s", v, strings.Join(want, " or "))
	}
}

func (p *problems) address(key, v string) {
	if _, _, err := bus.SplitAddress(v); err != nil {
		p.add(key, "%w", err)
	}
}

// Check reports everything that is wrong with the configuration, without any
// I/O: one line per key, with what to do.
func (c *Config) Check() error {
	var p problems
	if err := bus.CheckRoom(c.Room); err != nil {
		p.errs = append(p.errs, err)
	}
	if c.StateDir == "" {
		p.add("state_dir", "empty; name a folder the daemon may write to")
	}
	c.Sensors.check(&p)
	p.between("sync.rate_hz", c.Sync.RateHz, 1, 60)
	p.between("sync.hold_ms", float64(c.Sync.HoldMS), 0, 1000)
	p.between("sync.stale_ms", float64(c.Sync.StaleMS), 50, 60_000)
	p.between("sync.max_gap_ms", float64(c.Sync.MaxGapMS), 50, 60_000)
	p.oneOf("sync.mode", c.Sync.Mode, "reference_clock")
	p.between("model.cores", float64(c.Model.Cores), 0, 1024)
	c.Extrinsics.check(&p)
	if err := c.Bus.Validate(); err != nil {
		for e := range joined(err) {
			p.errs = append(p.errs, fmt.Errorf("bus.%w", e))
		}
	}
	if c.Web.Enabled {
		p.address("web.listen", c.Web.Listen)
		if host, _, err := bus.SplitAddress(c.Web.Listen); err == nil && !bus.Loopback(host) {
			p.add("web.listen", "%s can be reached from the network and the page has no login; listen on 127.0.0.1 and put a proxy with TLS and login in front", c.Web.Listen)
		}
	}
	if c.Exercise.Exercise != "auto" && (len(c.Exercise.Exercise) != 3 || c.Exercise.Exercise[0] != 'A') {
		p.add("exercise.exercise", "%q is unknown: use auto or an activity such as A12", c.Exercise.Exercise)
	}
	if c.Exercise.Enabled && c.Bus.MQTT.URL == "" && (c.Bus.MQTT.Listen == "" || c.Bus.NATS.URL != "") {
		p.add("exercise.enabled", "the exercise subscriber needs MQTT: set bus.mqtt.listen or bus.mqtt.url")
	}
	p.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	p.oneOf("log.format", c.Log.Format, "text", "json")
	return errors.Join(p.errs...)
}

// joined yields the parts of a joined error, or the error itself.
func joined(err error) func(func(error) bool) {
	return func(yield func(error) bool) {
		if j, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range j.Unwrap() {
				if !yield(e) {
					return
				}
			}
			return
		}
		yield(err)
	}
}

func (s *SensorsConfig) check(p *problems) {
	enabled := 0
	for _, e := range s.list() {
		c := e.cfg
		if !c.Enabled {
			continue
		}
		enabled++
		key := "sensors." + e.name
		p.between(key+".latency_ms", c.LatencyMS, 0, 1000)
		p.between(key+".stale_ms", float64(c.StaleMS), 50, 60_000)
		p.between(key+".period_ms", c.PeriodMS, 0, 10_000)
		p.between(key+".centre_ms", c.CentreMS, -1000, 1000)
		p.between(key+".tolerance_ms", c.ToleranceMS, 0, 1000)
		p.oneOf(key+".driver", c.Driver, driverNames(e.modality)...)
		if d, ok := lookupDriver(e.modality, c.Driver); ok {
			d.check(s, func(setting, format string, args ...any) {
				p.add(key+"."+c.Driver+"."+setting, format, args...)
			})
		}
	}
	if enabled == 0 {
		p.add("sensors", "every sensor is off; enable at least one")
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
		return runtime.NumCPU()
	}
	return m.Cores
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
