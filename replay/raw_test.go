package replay

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"posefuse/internal/testenv"
	"posefuse/recording/session"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
	"posefuse/setting"
)

// sessionClock is a room clock from now on.
type sessionClock struct{ zero time.Time }

func (c sessionClock) NowNS() int64              { return int64(time.Since(c.zero)) }
func (c sessionClock) WallAt(ns int64) time.Time { return c.zero.Add(time.Duration(ns)) }

// recordedRoom is a sensor's driver under a supervisor whose bytes and samples go
// into a session.
type recordedRoom struct {
	rec  *session.Recorder
	dir  string
	stop func()
	mu   sync.Mutex
	n    int
}

// record runs a driver and records what it reads and decodes.
func record(t *testing.T, m modality.Kind, settings sensors.Settings) *recordedRoom {
	t.Helper()
	if err := errors.Join(settings.Check()...); err != nil {
		t.Fatal(err)
	}
	clock := sessionClock{time.Now()}
	root := filepath.Join(t.TempDir(), session.Folder)
	r := &recordedRoom{rec: session.NewRecorder(session.Config{Root: root, Clock: clock})}
	info, err := r.rec.Start(session.Request{Subject: "P1", Consent: true, Raw: []string{m.String()}}, session.Room{})
	if err != nil {
		t.Fatal(err)
	}
	r.dir = filepath.Join(root, info.ID)
	ctx, cancel := context.WithCancel(context.Background())
	supervisor := sensors.NewSupervisor(m.String(), m, settings.Source(m.String()), sensors.SupervisorConfig{
		RetryMin: 10 * time.Millisecond, Raw: func(raw *sensors.Raw) { r.rec.Raw(m, raw) },
	}, clock, func(s *sensors.Sample) {
		r.rec.Sample(s)
		r.mu.Lock()
		r.n++
		r.mu.Unlock()
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = supervisor.Run(ctx) // nil, after ctx
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		if info, err = r.rec.Stop(); err != nil || len(info.Dropped) > 0 {
			t.Errorf("dropped %v, %v", info.Dropped, err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// await waits for so many samples and ends the session.
func (r *recordedRoom) await(t *testing.T, n int) {
	t.Helper()
	testenv.Wait(t, "samples", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.n >= n
	})
	r.stop()
}

// sourceOf makes a source of settings but for some keys, as YAML does.
func sourceOf(fresh func() sensors.Settings, set func(s sensors.Settings, keys map[string]any)) func(string, map[string]any) (sensors.Source, error) {
	return func(_ string, keys map[string]any) (sensors.Source, error) {
		s := fresh()
		set(s, keys)
		if err := errors.Join(s.Check()...); err != nil {
			return nil, err
		}
		return s.Source("again"), nil
	}
}

// playRaw sends a session's bytes through a driver; it returns what that decoded and
// what was recorded.
func playRaw(t *testing.T, dir, driver string, m modality.Kind, build func(string, map[string]any) (sensors.Source, error)) (again, recorded []*sensors.Sample) {
	t.Helper()
	var mu sync.Mutex
	d := NewRawDriver(t.Context(), driver, t.TempDir(), build, func(s *sensors.Sample) {
		mu.Lock()
		defer mu.Unlock()
		again = append(again, s)
	})
	_, check, err := session.Visit(dir, session.Part{}, func(e *session.Event) error {
		switch {
		case e.Raw != nil:
			return d.Send(e.Raw)
		case e.Sample != nil:
			recorded = append(recorded, e.Sample)
		}
		return nil
	})
	d.Close()
	if err != nil || check.Torn {
		t.Fatalf("%v, %+v", err, check)
	}
	return again, recorded
}

// sameBits compares samples to the bit, but for the sensor's name and the time of
// capture, which is estimated elsewhere.
func sameBits(t *testing.T, again, recorded []*sensors.Sample) {
	t.Helper()
	if len(recorded) == 0 || len(again) != len(recorded) {
		t.Fatalf("%d samples, %d recorded", len(again), len(recorded))
	}
	for i := range again {
		if d := cmp.Diff(recorded[i], again[i], cmpopts.IgnoreFields(sensors.Sample{}, "Sensor", "CaptureNS"), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("sample %d of %d: %s", i, len(again), d)
		}
	}
}

// TestRawThroughDrivers: a session's bytes sent through the real drivers again give
// the frames that were decoded when it was recorded, bit for bit.
func TestRawThroughDrivers(t *testing.T) {
	t.Parallel()
	clip := stored(5, 8)
	set := func(s sensors.Settings, keys map[string]any) { setKeys(t, s, keys) }
	pipe := func(t *testing.T, m modality.Kind, s sensors.Settings, cfg CSIConfig) string {
		r := record(t, m, s)
		play(t, Config{Data: clipSet{clip}, Loop: true, Pause: -1, CSI: &cfg})
		r.await(t, 60)
		return r.dir
	}
	for name, c := range map[string]struct {
		driver string
		m      modality.Kind
		fresh  func() sensors.Settings
		live   func(t *testing.T) (dir string)
	}{
		"ouster": {"ouster", modality.LiDAR, func() sensors.Settings { return lidar.NewOusterConfig() }, func(t *testing.T) string {
			cfg := lidar.NewOusterConfig()
			cfg.Listen, cfg.MetadataFile = testenv.FreeAddr(t), filepath.Join(t.TempDir(), "metadata.json")
			r := record(t, modality.LiDAR, cfg)
			play(t, Config{Data: clipSet{simulated(t, 8)}, Loop: true, Pause: -1, LiDAR: &LiDARConfig{Format: LiDAROuster, Addr: cfg.Listen, MetadataPath: cfg.MetadataFile}})
			r.await(t, 12)
			return r.dir
		}},
		"ouster, a twentieth lost": {"ouster", modality.LiDAR, func() sensors.Settings { return lidar.NewOusterConfig() }, func(t *testing.T) string {
			cfg := lidar.NewOusterConfig()
			cfg.Listen, cfg.MetadataFile = testenv.FreeAddr(t), filepath.Join(t.TempDir(), "metadata.json")
			r := record(t, modality.LiDAR, cfg)
			play(t, Config{Data: clipSet{simulated(t, 8)}, Loop: true, Pause: -1, Faults: map[modality.Kind]Faults{modality.LiDAR: {Loss: 0.05, Seed: 3}},
				LiDAR: &LiDARConfig{Format: LiDAROuster, Addr: cfg.Listen, MetadataPath: cfg.MetadataFile}})
			r.await(t, 12)
			return r.dir
		}},
		"livox": {"livox", modality.LiDAR, func() sensors.Settings { return lidar.NewLivoxConfig() }, func(t *testing.T) string {
			cfg := lidar.NewLivoxConfig()
			cfg.Listen = testenv.FreeAddr(t)
			r := record(t, modality.LiDAR, cfg)
			play(t, Config{Data: clipSet{clip}, Loop: true, Pause: -1, LiDAR: &LiDARConfig{Format: LiDARLivox, Addr: cfg.Listen}})
			r.await(t, 12)
			return r.dir
		}},
		"velodyne": {"velodyne", modality.LiDAR, func() sensors.Settings { return lidar.NewVelodyneConfig() }, func(t *testing.T) string {
			cfg := lidar.NewVelodyneConfig()
			cfg.Listen = testenv.FreeAddr(t)
			r := record(t, modality.LiDAR, cfg)
			turnVelodyne(t, r, cfg.Listen, 6)
			return r.dir
		}},
		"ti_serial": {"ti_serial", modality.Radar, func() sensors.Settings { return radar.NewTISerialConfig() }, func(t *testing.T) string {
			cfg := radar.NewTISerialConfig()
			port := &ptyPort{link: filepath.Join(t.TempDir(), "data")}
			cfg.DataPort = port.link
			if err := port.open(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(port.close)
			r := record(t, modality.Radar, cfg)
			sendRadar(t, r, port, 12)
			return r.dir
		}},
		"atheros": {"atheros", modality.CSI, func() sensors.Settings { return csi.NewAtherosConfig() }, func(t *testing.T) string {
			cfg := csi.NewAtherosConfig()
			cfg.Listen = testenv.FreeAddr(t)
			return pipe(t, modality.CSI, cfg, CSIConfig{Addr: cfg.Listen})
		}},
		"atheros, its device": {"atheros", modality.CSI, func() sensors.Settings { return csi.NewAtherosConfig() }, recordAtherosDevice},
		"intel5300, netlink":  {"intel5300", modality.CSI, func() sensors.Settings { return csi.NewIntelConfig() }, recordIntelConnector},
		"nexmon": {"nexmon", modality.CSI, func() sensors.Settings { return csi.NewNexmonConfig() }, func(t *testing.T) string {
			cfg := csi.NewNexmonConfig()
			cfg.PcapFile = filepath.Join(t.TempDir(), "nexmon.pcap")
			return pipe(t, modality.CSI, cfg, CSIConfig{Format: CSINexmon, Path: cfg.PcapFile})
		}},
		"esp32": {"esp32", modality.CSI, func() sensors.Settings { return csi.NewESP32Config() }, func(t *testing.T) string {
			cfg := csi.NewESP32Config()
			cfg.Path = filepath.Join(t.TempDir(), "csi")
			return pipe(t, modality.CSI, cfg, CSIConfig{Format: CSIESP32, Path: cfg.Path})
		}},
		"keypoints_tcp": {"keypoints_tcp", modality.Camera, func() sensors.Settings { return camera.NewTCPConfig() }, func(t *testing.T) string {
			cfg := camera.NewTCPConfig()
			cfg.Listen = testenv.FreeAddr(t)
			r := record(t, modality.Camera, cfg)
			play(t, Config{Data: clipSet{clip}, Loop: true, Pause: -1, Camera: &CameraConfig{Addr: cfg.Listen}})
			r.await(t, 12)
			return r.dir
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := c.live(t)
			again, recorded := playRaw(t, dir, c.driver, c.m, sourceOf(c.fresh, set))
			sameBits(t, again, recorded)
		})
	}
}

// turnVelodyne sends so many turns of a VLP-16.
func turnVelodyne(t *testing.T, r *recordedRoom, addr string, turns int) {
	t.Helper()
	o, err := newUDPOut(addr)
	if err == nil {
		err = o.open()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	k := 0
	testenv.Wait(t, "turns of the sensor", func() bool {
		for range 76 {
			p := lidar.VelodynePacket{TimestampUS: uint32(1327 * k), Mode: lidar.VelodyneStrongest, Product: lidar.VLP16}
			var blocks [12]lidar.VelodyneBlock
			for i := range blocks {
				blocks[i].Azimuth = uint16((k*12 + i) * 39 % 36000)
				for n := range blocks[i].Returns {
					blocks[i].Returns[n] = lidar.VelodyneReturn{Distance: uint16(1000 + 10*n + i + k), Reflectivity: 40}
				}
			}
			b, err := lidar.EncodeVelodyne(nil, &p, &blocks)
			if err == nil {
				err = o.send(b)
			}
			if err != nil {
				t.Fatal(err)
			}
			k++
			time.Sleep(200 * time.Microsecond)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.n >= turns
	})
	r.stop()
}

// sendRadar sends frames to the driver, the first ones until it reads.
func sendRadar(t *testing.T, r *recordedRoom, port *ptyPort, frames int) {
	t.Helper()
	k := uint32(0)
	testenv.Wait(t, "frames of the radar", func() bool {
		k++
		f := radar.Frame{FrameNumber: k, CPUCycles: 20_000_000 * k}
		for i := range 20 {
			f.Points = append(f.Points, radar.PointFromSensor(sensors.RadarPoint{X: 1 + float32(i)/16, Y: float32(k) / 8, Z: 0.5, Doppler: 0.25, SNRdB: 12.5}))
		}
		b, err := radar.AppendFrame(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		if err := port.write(b); err != nil && !errors.Is(err, errOverrun) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.n >= frames
	})
	r.stop()
}

// setKeys sets keys of settings.
func setKeys(t *testing.T, s sensors.Settings, keys map[string]any) {
	t.Helper()
	unknown := false
	for key, v := range keys {
		switch c := s.(type) {
		case *lidar.OusterConfig:
			unknown = !setString(map[string]*string{"listen": &c.Listen, "from": &c.From, "sensor": &c.Sensor, "metadata_file": &c.MetadataFile}, key, v)
		case *lidar.LivoxConfig:
			unknown = !setString(map[string]*string{"listen": &c.Listen, "from": &c.From}, key, v)
		case *lidar.VelodyneConfig:
			unknown = !setString(map[string]*string{"listen": &c.Listen, "from": &c.From, "calibration_file": &c.CalibrationFile}, key, v)
		case *radar.TISerialConfig:
			unknown = !setString(map[string]*string{"data_port": &c.DataPort, "command_port": &c.CommandPort, "config_file": &c.ConfigFile}, key, v)
		case *csi.AtherosConfig:
			unknown = !setString(map[string]*string{"listen": &c.Listen, "path": &c.Path}, key, v)
		case *csi.IntelConfig:
			unknown = !setString(map[string]*string{"listen": &c.Listen, "path": &c.Path}, key, v)
		case *csi.ESP32Config:
			unknown = !setString(map[string]*string{"listen": &c.Listen, "path": &c.Path}, key, v)
		case *csi.NexmonConfig:
			unknown = key != "follow" && !setString(map[string]*string{"pcap_file": &c.PcapFile}, key, v)
		case *camera.TCPConfig:
			unknown = !setString(map[string]*string{"listen": &c.Listen}, key, v)
		}
		if unknown {
			t.Fatalf("%T has no key %s", s, key)
		}
	}
}

func setString(known map[string]*string, key string, v any) bool {
	p, ok := known[key]
	if ok {
		*p, ok = v.(string)
	}
	return ok
}

// TestRawDriverFails: what cannot be sent again is said, and nothing is left running.
func TestRawDriverFails(t *testing.T) {
	t.Parallel()
	refuse := errors.New("no such setting")
	for name, c := range map[string]struct {
		driver string
		pieces []sensors.Raw
		build  func(string, map[string]any) (sensors.Source, error)
		want   error
	}{
		"a kernel's device": {"feitcsi", []sensors.Raw{{Transport: sensors.Record, Data: []byte("x")}}, nil, ErrNotReplayable},
		"settings":          {"livox", []sensors.Raw{{Transport: sensors.UDP, Data: []byte("x")}}, func(string, map[string]any) (sensors.Source, error) { return nil, refuse }, refuse},
		"no metadata": {"ouster", []sensors.Raw{{Transport: sensors.UDP, Data: []byte("x")}}, sourceOf(func() sensors.Settings { return lidar.NewOusterConfig() },
			func(s sensors.Settings, keys map[string]any) { setKeys(t, s, keys) }), new(setting.Problem)},
		"nothing to send": {"livox", []sensors.Raw{{Transport: sensors.UDP}, {Transport: sensors.Silence}, {Transport: sensors.File, Name: "metadata_file", Data: []byte("{}")}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewRawDriver(t.Context(), c.driver, t.TempDir(), c.build, func(*sensors.Sample) { t.Error("a sample") })
			var err error
			for i := range c.pieces {
				err = errors.Join(err, d.Send(&c.pieces[i]))
			}
			d.Close()
			if p, ok := c.want.(*setting.Problem); ok { //nolint:errorlint // a type, not an error
				if !errors.As(err, &p) {
					t.Errorf("%v", err)
				}
			} else if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
