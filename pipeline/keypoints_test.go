package pipeline

import (
	"context"
	"testing"
	"time"

	"posefuse/message"
	"posefuse/sensors"
	"posefuse/sensors/camera"
)

// TestKeypointsOverTheBus: a detector that publishes its lines makes poses, and
// a line that is none is counted.
func TestKeypointsOverTheBus(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sensors.Camera.Driver = "keypoints_nats"
	cfg.Sensors.LiDAR.Enabled, cfg.Sensors.Radar.Enabled, cfg.Sensors.CSI.Enabled = false, false, false
	core, err := New(Options{Config: cfg, Version: "0.1.0", Model: newFakeModel("fake"), Notify: func(string) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- core.Run(ctx) }()
	stopped := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-stopped
	})
	select {
	case <-core.Ready():
	case err := <-done:
		done <- err
		close(stopped)
		t.Fatal(err)
	}
	d := &daemonUnderTest{Core: core}
	poses, states := d.subscribe(t, "pose"), d.subscribe(t, "sensor.camera")
	nc := core.Bus().Conn()
	go func() {
		defer close(stopped)
		tick := time.NewTicker(cfg.Sync.TickPeriod())
		defer tick.Stop()
		m := camera.Message{Keypoints: sensors.Keypoints{Width: 640, Height: 480}}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			m.Seq++
			m.CaptureNS = time.Now().UnixNano()
			line, err := camera.Encode(nil, &m)
			if err != nil {
				t.Error(err)
				return
			}
			_ = nc.Publish("posefuse.room1.keypoints", line) // the daemon may be stopping
			_ = nc.Publish("posefuse.room1.keypoints", []byte("{"))
		}
	}()
	p := next(t, poses, func(p *message.Pose) bool { return p.Coalition == "R" })
	if p.JointsM == nil || p.Modalities["R"].State != "fused" {
		t.Errorf("pose %+v", p)
	}
	next(t, states, func(s *message.Sensor) bool {
		return s.State == "live" && s.Counters["bad_json"] > 0 && s.Counters["fused"] > 0
	})
}
