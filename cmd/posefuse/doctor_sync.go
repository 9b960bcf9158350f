package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"posefuse/calibration"
	"posefuse/pipeline"
	"posefuse/sensors"
)

// How long doctor --sync looks.
const (
	syncFor    = 40 * time.Second
	minSyncFor = 12 * time.Second
	maxSyncFor = 10 * time.Minute
)

// syncReport is what doctor --sync finds.
type syncReport struct {
	Seconds float64       `json:"seconds"`
	Seen    []syncSeen    `json:"seen"`
	Delays  []syncDelay   `json:"delays"`
	Keys    []syncLatency `json:"latencies"`
}

// syncSeen is how often a sensor saw movement.
type syncSeen struct {
	Sensor string `json:"sensor"`
	Times  int    `json:"times"`
}

// syncDelay is the delay between two sensors.
type syncDelay struct {
	First   string  `json:"sensor"`
	Then    string  `json:"other"`
	MS      float64 `json:"other_later_ms"`
	StdMS   float64 `json:"standard_error_ms"`
	Peak    float64 `json:"peak"` // correlation, 0 to 1
	Second  float64 `json:"next_peak"`
	WidthMS float64 `json:"peak_width_ms"`
	Sharp   bool    `json:"sharp"`
	Why     string  `json:"not_sharp,omitempty"`
}

// syncLatency is what to set.
type syncLatency struct {
	Key   string  `json:"key"`
	NowMS float64 `json:"now_ms"`
	MS    float64 `json:"ms"`
	Known bool    `json:"known"`
}

// sync runs the sensors of a configuration while somebody walks and prints by how
// much their capture times differ.
func (c doctorCmd) sync(ctx context.Context, out io.Writer) error {
	length := c.For
	if length == 0 {
		length = syncFor
	}
	if length < minSyncFor || length > maxSyncFor {
		return fmt.Errorf("--for: %v is out of range, want %v to %v with --sync", length, minSyncFor, maxSyncFor)
	}
	if c.Config == "" {
		return errors.New("--sync: it runs the sensors of a configuration; give it with --config")
	}
	cfg, err := pipeline.LoadConfig(c.Config, os.Environ())
	if err != nil {
		return err
	}
	now := setLatencies(&cfg.Sensors)
	if len(now) < 2 {
		return fmt.Errorf("--sync: %s has %d sensors switched on, and a delay is between two", c.Config, len(now))
	}
	if cfg.Sensors.TakesPictures() {
		if err = errors.Join(keepMemoryOutOfDumps(), withholdCapabilities()); err != nil {
			fmt.Fprintln(os.Stderr, "posefuse: note:", err)
		}
	}
	rig, _ := cfg.ThoughtRig()
	watcher := calibration.NewWatcher(rig)
	if err = watchSync(ctx, cfg, length, watcher); err != nil {
		return err
	}
	motions := watcher.Motions()
	for _, l := range now { // one that gave nothing is named, too
		if !heardOf(motions, l.Sensor) {
			motions = append(motions, calibration.Motion{Sensor: l.Sensor})
		}
	}
	delays := calibration.Delays(motions)
	r := newSyncReport(length, delays, calibration.Latencies(now, delays))
	for i := range motions {
		r.Seen = append(r.Seen, syncSeen{motions[i].Sensor, len(motions[i].AtNS)})
	}
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		_, err = io.WriteString(out, r.text())
	}
	if err == nil && !r.anySharp() {
		err = errors.New("doctor --sync: no two sensors have a sharp peak: let one person walk to and fro and from side to side, unevenly, with sudden stops, in sight of all sensors, and try again")
	}
	return err
}

// setLatencies returns the latencies of the sensors that are on.
func setLatencies(s *pipeline.SensorsConfig) []calibration.Latency {
	var now []calibration.Latency
	for _, e := range []struct {
		name string
		cfg  *pipeline.SensorConfig
	}{{"camera", &s.Camera}, {"lidar", &s.LiDAR}, {"radar", &s.Radar}, {"csi", &s.CSI}} {
		if e.cfg.Enabled {
			now = append(now, calibration.Latency{Sensor: e.name, NowMS: e.cfg.LatencyMS, MS: e.cfg.LatencyMS})
		}
	}
	return now
}

