package lidar

import (
	"context"
	"time"

	"posefuse/sensors"
	"posefuse/setting"
)

// LivoxConfig describes a Livox sensor.
type LivoxConfig struct {
	UDPConfig `yaml:",inline"`
	SweepMS   int `yaml:"sweep_ms"` // longest sweep, where the sensor counts no frames
}

// NewLivoxConfig returns the defaults.
func NewLivoxConfig() *LivoxConfig {
	return &LivoxConfig{UDPConfig: newUDPConfig("127.0.0.1:56301"), SweepMS: 100}
}

// Check implements sensors.Settings.
func (c *LivoxConfig) Check() setting.Problems {
	p := c.UDPConfig.check()
	p.Between("sweep_ms", float64(c.SweepMS), 10, 1000)
	return p
}

// Source implements sensors.Settings.
func (c *LivoxConfig) Source(name string) sensors.Source {
	return newUDPSource(name, "livox", &c.UDPConfig, c.assembler)
}

func (c *LivoxConfig) assembler(_ context.Context, out *output) (assembler, error) {
	period := time.Duration(c.SweepMS) * time.Millisecond
	return NewSweepAssembler(period, &out.crop, out.emitSweep, out.count), nil
}
