package radar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posefuse/sensors"
	"posefuse/setting"
)

// SerialSource reads one radar over two serial ports.
type SerialSource struct {
	name   string
	cfg    *TISerialConfig
	layout Layout

	// accepted is the configuration that the radar on the command port accepted
	// whole, as it was sent, since this program started; "" for none.
	accepted string
}

// Run opens both ports, configures the radar and delivers its frames until ctx
// ends or a port fails. It implements sensors.Source. An unplugged radar is an
// error; Run may be called again.
func (s *SerialSource) Run(ctx context.Context, sink sensors.Sink) error {
	var cfg *Config
	periodMS := s.cfg.FramePeriodMS
	if s.cfg.ConfigFile != "" {
		text, err := setting.ReadFile(s.cfg.ConfigFile, setting.MaxFile)
		if err != nil {
			return &setting.Problem{Key: "config_file", Err: err, Text: func(key string) string {
				return fmt.Sprintf("configuration: %v: correct %s", err, key)
			}}
		}
		if cfg, err = ParseConfig(text); err != nil {
			return fmt.Errorf("%s: %w", s.cfg.ConfigFile, err)
		}
		if periodMS == 0 {
			periodMS = cfg.FramePeriodMS
		}
		sensors.Heard(sink, &sensors.Raw{Transport: sensors.File, AtNS: sink.NowNS(), Name: "config_file", Data: text})
	}
	period := time.Duration(periodMS * float64(time.Millisecond))
	data, err := openPort(s.cfg.DataPort, s.cfg.DataBaud)
	if err != nil {
		return err
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
	return context.Cause(ctx)
}

func (s *SerialSource) configure(ctx context.Context, cfg *Config, sink sensors.Sink) error {
	p, err := openPort(s.cfg.CommandPort, s.cfg.CommandBaud)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	text := cfg.text()
	reused, err := NewCLI(p).Configure(ctx, cfg, s.accepted == text)
	if err != nil {
		if errors.Is(err, ErrNoPrompt) {
			return sensors.Told(fmt.Errorf("%s: %w: check that it is the command port (the first of the two), that the radar is not in flashing mode and that ModemManager leaves it alone", s.cfg.CommandPort, err))
		}
		s.accepted = ""
		if _, ok := errors.AsType[RefusedError](err); ok {
			return sensors.Told(fmt.Errorf("%s: %w: correct %s; if the radar runs already, with this or another configuration, switch it off and on or press its reset button (NRST)", s.cfg.CommandPort, err, s.cfg.ConfigFile))
		}
		return fmt.Errorf("%s: %w", s.cfg.CommandPort, err)
	}
	s.accepted = text
	if reused {
		sink.Count("configuration_reused", 1)
	}
	return nil
}

// read decodes the data port until ctx ends or the port fails.
func (s *SerialSource) read(ctx context.Context, data port, period time.Duration, sink sensors.Sink) error {
	m := frameMapper{name: s.name, cpuHz: s.cfg.CPUMHz * 1e6, periodNS: period.Nanoseconds(), sink: sink}
	looks := &onlooker{layout: s.layout, sink: sink}
	d := NewDecoder(s.layout, func(f *Frame) {
		looks.accepted()
		m.frame(f)
	}, func(r Reason) {
		looks.refused()
		sink.Count(string(r), 1)
	})
	buf := make([]byte, 4096)
	var junk uint64
	raw := sensors.Raw{Transport: sensors.Stream, Begin: true}
	for ctx.Err() == nil {
		n, err := data.Read(buf)
		now := sink.NowNS()
		if n > 0 {
			raw.AtNS, raw.Data = now, buf[:n]
			now = sensors.Heard(sink, &raw)
			raw.Begin = false
			d.Feed(now, buf[:n])
			looks.see(now, buf[:n])
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
