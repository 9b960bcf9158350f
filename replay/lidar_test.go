package replay

import (
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/lidar"
)

// datagrams receives what comes to a UDP port on loopback.
type datagrams struct {
	conn *net.UDPConn
	mu   sync.Mutex
	list [][]byte
	at   []time.Time
	done sync.WaitGroup
}

func listenUDP(t *testing.T) *datagrams {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	d := &datagrams{conn: conn}
	d.done.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			d.mu.Lock()
			d.list, d.at = append(d.list, append([]byte(nil), buf[:n]...)), append(d.at, time.Now())
			d.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		d.done.Wait()
	})
	return d
}

func (d *datagrams) addr() string { return d.conn.LocalAddr().String() }

func (d *datagrams) all() ([][]byte, []time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([][]byte(nil), d.list...), append([]time.Time(nil), d.at...)
}

func TestLiDARLivoxOverUDP(t *testing.T) {
	t.Parallel()
	in := listenUDP(t)
	clip := stored(5, 6)
	clip.empty = 2
	var ev events
	p, wait := play(t, Config{Data: clipSet{clip}, LiDAR: &LiDARConfig{Addr: in.addr()}, OnFrame: ev.add})
	wait()
	clouds := map[int][]lidar.LivoxPoint{}
	list, at := in.all()
	for n, b := range list {
		var pkt lidar.LivoxPacket
		if err := lidar.DecodeLivox(b, &pkt); err != nil {
			t.Fatal(err)
		}
		i := int(pkt.Frame)
		if want := int64(warmTime) + int64(i)*int64(p.Period()); int64(pkt.TimestampNS) != want {
			t.Errorf("frame %d: sensor clock %d, want %d", i, pkt.TimestampNS, want)
		}
		if early := ev.all()[i].Capture.Sub(at[n]); early > 0 {
			t.Errorf("frame %d: datagram came %v before the capture time", i, early)
		}
		if int(pkt.UDPCounter)*lidar.LivoxPointsPerPacket != len(clouds[i]) {
			t.Errorf("frame %d: datagram %d after %d points", i, pkt.UDPCounter, len(clouds[i]))
		}
		clouds[i] = append(clouds[i], pkt.Points...)
	}
	for i := range clip.frames {
		var f recording.Frame
		if err := clip.Frame(i, &f); err != nil {
			t.Fatal(err)
		}
		if len(clouds[i]) != len(f.LiDAR)/3 {
			t.Errorf("frame %d: %d points, stored %d", i, len(clouds[i]), len(f.LiDAR)/3)
			continue
		}
		for n, got := range clouds[i] {
			for a, mm := range [3]int32{got.X, got.Y, got.Z} {
				if d := float64(mm)/1000 - f.LiDAR[3*n+a]; math.Abs(d) > 0.0005001 {
					t.Fatalf("frame %d point %d axis %d: off by %v m", i, n, a, d)
				}
			}
		}
	}
}

func TestLivoxPointsTheWireCannotCarry(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	got := livoxPoints([]float64{1, 2, 3, 0, 0, 0, nan, 1, 1, 1, inf, 1, 0.0002, 0.0004, 0, 1e7, 0, 0, -1, 0, 0})
	if len(got) != 6 || got[0] != 1 || got[3] != -1 {
		t.Errorf("points %v", got)
	}
}

