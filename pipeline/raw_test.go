package pipeline

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// TestRecordRawKey: the configuration refuses sensors that do not exist, and pictures.
func TestRecordRawKey(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"record: {raw: [lidar, radar, csi]}", ""},
		{"record: {raw: []}", ""},
		{"record: {raw: [camera]}\nsensors: {camera: {driver: keypoints_tcp}}", ""},
		{"record: {raw: [camera]}\nsensors: {camera: {driver: v4l2}}", "record.raw: camera: driver v4l2: its raw bytes are pictures"},
		{"record: {raw: [camera]}\nsensors: {camera: {driver: mjpeg_http, mjpeg_http: {url: 'http://127.0.0.1/v'}}}", "driver mjpeg_http: its raw bytes are pictures"},
		{"record: {raw: [sonar]}", `there is no sensor "sonar"`},
		{"record: {raw: [lidar, lidar]}", "lidar comes twice"},
	} {
		_, err := ParseConfig([]byte(c.text), nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

// TestRawSetup: the settings that bytes were read with make a source again that reads
// them the same way, and elsewhere.
func TestRawSetup(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Sensors.LiDAR.Choose("livox", map[string]any{"listen": "127.0.0.1:56301", "sweep_ms": 50}); err != nil {
		t.Fatal(err)
	}
	cfg.Sensors.CSI.Enabled = false
	c := &Core{cfg: cfg}
	all, err := c.RawSetup([]string{"lidar", "radar"})
	if err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(all)); !slices.Equal(names, []string{"lidar", "radar"}) || all["lidar"].Driver != "livox" || !strings.Contains(all["lidar"].Settings, "sweep_ms: 50") {
		t.Errorf("%+v", all)
	}
	address := testenv.FreeAddr(t)
	src, err := all["lidar"].Source(modality.LiDAR, map[string]any{"listen": address})
	if err != nil {
		t.Fatal(err)
	}
	var heard []sensors.Raw
	got := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	supervisor := sensors.NewSupervisor("lidar", modality.LiDAR, src, sensors.SupervisorConfig{Raw: func(r *sensors.Raw) {
		own := *r
		own.Data = slices.Clone(r.Data)
		heard = append(heard, own)
		got <- struct{}{}
	}}, zeroClock{}, func(*sensors.Sample) {})
	done := make(chan struct{})
	go func() {
		_ = supervisor.Run(ctx)
		close(done)
	}()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "the driver to listen", func() bool {
		_, _ = conn.Write([]byte("no packet"))
		select {
		case <-got:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	cancel()
	<-done
	if r := heard[0]; r.Transport != sensors.UDP || string(r.Data) != "no packet" || r.From.Port() == 0 {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{"csi": "raw: csi: it is off", "camera": ""} {
		if _, err := c.RawSetup([]string{name}); want != "" && (err == nil || err.Error() != want) || want == "" && err != nil {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for _, bad := range []DriverSetup{{Driver: "sonar"}, {Driver: "livox", Settings: "no_such_key: 1"}, {Driver: "livox", Settings: ": ["}} {
		if _, err := bad.Source(modality.LiDAR, nil); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// zeroClock is a room clock that stands.
type zeroClock struct{}

// NowNS implements sensors.Clock.
func (zeroClock) NowNS() int64 { return 0 }
