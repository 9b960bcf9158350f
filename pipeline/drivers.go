package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
	"posefuse/setting"
)

// Drivers returns every driver the daemon knows, each sensor's default first.
func Drivers() []sensors.Driver {
	return slices.Concat(camera.Drivers(), lidar.Drivers(), radar.Drivers(), csi.Drivers())
}

// sensorEntry is one sensor of the configuration.
type sensorEntry struct {
	name     string // also the key below "sensors" and the sensor's name in messages
	modality modality.Kind
	cfg      *SensorConfig
}

// list returns the four sensors in the model's order.
func (s *SensorsConfig) list() [modality.Count]sensorEntry {
	return [...]sensorEntry{
		{"camera", modality.Camera, &s.Camera},
		{"lidar", modality.LiDAR, &s.LiDAR},
		{"radar", modality.Radar, &s.Radar},
		{"csi", modality.CSI, &s.CSI},
	}
}

// driver returns what is known of the driver in use; nothing, if there is no
// such driver.
func (e sensorEntry) driver() sensors.Driver {
	for _, d := range Drivers() {
		if d.Modality == e.modality && d.Name == e.cfg.Driver {
			return d
		}
	}
	return sensors.Driver{}
}

// block is where the settings of the driver in use lie.
func (e sensorEntry) block() string { return "sensors." + e.name + "." + e.cfg.Driver }

// check adds what is wrong with one sensor.
func (e sensorEntry) check(p *setting.Problems) {
	c, key := e.cfg, "sensors."+e.name
	p.Between(key+".latency_ms", c.LatencyMS, 0, 1000)
	p.Between(key+".stale_ms", float64(c.StaleMS), 50, 60_000)
	p.Between(key+".period_ms", c.PeriodMS, 0, 10_000)
	p.Between(key+".centre_ms", c.CentreMS, -1000, 1000)
	p.Between(key+".tolerance_ms", c.ToleranceMS, 0, 1000)
	p.OneOf(key+".driver", c.Driver, c.driverNames()...)
	if c.Common != nil {
		p.Join(key, c.Common.Check())
	}
	if s := c.settings(); s != nil {
		p.Join(e.block(), s.Check())
	}
}

// source makes the sensor's source. It opens nothing.
func (e sensorEntry) source() (*configuredSource, error) {
	var p setting.Problems
	e.check(&p)
	if err := errors.Join(p...); err != nil {
		return nil, err
	}
	return &configuredSource{Source: e.cfg.settings().Source(e.name), name: e.name, block: e.block()}, nil
}

// configuredSource adds to a driver's errors what the driver does not know:
// which sensor it reads and where its settings lie.
type configuredSource struct {
	sensors.Source
	name, block string
}

// Run implements sensors.Source.
func (s *configuredSource) Run(ctx context.Context, sink sensors.Sink) error {
	err := s.Source.Run(ctx, sink)
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*setting.Problem](err); ok {
		err = p.Below(s.block)
	}
	return fmt.Errorf("sensor %s: %w", s.name, err)
}

// Files returns the files that the drivers in use read when they start, by the
// path of the key that names them.
func (s *SensorsConfig) Files() map[string]string {
	files := map[string]string{}
	for _, e := range s.list() {
		f, ok := e.cfg.settings().(sensors.FileSettings)
		if !ok || !e.cfg.Enabled {
			continue
		}
		for key, path := range f.Files() {
			files[e.block()+"."+key] = path
		}
	}
	return files
}

// BuildSources makes the source of every enabled sensor, nil for the others.
// It opens nothing.
func BuildSources(c *SensorsConfig) ([modality.Count]sensors.Source, error) {
	var out [modality.Count]sensors.Source
	for _, e := range c.list() {
		if !e.cfg.Enabled {
			continue
		}
		src, err := e.source()
		if err != nil {
			return out, err
		}
		out[e.modality] = src
	}
	return out, nil
}
