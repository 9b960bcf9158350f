package lidar

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

func TestLivoxRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := LivoxType(rapid.IntRange(0, 3).Draw(t, "type"))
		in := LivoxPacket{
			Type: typ, IntervalNS: int64(rapid.Uint16().Draw(t, "interval")) * 100,
			UDPCounter: rapid.Uint16().Draw(t, "counter"), Frame: rapid.Uint8().Draw(t, "frame"),
			TimeType: 1, TimestampNS: rapid.Uint64().Draw(t, "ts"),
		}
		n := rapid.IntRange(0, 200).Draw(t, "n")
		if typ == LivoxIMU {
			n, in.Motion = 0, LivoxMotion{[3]float32{1, -2, 3}, [3]float32{0, 0.1, -1}}
		}
		for range n {
			v := func(n string) int32 {
				switch typ {
				case LivoxCartesianCM:
					return int32(rapid.Int16().Draw(t, n)) * 10
				case LivoxSpherical:
					return rapid.Int32Range(-100_000, 100_000).Draw(t, n)
				}
				return rapid.Int32().Draw(t, n)
			}
			in.Points = append(in.Points, LivoxPoint{v("x"), v("y"), v("z"), rapid.Uint8().Draw(t, "r"), rapid.Uint8().Draw(t, "tag")})
		}
		b, err := EncodeLivox(nil, &in)
		if err != nil {
			t.Fatal(err)
		}
		var out LivoxPacket
		if err := DecodeLivox(b, &out); err != nil {
			t.Fatal(err)
		}
		if typ == LivoxSpherical && len(out.Points) == len(in.Points) {
			for i, x := range in.Points {
				y := out.Points[i]
				// Half a hundredth of a degree in both angles, and millimetres.
				off := math.Hypot(math.Hypot(float64(x.X-y.X), float64(x.Y-y.Y)), float64(x.Z-y.Z))
				if r := math.Hypot(math.Hypot(float64(x.X), float64(x.Y)), float64(x.Z)); off > 2+r*1.3e-4 || x.Reflectivity != y.Reflectivity || x.Tag != y.Tag {
					t.Fatalf("point %d: %+v became %+v", i, x, y)
				}
			}
		} else if !slices.Equal(out.Points, in.Points) || out.Motion != in.Motion {
			t.Fatal("points or motion differ")
		}
		out.Points, in.Points = nil, nil
		if out.UDPCounter != in.UDPCounter || out.Frame != in.Frame || out.TimestampNS != in.TimestampNS || out.IntervalNS != in.IntervalNS || out.Type != in.Type {
			t.Fatalf("%+v, want %+v", out, in)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if err := DecodeLivox(b[:cut], &out); err == nil {
			t.Fatalf("accepted %d of %d bytes", cut, len(b))
		}
	})
}

func cloudOf(n, seed int) []float32 {
	xyz := make([]float32, 3*n)
	for i := range xyz {
		xyz[i] = float32((i*7919+seed*31)%4000+1) / 1000
	}
	return xyz
}