func heardOf(motions []calibration.Motion, sensor string) bool {
	for i := range motions {
		if motions[i].Sensor == sensor {
			return true
		}
	}
	return false
}

// watchSync shows what the sensors see to the watcher.
func watchSync(ctx context.Context, cfg pipeline.Config, length time.Duration, w *calibration.Watcher) error {
	ctx, stop := context.WithTimeoutCause(ctx, length, errEnough)
	defer stop()
	bar := newProgress("walk to and fro, with stops")
	begin := time.Now()
	err := pipeline.Watch(ctx, cfg, func(s *sensors.Sample) {
		w.Take(s)
		bar.show(time.Since(begin).Seconds()/length.Seconds(), "")
	}, func(sensor, problem string) { fmt.Fprintf(os.Stderr, "posefuse: sensor %s: %s\n", sensor, problem) })
	bar.done()
	if cause := context.Cause(ctx); !errors.Is(cause, errEnough) && cause != nil {
		return cause
	}
	return err
}

func newSyncReport(length time.Duration, delays []calibration.Delay, latencies []calibration.Latency) *syncReport {
	r := &syncReport{Seconds: length.Seconds()}
	for _, d := range delays {
		r.Delays = append(r.Delays, syncDelay{d.First, d.Then, d.MS, d.StdMS, d.Peak, d.Second, d.WidthMS, d.Sharp, d.Why})
	}
	for _, l := range latencies {
		r.Keys = append(r.Keys, syncLatency{"sensors." + l.Sensor + ".latency_ms", l.NowMS, l.MS, l.Known})
	}
	return r
}

func (r *syncReport) anySharp() bool {
	for i := range r.Delays {
		if r.Delays[i].Sharp {
			return true
		}
	}
	return false
}

// text is the report for people.
func (r *syncReport) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Delays between the sensors, from %.0f s of movement\n", r.Seconds)
	for i, s := range r.Seen {
		if i == 0 {
			b.WriteString("  the person was seen: ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d times", s.Sensor, s.Times)
	}
	if len(r.Seen) > 0 {
		b.WriteByte('\n')
	}
	for _, d := range r.Delays {
		if !d.Sharp {
			fmt.Fprintf(&b, "! %-6s and %-6s no sharp peak: %s\n", d.First, d.Then, d.Why)
			if d.Peak > 0 {
				fmt.Fprintf(&b, "      highest %.2f at %+.0f ms ± %.0f, next %.2f, %.0f ms wide\n", d.Peak, d.MS, d.StdMS, d.Second, d.WidthMS)
			}
			continue
		}
		way, first, then := d.MS, d.First, d.Then
		if way < 0 {
			way, first, then = -way, then, first
		}
		fmt.Fprintf(&b, "  %-6s is %3.0f ms ± %.0f behind %-6s peak %.2f, next %.2f, %.0f ms wide: sharp\n", then, way, d.StdMS, first+",", d.Peak, d.Second, d.WidthMS)
	}
	b.WriteString("\nConfiguration\n")
	changed, known := 0, 0
	for _, k := range r.Keys {
		switch {
		case !k.Known:
			fmt.Fprintf(&b, "! %s: not known, stays %g\n", k.Key, k.NowMS)
			continue
		case k.MS > 1000:
			fmt.Fprintf(&b, "! %s: %.0f would be right and is more than can be set: look for what holds this sensor up\n", k.Key, k.MS)
			changed++
		case k.MS != k.NowMS:
			fmt.Fprintf(&b, "! %s: set %.0f, now %g\n", k.Key, k.MS, k.NowMS)
			changed++
		default:
			fmt.Fprintf(&b, "  %s: stays %g\n", k.Key, k.NowMS)
		}
		known++
	}
	if changed == 0 && known > 1 {
		b.WriteString("  nothing to change\n")
	}
	if known > 1 {
		b.WriteString("  Movement tells differences alone: what all are late by, it does not show.\n")
	}
	return b.String()
}
