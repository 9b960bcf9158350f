package radar

import (
	"slices"

	"posefuse/sensors"
	"posefuse/setting"
)

// The speeds of TI's boards.
const (
	DefaultCommandBaud = 115200
	DefaultDataBaud    = 921600
	// DefaultCPUHz is the clock of the cycle counter in out-of-box headers.
	DefaultCPUHz = 200e6
)

// TISerialConfig describes a TI radar on two serial ports.
type TISerialConfig struct {
	DataPort    string  `yaml:"data_port"` // e.g. /dev/serial/by-id/...-if03
	DataBaud    int     `yaml:"data_baud"`
	CommandPort string  `yaml:"command_port"` // empty: the radar runs already, nothing is sent
	CommandBaud int     `yaml:"command_baud"`
	ConfigFile  string  `yaml:"config_file"` // TI .cfg sent at start; goes with CommandPort
	CPUMHz      float64 `yaml:"cpu_mhz"`     // rate of the cycle counter in the frame header
	Layout      string  `yaml:"layout"`      // of the frames; "auto" finds out
	// FramePeriodMS gives frames without cycle counter a device time; 0 takes
	// it from the configuration file, if there is one.
	FramePeriodMS float64 `yaml:"frame_period_ms"`
}

// NewTISerialConfig returns the defaults.
func NewTISerialConfig() *TISerialConfig {
	return &TISerialConfig{DataPort: "/dev/ttyUSB1", DataBaud: DefaultDataBaud, CommandBaud: DefaultCommandBaud, CPUMHz: DefaultCPUHz / 1e6, Layout: LayoutAuto.String()}
}

// Check implements sensors.Settings.
func (c *TISerialConfig) Check() setting.Problems {
	var p setting.Problems
	switch {
	case c.DataPort == "":
		p.Add("data_port", "empty; name the radar's data port, e.g. /dev/serial/by-id/...-if03")
	case c.ConfigFile != "" && c.CommandPort == "":
		p.Add("command_port", "empty, but config_file is set; name the port the file is sent to")
	case c.CommandPort != "" && c.ConfigFile == "":
		p.Add("config_file", "empty, but command_port is set; name the TI .cfg file to send")
	}
	p.Between("data_baud", float64(c.DataBaud), 9600, 12_000_000)
	p.Between("command_baud", float64(c.CommandBaud), 9600, 12_000_000)
	p.Between("cpu_mhz", c.CPUMHz, 1, 10_000)
	p.OneOf("layout", c.Layout, layoutNames()...)
	p.Between("frame_period_ms", c.FramePeriodMS, 0, 10_000)
	return p
}

// Files implements sensors.FileSettings.
func (c *TISerialConfig) Files() map[string]string {
	if c.ConfigFile == "" {
		return nil
	}
	return map[string]string{"config_file": c.ConfigFile}
}

// Source implements sensors.Settings.
func (c *TISerialConfig) Source(name string) sensors.Source {
	return &SerialSource{name: name, cfg: c, layout: Layout(slices.Index(layoutNames(), c.Layout))}
}

// layoutNames returns the name of every layout, in their order.
func layoutNames() []string {
	var names []string
	for l := LayoutAuto; l <= Layout52; l++ {
		names = append(names, l.String())
	}
	return names
}
