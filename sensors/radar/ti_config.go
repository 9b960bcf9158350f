package radar

import (
	"fmt"
	"strconv"
	"strings"

	"posefuse/sensors"
)

const speedOfLight = 299792458.0 // m/s

// ConfigLine is one command of a configuration file.
type ConfigLine struct {
	Number int    // in the file, from 1
	Text   string // stripped, never empty, no comment
}

// Config is a TI configuration file: the commands to send and what the host
// reads out of them. A field is 0 or nil if its command is absent.
type Config struct {
	Lines []ConfigLine

	StartGHz       float64 // profileCfg
	IdleUS         float64
	RampEndUS      float64
	SlopeMHzPerUS  float64
	Samples        int     // per chirp
	RateKsps       float64 // sampling rate
	TxMasks        []int   // one per chirpCfg, which transmitters send
	ChirpsPerFrame int     // frameCfg: chirps x loops
	Loops          int
	FramePeriodMS  float64
	GUIMonitor     []int     // which TLVs, without the subframe index
	Tracking       []float64 // trackingCfg, as written
	SensorPosition []float64 // height m, azimuth tilt deg, elevation tilt deg
}

// text returns the commands as they are sent.
func (c *Config) text() string {
	var b strings.Builder
	for _, l := range c.Lines {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

// RangeResolutionM returns the length of a range bin, 0 if unknown.
func (c *Config) RangeResolutionM() float64 {
	if c.SlopeMHzPerUS == 0 || c.Samples == 0 {
		return 0
	}
	return speedOfLight * c.RateKsps * 1e3 / (2 * c.SlopeMHzPerUS * 1e12 * float64(c.Samples))
}

// ParseConfig reads a configuration file of any SDK. Lines end with LF or
// CRLF, the last one perhaps with nothing; % starts a comment line. Unknown
// commands are kept, they are the sensor's business. The error names the line.
func ParseConfig(text []byte) (*Config, error) {
	c := &Config{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '%' {
			continue
		}
		for j := range len(line) {
			if line[j] < ' ' || line[j] > '~' {
				return nil, fmt.Errorf("radar configuration line %d: byte %#02x is not text", i+1, line[j])
			}
		}
		c.Lines = append(c.Lines, ConfigLine{Number: i + 1, Text: line})
		if err := c.take(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("radar configuration line %d %q: %w", i+1, line, err)
		}
	}
	if len(c.Lines) == 0 {
		return nil, fmt.Errorf("radar configuration holds no command")
	}
	return c, nil
}

// take reads the commands the host needs.
func (c *Config) take(f []string) error {
	need := map[string]int{"profileCfg": 11, "chirpCfg": 8, "frameCfg": 5, "guiMonitor": 6, "trackingCfg": 1, "sensorPosition": 1}[f[0]]
	if need == 0 {
		return nil
	}
	v := make([]float64, len(f)-1)
	for i, s := range f[1:] {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || !sensors.Finite(x) {
			return fmt.Errorf("argument %d %q is not a number", i+1, s)
		}
		v[i] = x
	}
	if len(v) < need {
		return fmt.Errorf("%d arguments, want at least %d", len(v), need)
	}
	switch f[0] {
	case "profileCfg":
		c.StartGHz, c.IdleUS, c.RampEndUS = v[1], v[2], v[4]
		c.SlopeMHzPerUS, c.Samples, c.RateKsps = v[7], int(v[9]), v[10]
	case "chirpCfg":
		c.TxMasks = append(c.TxMasks, int(v[7]))
	case "frameCfg":
		c.Loops = int(v[2])
		c.ChirpsPerFrame = (int(v[1]) - int(v[0]) + 1) * c.Loops
		c.FramePeriodMS = v[4]
		if c.FramePeriodMS <= 0 {
			return fmt.Errorf("frame period %g ms is not positive", c.FramePeriodMS)
		}
	case "guiMonitor":
		if len(v) > 6 { // SDK 3.x puts the subframe index first
			v = v[1:]
		}
		c.GUIMonitor = c.GUIMonitor[:0]
		for _, x := range v {
			c.GUIMonitor = append(c.GUIMonitor, int(x))
		}
	case "trackingCfg":
		c.Tracking = v
	case "sensorPosition":
		c.SensorPosition = v
	}
	return nil
}
