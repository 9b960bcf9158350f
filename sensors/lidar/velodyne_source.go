package lidar

import (
	"context"
	"fmt"

	"posefuse/sensors"
	"posefuse/setting"
)

// VelodyneConfig describes a Velodyne sensor.
type VelodyneConfig struct {
	UDPConfig       `yaml:",inline"`
	CalibrationFile string  `yaml:"calibration_file"` // angles of the lasers; empty: those of the manual
	CutDeg          float64 `yaml:"cut_deg"`          // azimuth at which a sweep begins
}

// NewVelodyneConfig returns the defaults. Sweeps are cut behind the sensor, so
// that the person before it is not in two of them.
func NewVelodyneConfig() *VelodyneConfig {
	return &VelodyneConfig{UDPConfig: newUDPConfig("127.0.0.1:2368"), CutDeg: 180}
}

// Check implements sensors.Settings.
func (c *VelodyneConfig) Check() setting.Problems {
	p := c.UDPConfig.check()
	p.Between("cut_deg", c.CutDeg, 0, 359.99)
	return p
}

// Files implements sensors.FileSettings.
func (c *VelodyneConfig) Files() map[string]string {
	if c.CalibrationFile == "" {
		return nil
	}
	return map[string]string{"calibration_file": c.CalibrationFile}
}

// Source implements sensors.Settings.
func (c *VelodyneConfig) Source(name string) sensors.Source {
	return newUDPSource(name, "velodyne", &c.UDPConfig, c.assembler)
}

func (c *VelodyneConfig) assembler(_ context.Context, out *output) (assembler, error) {
	var lasers []VelodyneLaser
	if c.CalibrationFile != "" {
		text, err := setting.ReadFile(c.CalibrationFile, setting.MaxFile)
		if err != nil {
			return nil, &setting.Problem{Key: "calibration_file", Err: err, Text: func(key string) string {
				return fmt.Sprintf("calibration: %v: correct %s", err, key)
			}}
		}
		if lasers, err = ParseVelodyneCalibration(text); err != nil {
			return nil, fmt.Errorf("%s: %w", c.CalibrationFile, err)
		}
		sensors.Heard(out.sink, &sensors.Raw{Transport: sensors.File, AtNS: out.sink.NowNS(), Name: "calibration_file", Data: text})
	}
	return NewVelodyneAssembler(c.CutDeg, lasers, &out.crop, out.emitSweep, out.count), nil
}
