package timesync

import (
	"fmt"
	"time"

	"posefuse/sensors/modality"
)

// Defaults of Config.
const (
	DefaultPeriod = 100 * time.Millisecond
	DefaultHold   = 60 * time.Millisecond
	DefaultStale  = 500 * time.Millisecond
	DefaultMaxGap = 500 * time.Millisecond
	DefaultJitter = 10 * time.Millisecond
)

// SensorConfig describes one sensor to an Aligner. Zero values take the
// defaults.
type SensorConfig struct {
	Name     string        // configured sensor name, for statistics
	Modality modality.Kind // at most one sensor per modality
	// Period is the sensor's sample period; 0 means measured, from the tick
	// period on (for CSI: a tenth of the tick period, not measured).
	Period time.Duration
	// Jitter is how far samples stray from their period, default 10 ms (CSI:
	// 0.4 packet periods; it is the slack at both ends of the window).
	Jitter time.Duration
	// Centre moves the instant this sensor is matched to: tick time + Centre.
	// A CSI window that shall end at the tick has -45 ms. Default 0.
	Centre time.Duration
	// MinPackets is the smallest number of real packets of a CSI window,
	// default 7 of 10.
	MinPackets int
	// Queue is the number of samples held, default enough for the window at
	// three times the expected rate.
	Queue int
}

// Config configures an Aligner. Zero values take the defaults.
type Config struct {
	Clock       Clock         // required
	Period      time.Duration // of the ticks, default 100 ms
	Hold        time.Duration // a tick is given out at the latest this long after its time, default 60 ms
	Stale       time.Duration // a sensor silent for longer is not waited for, default 500 ms
	MaxGap      time.Duration // a camera window does not reach back over a longer gap, default 500 ms
	NoPhaseLock bool          // ticks keep their first phase instead of following a sensor
	Sensors     []SensorConfig
	// Settled, if set, hears of a modality's part of the next tick, at tickNS,
	// as soon as no sample that keeps to its sensor's period and jitter can
	// change it: before the tick, whose other sensors are still awaited. It is
	// called again for the same tick when a sample changed the part after all,
	// and the tick itself has the last word. Calls come from the goroutine of
	// Run, between those of its function; slot is valid until it returns.
	Settled func(m modality.Kind, tickNS int64, slot *Slot)
}

// check fills in defaults and refuses what cannot work.
func (c *Config) check() error {
	if c.Clock == nil {
		return fmt.Errorf("aligner: no clock given")
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"period", &c.Period, DefaultPeriod}, {"hold", &c.Hold, DefaultHold},
		{"stale", &c.Stale, DefaultStale}, {"max gap", &c.MaxGap, DefaultMaxGap},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			return fmt.Errorf("aligner: %s is %v, give a positive duration", d.name, *d.v)
		}
	}
	if c.Period < time.Millisecond {
		return fmt.Errorf("aligner: period is %v, give at least 1ms", c.Period)
	}
	if len(c.Sensors) == 0 {
		return fmt.Errorf("aligner: no sensors configured, name at least one")
	}
	var seen [modality.Count]string
	c.Sensors = append([]SensorConfig(nil), c.Sensors...)
	for i := range c.Sensors {
		s := &c.Sensors[i]
		if s.Modality >= modality.Count {
			return fmt.Errorf("aligner: sensor %q: unknown modality %d", s.Name, s.Modality)
		}
		if s.Name == "" {
			s.Name = s.Modality.String()
		}
		if other := seen[s.Modality]; other != "" {
			return fmt.Errorf("aligner: sensors %q and %q are both %s, leave one out", other, s.Name, s.Modality)
		}
		seen[s.Modality] = s.Name
		if err := s.check(c.Period); err != nil {
			return err
		}
	}
	return nil
}

func (s *SensorConfig) check(tick time.Duration) error {
	if s.Period < 0 || s.Jitter < 0 || s.Queue < 0 || s.MinPackets < 0 || s.MinPackets > CSIWindow {
		return fmt.Errorf("aligner: sensor %q: period, jitter, queue and packets must not be negative, packets at most %d", s.Name, CSIWindow)
	}
	queue := 64
	switch s.Modality {
	case modality.Camera:
		queue = 3*CameraWindow + 64
	case modality.LiDAR, modality.Radar:
	case modality.CSI:
		if s.Period == 0 {
			s.Period = tick / CSIWindow
		}
		if s.Jitter == 0 {
			s.Jitter = s.Period * 2 / 5 // less than half, or the window would reach its neighbours
		}
		if s.MinPackets == 0 {
			s.MinPackets = 7
		}
		queue = 512
	}
	if s.Jitter == 0 {
		s.Jitter = DefaultJitter
	}
	if s.Queue == 0 {
		s.Queue = queue
	}
	return nil
}