func encodeCloud(t testing.TB, xyz []float32, frame uint8, ts uint64) [][]byte {
	t.Helper()
	b, err := EncodeLivoxCloud(xyz, frame, ts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sweeps(packets [][]byte, o outcomes) []*Sweep {
	var out []*Sweep
	a := NewSweepAssembler(100*time.Millisecond, &Box{}, func(s *Sweep) { out = append(out, s) }, o.count)
	for i, b := range packets {
		a.Add(int64(i), b)
	}
	a.Flush()
	return out
}

func TestLivoxSweeps(t *testing.T) {
	var packets [][]byte
	var clouds [][]float32
	for k := range 300 { // the frame counter wraps
		clouds = append(clouds, cloudOf(k%5*100, k))
		packets = append(packets, encodeCloud(t, clouds[k], uint8(k), uint64(1e9+k*1e8))...)
	}
	check := func(name string, got []*Sweep) {
		t.Helper()
		if len(got) != len(clouds) {
			t.Fatalf("%s: %d sweeps, want %d", name, len(got), len(clouds))
		}
		for k, s := range got {
			if s.TimeNS != uint64(1e9+k*1e8) || s.Complete != 1 || len(s.XYZ) != len(clouds[k]) {
				t.Fatalf("%s: sweep %d: time %d, complete %g, %d numbers of %d", name, k, s.TimeNS, s.Complete, len(s.XYZ), len(clouds[k]))
			}
			for i, v := range s.XYZ {
				if math.Abs(float64(v-clouds[k][i])) > 1e-6 {
					t.Fatalf("%s: sweep %d: number %d is %g, not %g", name, k, i, v, clouds[k][i])
				}
			}
		}
	}
	check("in order", sweeps(packets, outcomes{}))

	swapped := slices.Clone(packets)
	for i := 0; i+1 < len(swapped); i++ {
		if swapped[i][9] == swapped[i+1][9] { // within a frame
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			i++
		}
	}
	check("swapped", sweeps(swapped, outcomes{}))

	var twice [][]byte
	for _, b := range packets {
		twice = append(twice, b, b)
	}
	o := outcomes{}
	check("doubled", sweeps(twice, o))
	if o["duplicate"]+o["late"] != uint64(len(packets)) {
		t.Errorf("doubled: %v", o)
	}

	// Restart: the lidar's clock begins again.
	got := sweeps(append(slices.Clone(packets), encodeCloud(t, cloudOf(50, 1), 0, 5)...), outcomes{})
	if last := got[len(got)-1]; len(got) != 301 || !last.Restarted || last.TimeNS != 5 {
		t.Errorf("restart: %d sweeps, %+v", len(got), got[len(got)-1])
	}

	// A lidar without frames: one frame number, a sweep each 100 ms.
	var stream [][]byte
	for k := range 40 {
		b, err := EncodeLivox(nil, &LivoxPacket{Type: LivoxCartesianMM, UDPCounter: uint16(k), TimestampNS: uint64(k) * 10e6, Points: []LivoxPoint{{X: int32(k + 1)}, {}}})
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, b)
	}
	if got := sweeps(stream, outcomes{}); len(got) != 4 || len(got[1].XYZ) != 30 || got[1].XYZ[0] != 0.011 || got[1].Complete != 1 {
		t.Errorf("stream: %d sweeps, %+v", len(got), got[1])
	}
}

func TestEncodeLivoxCloudRefuses(t *testing.T) {
	for name, xyz := range map[string][]float32{
		"nan": {float32(math.NaN()), 0, 0}, "far": {1e9, 0, 0}, "part": {1, 2}, "origin": {0, 0, 0},
	} {
		if _, err := EncodeLivoxCloud(xyz, 0, 0); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzLivox(f *testing.F) {
	f.Add(encodeCloud(f, cloudOf(3, 1), 1, 2)[0])
	for _, p := range []LivoxPacket{{Type: LivoxSpherical, Points: []LivoxPoint{{X: 1000, Y: 2000, Z: 300}}}, {Type: LivoxIMU}} {
		b, err := EncodeLivox(nil, &p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p LivoxPacket
		if DecodeLivox(b, &p) == nil && 8*len(p.Points) > len(b) {
			t.Errorf("%d points from %d bytes", len(p.Points), len(b))
		}
		sweeps([][]byte{b, b}, outcomes{})
	})
}

// startSource runs a source on a free port and returns a connection to it.
func startSource(t *testing.T, cfg sensors.Settings, listen *string) (*testSink, net.Conn) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	*listen = pc.LocalAddr().String()
	if p := cfg.Check(); len(p) > 0 {
		t.Fatal(p)
	}
	src := cfg.Source("lidar")
	sink := newTestSink()
	err = src.Run(t.Context(), sink)
	if !errors.Is(err, setting.ErrInUse) || !strings.Contains(err.Error(), *listen) || !strings.HasPrefix(err.Error(), "listen: ") {
		t.Fatalf("port in use: %v", err)
	}
	_ = pc.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		if runErr := <-done; runErr != nil {
			t.Error(runErr)
		}
	})
	conn, err := net.Dial("udp", *listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return sink, conn
}

// await waits for the listener, with datagrams that it counts as bad, and sends
// packets until they give a sample that ok likes: the kernel may drop some of a
// burst while the source waits for a core.
func await(t *testing.T, sink *testSink, conn net.Conn, packets func() [][]byte, ok func(*sensors.Sample) bool) *sensors.Sample {
	t.Helper()
	testenv.Wait(t, "a listener", func() bool {
		_, _ = conn.Write([]byte("probe"))
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.counts) > 0
	})
	for until := time.Now().Add(testenv.Patience); time.Now().Before(until); {
		for _, b := range packets() {
			_, _ = conn.Write(b)
			time.Sleep(100 * time.Microsecond)
		}
		select {
		case s := <-sink.samples:
			if ok(s) {
				return s
			}
		case <-time.After(time.Second):
		}
	}
	t.Fatal("no sample")
	return nil
}

