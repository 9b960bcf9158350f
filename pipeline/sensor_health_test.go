package pipeline

import (
	"context"
	"strings"
	"testing"
	"time"

	"posefuse/message"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// script is a source that repeats a step until it ends.
type script struct {
	every time.Duration
	step  func(sink sensors.Sink, i uint64)
}

func (s script) Run(ctx context.Context, sink sensors.Sink) error {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for i := uint64(0); ; i++ {
		s.step(sink, i)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func sweep(sink sensors.Sink, i uint64) {
	now := sink.NowNS()
	sink.Count("packet", 64)
	sink.Emit(&sensors.Sample{Sensor: "lidar", Modality: modality.LiDAR, Seq: i, HasDevice: true, DeviceNS: now + 1, ReceiveNS: now,
		Cloud: &sensors.PointCloud{XYZ: []float32{1, 0, 0}, Complete: 1}})
}

func TestSensorHealthTellsTheTruth(t *testing.T) {
	for _, c := range []struct {
		name, code string
		text       []string
		step       func(sensors.Sink, uint64)
		every      time.Duration
	}{
		{"ok", "ok", []string{"live at"}, sweep, 100 * time.Millisecond},
		{"silent", "stale", []string{"no sample comes", "power and cable"}, func(sensors.Sink, uint64) {}, time.Second},
		{"rejected", "rejected", []string{"data comes but is rejected", "bad_init_id", "reconfigured"},
			func(sink sensors.Sink, _ uint64) { sink.Count("bad_init_id", 64) }, 100 * time.Millisecond},
		{"rejected with a finding", "wrong_format", []string{"data comes but is rejected", "bad_length", "looks like a Velodyne"},
			func(sink sensors.Sink, _ uint64) {
				sink.Count("bad_length", 64)
				sensors.Tell(sink, sensors.Finding{Code: "wrong_format", Text: "this looks like a Velodyne"})
			}, 100 * time.Millisecond},
		{"mostly rejected", "rejected", []string{"live at", "most data is rejected", "bad_crc"}, func(sink sensors.Sink, i uint64) {
			sweep(sink, i)
			sink.Count("bad_crc", 100)
		}, 100 * time.Millisecond},
		{"two senders", "two_senders", []string{"live at", "two of them"}, func(sink sensors.Sink, i uint64) {
			sweep(sink, i)
			sensors.Tell(sink, sensors.Finding{Code: "two_senders", Text: "two of them"})
		}, 100 * time.Millisecond},
		{"impossible rate", "rate", []string{"more than the 45 Hz"}, sweep, 4 * time.Millisecond},
		{"clock jumps", "clock_jump", []string{"its clock jumped"}, func(sink sensors.Sink, i uint64) {
			now := sink.NowNS()
			sink.Emit(&sensors.Sample{Sensor: "lidar", Modality: modality.LiDAR, Seq: i, HasDevice: true, ReceiveNS: now, Restarted: true,
				DeviceNS: now + 900e9*int64(i%2), Cloud: &sensors.PointCloud{XYZ: []float32{1, 0, 0}, Complete: 1}})
		}, 100 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := Options{Config: testConfig(t), Version: "0.1.0", Notify: func(string) error { return nil }}
			opt.Config.Sensors.Camera.Enabled, opt.Config.Sensors.Radar.Enabled, opt.Config.Sensors.CSI.Enabled = false, false, false
			opt.Sources[modality.LiDAR] = script{c.every, c.step}
			d := &daemonUnderTest{}
			d.start(t, opt)
			status := d.subscribe(t, "status")
			next(t, status, func(s *message.Status) bool {
				for _, h := range s.Parts {
					if h.Part != "sensor.lidar" || h.Code != c.code {
						continue
					}
					for _, text := range c.text {
						if !strings.Contains(h.Text, text) {
							return false
						}
					}
					return (h.Severity == severityOK) == (c.code == "ok")
				}
				return false
			})
			m := next(t, d.subscribe(t, "sensor.lidar"), func(*message.Sensor) bool { return true })
			var sum uint64
			for outcome, n := range m.Counters {
				if outcome != "in" {
					sum += n
				}
				if outcome == "packet" || strings.HasPrefix(outcome, "bad_") {
					t.Errorf("datagrams among the samples: %v", m.Counters)
				}
			}
			if sum != m.Counters["in"] {
				t.Errorf("counters do not add up: %v", m.Counters)
			}
			for name := range m.Input {
				if !strings.HasSuffix(name, "_datagrams") {
					t.Errorf("input without its unit: %v", m.Input)
				}
			}
		})
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1920: "1,920", 1000000: "1,000,000", 36005: "36,005"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
