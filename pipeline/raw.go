package pipeline

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// DriverSetup is what a sensor's raw bytes were read with. Nothing secret is in it:
// the drivers that know a password take pictures, which are not recorded.
type DriverSetup struct {
	Driver   string `json:"driver"`
	Common   string `json:"common,omitempty"` // settings that all drivers of the sensor share, YAML
	Settings string `json:"settings"`         // of the driver, YAML
}

// errRawPictures is why the raw bytes of most cameras are not recorded.
var errRawPictures = errors.New("its raw bytes are pictures, and no setting lets pictures be recorded; leave it out")

// rawSetup returns what a sensor's raw bytes are read with; the error says why they
// cannot be recorded.
func (e sensorEntry) rawSetup() (s DriverSetup, err error) {
	if !e.cfg.Enabled {
		return s, errors.New("it is off")
	}
	settings := e.cfg.settings()
	if settings == nil {
		return s, fmt.Errorf("there is no driver %s", e.cfg.Driver)
	}
	if _, pictures := settings.Source(e.name).(*camera.VideoSource); pictures {
		return s, fmt.Errorf("driver %s: %w", e.cfg.Driver, errRawPictures)
	}
	s.Driver = e.cfg.Driver
	text, err := yaml.Marshal(settings)
	if err != nil {
		return s, fmt.Errorf("driver %s: %w", e.cfg.Driver, err)
	}
	s.Settings = string(text)
	if e.cfg.Common == nil {
		return s, nil
	}
	if text, err = yaml.Marshal(e.cfg.Common); err != nil {
		return s, fmt.Errorf("driver %s: %w", e.cfg.Driver, err)
	}
	s.Common = string(text)
	return s, nil
}

// Source makes the source of a sensor with these settings, but for keys that are
// given. It opens nothing.
func (s DriverSetup) Source(m modality.Kind, keys map[string]any) (sensors.Source, error) {
	var all SensorsConfig
	for _, e := range all.list() {
		if e.modality != m {
			continue
		}
		*e.cfg = newSensorConfig(m, 0)
		own := map[string]any{}
		if err := yaml.Unmarshal([]byte(s.Settings), &own); err != nil {
			return nil, fmt.Errorf("driver %s: its recorded settings: %w", s.Driver, err)
		}
		if !slices.Contains(e.cfg.driverNames(), s.Driver) {
			return nil, fmt.Errorf("driver %s: this program has none of that name for the %s", s.Driver, m)
		}
		if err := e.cfg.Choose(s.Driver, own); err != nil {
			return nil, err
		}
		if err := e.cfg.Choose(s.Driver, keys); err != nil {
			return nil, err
		}
		if e.cfg.Common != nil {
			if err := yaml.Unmarshal([]byte(s.Common), e.cfg.Common); err != nil {
				return nil, fmt.Errorf("driver %s: its recorded settings: %w", s.Driver, err)
			}
		}
		return e.source()
	}
	return nil, fmt.Errorf("there is no sensor %s", m)
}

// checkRaw adds what is wrong with the sensors whose raw bytes sessions have.
func (c *Config) checkRaw(p *setting.Problems) {
	for i, name := range c.Record.Raw {
		if slices.Contains(c.Record.Raw[:i], name) {
			p.Add("record.raw", "%s comes twice", name)
			continue
		}
		known := false
		for _, e := range c.Sensors.list() {
			if e.name != name {
				continue
			}
			known = true
			if _, err := e.rawSetup(); errors.Is(err, errRawPictures) {
				p.Add("record.raw", "%s: %v", name, err)
			}
		}
		if !known {
			p.Add("record.raw", "there is no sensor %q; give some of camera, lidar, radar and csi", name)
		}
	}
}

// RawSetup returns what the raw bytes of sensors are read with, by name. An error says
// which cannot be recorded, and why.
func (c *Core) RawSetup(names []string) (map[string]DriverSetup, error) {
	out := map[string]DriverSetup{}
	for _, e := range c.cfg.Sensors.list() {
		if !slices.Contains(names, e.name) {
			continue
		}
		if c.opt.Sources[e.modality] != nil {
			return nil, fmt.Errorf("raw: %s: its samples are made within this program, there are no bytes; leave it out", e.name)
		}
		s, err := e.rawSetup()
		if err != nil {
			return nil, fmt.Errorf("raw: %s: %w", e.name, err)
		}
		out[e.name] = s
	}
	return out, nil
}
