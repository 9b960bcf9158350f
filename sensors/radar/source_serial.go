package radar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"posefuse/sensors"
)

// The speeds of TI's boards.
const (
	DefaultCommandBaud = 115200
	DefaultDataBaud    = 921600
	// DefaultCPUHz is the clock of the cycle counter in out-of-box headers.
	DefaultCPUHz = 200e6
)

// SerialConfig describes one radar on two serial ports.
type SerialConfig struct {
	Name        string // sensor name in samples and errors
	DataPort    string // e.g. /dev/serial/by-id/...-if03
	DataBaud    int    // DefaultDataBaud if 0
	CommandPort string // empty: the radar runs already, nothing is sent
	CommandBaud int    // DefaultCommandBaud if 0
	ConfigPath  string // TI configuration file to send; needs CommandPort
	Layout      Layout // of the frames; LayoutAuto probes

	// CPUHz is the rate of the cycle counter, DefaultCPUHz if 0.
	CPUHz float64
	// FramePeriod gives frames without cycle counter a device time. 0 takes
	// it from the configuration file, if there is one.
	FramePeriod time.Duration
}

// SerialSource reads one radar over two serial ports.
type SerialSource struct{ cfg SerialConfig }

// NewSerialSource checks cfg and returns a source. It opens nothing.
func NewSerialSource(cfg SerialConfig) (*SerialSource, error) {
	switch {
	case cfg.Name == "":
		return nil, errors.New("radar: name is empty")
	case cfg.DataPort == "":
		return nil, fmt.Errorf("sensor %s: data port is not set", cfg.Name)
	case cfg.ConfigPath != "" && cfg.CommandPort == "":
		return nil, fmt.Errorf("sensor %s: a configuration file needs a command port", cfg.Name)
	case cfg.CommandPort != "" && cfg.ConfigPath == "":
		return nil, fmt.Errorf("sensor %s: a command port needs a configuration file to send", cfg.Name)
	case cfg.DataBaud < 0 || cfg.CommandBaud < 0 || cfg.CPUHz < 0 || cfg.FramePeriod < 0:
		return nil, fmt.Errorf("sensor %s: baud rates, cpu rate and frame period must not be negative", cfg.Name)
	case cfg.Layout > Layout52:
		return nil, fmt.Errorf("sensor %s: unknown frame layout %d", cfg.Name, cfg.Layout)
	}
	if cfg.DataBaud == 0 {
		cfg.DataBaud = DefaultDataBaud
	}
	if cfg.CommandBaud == 0 {
		cfg.CommandBaud = DefaultCommandBaud
	}
	if cfg.CPUHz == 0 {
		cfg.CPUHz = DefaultCPUHz
	}
	return &SerialSource{cfg: cfg}, nil
}

// Run opens both ports, configures the radar and delivers its frames until ctx
// ends or a port fails. It implements sensors.Source. An unplugged radar is an
// error; Run may be called again.
func (s *SerialSource) Run(ctx context.Context, sink sensors.Sink) error {
	var cfg *Config
	period := s.cfg.FramePeriod
	if s.cfg.ConfigPath != "" {
		text, err := os.ReadFile(s.cfg.ConfigPath)
		if err != nil {
			return fmt.Errorf("sensor %s: configuration: %w", s.cfg.Name, sensors.Told(fmt.Errorf("%w: correct sensors.%s.ti_serial.config_file", err, s.cfg.Name)))
		}
		if cfg, err = ParseConfig(text); err != nil {
			return fmt.Errorf("sensor %s: %s: %w", s.cfg.Name, s.cfg.ConfigPath, err)
		}
		if period == 0 {
			period = time.Duration(cfg.FramePeriodMS * float64(time.Millisecond))
		}
	}
	data, err := openPort(s.cfg.DataPort, s.cfg.DataBaud)
	if err != nil {
		return fmt.Errorf("sensor %s: %w", s.cfg.Name, err)
	}
	defer func() { _ = data.Close() }()

	parent := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	// The reader starts before the dialogue: the kernel's buffer holds 45 ms.
	go func() {
		defer close(done)
		if err := s.read(ctx, data, period, sink); err != nil {
			cancel(err)
		}
	}()
	if cfg != nil {
		if err := s.configure(ctx, cfg, sink); err != nil {
			cancel(err)
		}
	}
	<-done
	if parent.Err() != nil {
		return nil
	}
	return fmt.Errorf("sensor %s: %w", s.cfg.Name, context.Cause(ctx))
}

func (s *SerialSource) configure(ctx context.Context, cfg *Config, sink sensors.Sink) error {
	p, err := openPort(s.cfg.CommandPort, s.cfg.CommandBaud)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	reused, err := NewCLI(p).Configure(ctx, cfg)
	if err != nil {
		if errors.Is(err, ErrNoPrompt) {
			return sensors.Told(fmt.Errorf("%s: %w: check that it is the command port (the first of the two), that the radar is not in flashing mode and that ModemManager leaves it alone", s.cfg.CommandPort, err))
		}
		return fmt.Errorf("%s: %w", s.cfg.CommandPort, err)
	}
	if reused {
		sink.Count("configuration_reused", 1)
	}
	return nil
}

// read decodes the data port until ctx ends or the port fails.
func (s *SerialSource) read(ctx context.Context, data port, period time.Duration, sink sensors.Sink) error {
	m := frameMapper{name: s.cfg.Name, cpuHz: s.cfg.CPUHz, periodNS: period.Nanoseconds(), sink: sink}
	d := NewDecoder(s.cfg.Layout, m.frame, func(r Reason) { sink.Count(string(r), 1) })
	buf := make([]byte, 4096)
	var junk uint64
	for ctx.Err() == nil {
		n, err := data.Read(buf)
		now := sink.NowNS()
		if n > 0 {
			d.Feed(now, buf[:n])
		} else if err == nil {
			d.Flush(now) // the line is idle between frames
		}
		if j := d.JunkBytes(); j != junk {
			sink.Count("junk_bytes", j-junk)
			junk = j
		}
		if err != nil {
			return sensors.Told(fmt.Errorf("radar port %s: connection lost: check the radar's cable and power: %w", s.cfg.DataPort, err))
		}
	}
	return nil
}