func TestUDPSourceLivox(t *testing.T) {
	cfg := NewLivoxConfig()
	sink, conn := startSource(t, cfg, &cfg.Listen)
	k := uint64(0)
	s := await(t, sink, conn, func() [][]byte {
		k++
		return encodeCloud(t, cloudOf(500, 1), uint8(k), k*1e8)
	}, func(s *sensors.Sample) bool { return len(s.Cloud.XYZ) == 1500 })
	if !s.HasDevice || s.DeviceNS <= 0 || s.DeviceNS > int64(k*1e8) || s.DeviceNS%1e8 != 0 || s.ReceiveNS <= 0 || s.Modality != modality.LiDAR || s.Sensor != "lidar" {
		t.Errorf("%+v with %d numbers", s, len(s.Cloud.XYZ))
	}
}

func TestUDPSourceOuster(t *testing.T) {
	const name = "OS-1-32-G_v2.1.1_1024x10"
	cfg := NewOusterConfig()
	cfg.MetadataFile, cfg.From = testenv.Shared(t, captures, name+".json"), "127.0.0.1"
	sink, conn := startSource(t, cfg, &cfg.Listen)
	packets := datagrams(t, name+".pcap", 7502)
	s := await(t, sink, conn, func() [][]byte { return packets }, func(s *sensors.Sample) bool { return s.Cloud.Complete == 1 })
	if len(s.Cloud.XYZ) != 3*27310 || s.Seq != 638 {
		t.Errorf("%d points, seq %d", len(s.Cloud.XYZ)/3, s.Seq)
	}
}

func TestSettingsRefuse(t *testing.T) {
	for key, spoil := range map[string]func(*OusterConfig, *LivoxConfig){
		"metadata_file":   func(o *OusterConfig, _ *LivoxConfig) { o.MetadataFile = "" },
		"listen":          func(o *OusterConfig, _ *LivoxConfig) { o.Listen = "nowhere" },
		"from":            func(_ *OusterConfig, l *LivoxConfig) { l.From = "fe80::1%eth0" },
		"crop_min_m":      func(_ *OusterConfig, l *LivoxConfig) { l.CropMinM, l.CropMaxM = []float64{0, 0, 0}, []float64{1, 1, 0} },
		"read_buffer_kib": func(o *OusterConfig, _ *LivoxConfig) { o.ReadBufferKiB = -1 },
		"sweep_ms":        func(_ *OusterConfig, l *LivoxConfig) { l.SweepMS = 0 },
	} {
		ouster, livox := NewOusterConfig(), NewLivoxConfig()
		spoil(ouster, livox)
		found := append(ouster.Check(), livox.Check()...)
		if p, ok := errors.AsType[*setting.Problem](errors.Join(found...)); !ok || len(found) != 1 || p.Key != key {
			t.Errorf("%s: %v", key, found)
		}
	}
}

func TestCropFromSettings(t *testing.T) {
	c := NewLivoxConfig()
	c.CropMinM, c.CropMaxM = []float64{0, -1, -2}, []float64{4, 1, 2}
	s := c.Source("lidar").(*UDPSource)
	if want := (Box{Min: [3]float64{0, -1, -2}, Max: [3]float64{4, 1, 2}}); s.crop != want {
		t.Errorf("crop %v, want %v", s.crop, want)
	}
	if s := NewLivoxConfig().Source("lidar").(*UDPSource); s.crop != (Box{}) {
		t.Errorf("crop %v without settings", s.crop)
	}
}

func TestMetadataThatIsNotThere(t *testing.T) {
	c := NewOusterConfig()
	c.MetadataFile = "/nowhere.json"
	err := c.Source("lidar").Run(t.Context(), newTestSink())
	p, ok := errors.AsType[*setting.Problem](err)
	if !ok || !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	const want = "metadata: open /nowhere.json: no such file or directory: save the sensor's GET /api/v1/sensor/metadata there, or correct sensors.lidar.ouster.metadata_file"
	if got := p.Below("sensors.lidar.ouster").Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