// simulated returns a clip of the simulator.
func simulated(t *testing.T, frames int) *sim.Clip {
	t.Helper()
	key := recording.Key{Subject: 7, Activity: 12}
	cfg := sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: frames}
	c, err := sim.NewClip(cfg, sim.NewProcedural(cfg.Seed, key, sim.MotionOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wholeRoom returns a clip whose LiDAR sends its whole sweep.
func wholeRoom(t *testing.T, frames, beams int, panDeg float64) *sim.Clip {
	t.Helper()
	w := sim.DefaultWorld()
	w.LiDAR.WholeSweep, w.LiDAR.Beams, w.LiDAR.RoomFromLiDAR.PanDeg = true, beams, panDeg
	cfg := sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: frames, World: &w}
	c, err := sim.NewClip(cfg, sim.NewProcedural(cfg.Seed, recording.Key{Subject: 7, Activity: 12}, sim.MotionOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLiDAROusterOverUDP(t *testing.T) {
	t.Parallel()
	t.Run("cropped", func(t *testing.T) { checkOuster(t, simulated(t, 4), 32, 3*500) })
	t.Run("whole room, sensor turned", func(t *testing.T) { checkOuster(t, wholeRoom(t, 4, 32, 180), 32, 3*26000) })
	t.Run("whole room, 128 beams", func(t *testing.T) { checkOuster(t, wholeRoom(t, 4, 128, 0), 128, 3*105000) })
}

// checkOuster replays a clip of four frames and compares what its packets decode to,
// at least so many numbers a frame.
func checkOuster(t *testing.T, clip *sim.Clip, beams, least int) {
	in := listenUDP(t)
	meta := filepath.Join(t.TempDir(), "metadata.json")
	p, wait := play(t, Config{
		Data: clipSet{clip}, LiDAR: &LiDARConfig{Format: LiDAROuster, Addr: in.addr(), MetadataPath: meta, Beams: beams},
	})
	wait()
	b, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	m, err := lidar.ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Format != ousterFormat(beams) {
		t.Fatalf("metadata describes %+v", m.Format)
	}
	table := lidar.NewXYZTable(m)
	frames := 0
	a := lidar.NewAssembler(m, func(f *lidar.Frame) {
		if want := uint64(warmTime) + uint64(frames)*uint64(p.Period()); f.MiddleNS != want {
			t.Errorf("frame %d: middle column at %d, want %d", frames, f.MiddleNS, want)
		}
		var stored recording.Frame
		if err := clip.Frame(frames, &stored); err != nil {
			t.Fatal(err)
		}
		got := table.Cloud(nil, f, &lidar.Box{})
		if f.Valid != f.Expected || len(got) != len(stored.LiDAR) || len(got) < least {
			t.Fatalf("frame %d: %d of %d columns, %d numbers, stored %d", frames, f.Valid, f.Expected, len(got), len(stored.LiDAR))
		}
		for k, v := range got {
			if math.Abs(float64(v)-stored.LiDAR[k]) > 1e-6 {
				t.Fatalf("frame %d number %d: %v, stored %v", frames, k, v, stored.LiDAR[k])
			}
		}
		frames++
	}, func(outcome string, n uint64) {
		if outcome != "packet" {
			t.Errorf("%d %s", n, outcome)
		}
	})
	list, _ := in.all()
	for n, d := range list {
		a.Add(int64(n)*1e6, d)
	}
	a.Flush()
	if frames != 4 {
		t.Errorf("%d frames, want 4", frames)
	}
}

// udpSource returns the driver's source and a free port for it.
func udpSource(t *testing.T, format LiDARFormat, metadata string) (sink *recorder, addr string) {
	t.Helper()
	addr = testenv.FreeAddr(t)
	ouster, livox := lidar.NewOusterConfig(), lidar.NewLivoxConfig()
	ouster.Listen, ouster.MetadataFile, livox.Listen = addr, metadata, addr
	sink = newRecorder()
	if format == LiDAROuster {
		drive(t, ouster.Source("lidar"), sink)
	} else {
		drive(t, livox.Source("lidar"), sink)
	}
	return sink, addr
}

func checkCloud(t *testing.T, c recording.Clip, i int, s *sensors.Sample, limit float64) {
	t.Helper()
	var f recording.Frame
	if err := c.Frame(i, &f); err != nil {
		t.Fatal(err)
	}
	if len(s.Cloud.XYZ) != len(f.LiDAR) || s.Cloud.Complete != 1 {
		t.Errorf("frame %d: %d numbers, stored %d, complete %v", i, len(s.Cloud.XYZ), len(f.LiDAR), s.Cloud.Complete)
		return
	}
	for k, v := range s.Cloud.XYZ {
		if math.Abs(float64(v)-f.LiDAR[k]) > limit {
			t.Fatalf("frame %d number %d: %v, stored %v", i, k, v, f.LiDAR[k])
		}
	}
}

// checkSweeps waits until each frame of a clip that goes round has come as a
// whole sweep, and compares the whole ones. A player that other work keeps from
// sending for longer than a driver waits leaves parts of sweeps, which are none.
func checkSweeps(t *testing.T, p *Player, c recording.Clip, sink *recorder, limit float64) {
	t.Helper()
	seen, whole := 0, map[int]bool{}
	testenv.Wait(t, "each frame of the clip as a whole sweep", func() bool {
		for _, s := range sink.all()[seen:] {
			seen++
			since := s.DeviceNS - int64(warmTime)
			i := int(since/int64(p.Period())) % c.Len()
			var f recording.Frame
			if err := c.Frame(i, &f); err != nil {
				t.Fatal(err)
			}
			if s.Cloud.Complete != 1 || len(s.Cloud.XYZ) != len(f.LiDAR) {
				continue
			}
			checkCloud(t, c, i, s, limit)
			if since%int64(p.Period()) != 0 || s.Restarted {
				t.Errorf("frame %d: device clock %d ns after the first frame, restarted %v", i, since, s.Restarted)
			}
			whole[i] = true
		}
		return len(whole) == c.Len()
	})
}

func TestLiDARDrivers(t *testing.T) {
	t.Parallel()
	meta := filepath.Join(t.TempDir(), "metadata.json")
	for name, tt := range map[string]struct {
		clip   recording.Clip
		format LiDARFormat
		limit  float64 // metres per axis
	}{
		"stored clouds as livox":    {stored(5, 8), LiDARLivox, 0.000501},
		"simulated scans as livox":  {simulated(t, 8), LiDARLivox, 0.000501},
		"simulated scans as ouster": {simulated(t, 8), LiDAROuster, 1e-6},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &LiDARConfig{Format: tt.format}
			if tt.format == LiDAROuster {
				fake.MetadataPath = meta
			}
			var sink *recorder
			sink, fake.Addr = udpSource(t, tt.format, meta)
			// The driver waits for the metadata file, which the player writes.
			p, _ := play(t, Config{Data: clipSet{tt.clip}, Loop: true, Pause: -1, LiDAR: fake})
			checkSweeps(t, p, tt.clip, sink, tt.limit)
		})
	}
}

func TestOusterNeedsTheGrid(t *testing.T) {
	t.Parallel()
	in := listenUDP(t)
	p, wait := play(t, Config{Data: clipSet{stored(1, 2)}, Speed: 10, LiDAR: &LiDARConfig{Format: LiDAROuster, Addr: in.addr()}})
	wait()
	if list, _ := in.all(); len(list) != 0 {
		t.Errorf("%d datagrams of a clip without a grid", len(list))
	}
	for _, c := range p.Counts() {
		if c.Absent != 2 {
			t.Errorf("counts %+v", c)
		}
	}
}
