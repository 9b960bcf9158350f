package replay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/csi"
	"posefuse/sensors/lidar"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
)

// plugged is a fake sensor with its driver under a supervisor, as in the daemon.
type plugged struct {
	name       string
	m          modality.Kind
	player     *Player
	supervisor *sensors.Supervisor
	samples    atomic.Int64
	took       []time.Duration // from plugging in again to the first sample
}

type hostClock struct{ zero time.Time }

func (c hostClock) NowNS() int64 { return int64(time.Since(c.zero)) }

// plug starts a driver and the fake sensor for it.
func plug(t *testing.T, name string, m modality.Kind, src sensors.Source, cfg Config) *plugged {
	t.Helper()
	p := &plugged{name: name, m: m}
	p.supervisor = sensors.NewSupervisor(m.String(), m, src, sensors.SupervisorConfig{}, hostClock{time.Now()}, func(*sensors.Sample) { p.samples.Add(1) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.supervisor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := testenv.Receive(t, "the end of the supervisor", done); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var sum uint64
		s := p.supervisor.Snapshot()
		for _, n := range s.Outcomes {
			sum += n
		}
		if sum != s.In {
			t.Errorf("%s: in is %d, the outcomes sum to %d", name, s.In, sum)
		}
	})
	cfg.Data, cfg.Loop, cfg.Pause, cfg.Speed = clipSet{stored(1, 50)}, true, -1, 1
	p.player, _ = play(t, cfg)
	return p
}

// until waits for something on a goroutine of its own, where a test may not be
// failed at once.
func until(ok func() bool) bool {
	for end := time.Now().Add(testenv.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// cycle unplugs the sensor, waits and plugs it in again.
func (p *plugged) cycle(i int) error {
	off := p.player.Counts()[p.m].Off
	p.player.Stop(p.m)
	if !until(func() bool { return p.player.Counts()[p.m].Off > off }) {
		return fmt.Errorf("%s: cycle %d: it cannot be unplugged", p.name, i)
	}
	if i%10 == 3 {
		time.Sleep(700 * time.Millisecond) // longer than silence takes to show
	}
	before := p.samples.Load()
	at := time.Now()
	p.player.Start(p.m)
	if !until(func() bool { return p.samples.Load() > before && p.supervisor.Snapshot().State == sensors.Live }) {
		return fmt.Errorf("%s: cycle %d: it does not come back: %+v", p.name, i, p.supervisor.Snapshot())
	}
	p.took = append(p.took, time.Since(at))
	return nil
}

// transports are a fake sensor for each way in which data come.
func transports(t *testing.T) []*plugged {
	t.Helper()
	dir := t.TempDir()
	at := testenv.FreeAddr(t)
	all := []*plugged{plug(t, "TCP keypoints", modality.Camera, (&camera.TCPConfig{Listen: at}).Source("camera"), Config{Camera: &CameraConfig{Addr: at}})}

	at = testenv.FreeAddr(t)
	livox := lidar.NewLivoxConfig()
	livox.Listen = at
	all = append(all, plug(t, "UDP LiDAR", modality.LiDAR, livox.Source("lidar"), Config{LiDAR: &LiDARConfig{Format: LiDARLivox, Addr: at}}))

	fake := &RadarConfig{CommandPath: filepath.Join(dir, "radar-command"), DataPath: filepath.Join(dir, "radar-data")}
	ti := radar.NewTISerialConfig()
	ti.DataPort, ti.CommandPort, ti.ConfigFile = fake.DataPath, fake.CommandPath, shortConfig(t, dir)
	all = append(all, plug(t, "serial radar", modality.Radar, ti.Source("radar"), Config{Radar: fake}))

	at = testenv.FreeAddr(t)
	tcp := (&csi.AtherosConfig{StreamConfig: csi.StreamConfig{Listen: at}}).Source("csi")
	all = append(all, plug(t, "TCP CSI", modality.CSI, tcp, Config{CSI: &CSIConfig{Addr: at}}))

	pipe := filepath.Join(dir, "atheros")
	fifo := (&csi.AtherosConfig{StreamConfig: csi.StreamConfig{Path: pipe}}).Source("csi")
	all = append(all, plug(t, "FIFO of records", modality.CSI, fifo, Config{CSI: &CSIConfig{Path: pipe}}))

	capture := csi.NewNexmonConfig()
	capture.Interface, capture.PcapFile, capture.Follow = "", filepath.Join(dir, "nexmon.pcap"), true
	all = append(all, plug(t, "FIFO of a capture", modality.CSI, capture.Source("csi"), Config{CSI: &CSIConfig{Format: CSINexmon, Path: capture.PcapFile}}))

	if canCapture() {
		socket := csi.NewNexmonConfig()
		socket.Interface, socket.Port = "lo", testenv.FreePort(t)
		all = append(all, plug(t, "AF_PACKET", modality.CSI, socket.Source("csi"), Config{CSI: &CSIConfig{Format: CSINexmon, Addr: fmt.Sprintf("127.0.0.1:%d", socket.Port)}}))
	}
	return all
}

// shortConfig is what a radar must be told to start: each line takes 20 ms, and
// all of them come in each cycle.
func shortConfig(t *testing.T, dir string) string {
	t.Helper()
	var short []string
	for line := range strings.Lines(string(testenv.ReadShared(t, "captures/radar-ti/xwr68xx_oob_sdk3.cfg"))) {
		switch command, _, _ := strings.Cut(strings.TrimSpace(line), " "); command {
		case "sensorStop", "flushCfg", "dfeDataOutputMode", "channelCfg", "adcCfg", "adcbufCfg", "profileCfg", "chirpCfg", "frameCfg", "guiMonitor", "sensorStart":
			short = append(short, strings.TrimSpace(line))
		}
	}
	path := filepath.Join(dir, "short.cfg")
	if err := os.WriteFile(path, []byte(strings.Join(short, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// canCapture reports whether packet sockets are allowed; the tests of the capture
// itself say where they are not.
func canCapture() bool { return os.Geteuid() == 0 }

// holding is what this process holds of the system.
type holding struct{ goroutines, descriptors, rssKiB int }

func held(t *testing.T) holding {
	t.Helper()
	debug.FreeOSMemory()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h := holding{goroutines: runtime.NumGoroutine(), descriptors: len(fds)}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rss, &h.rssKiB); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestUnplugged unplugs a sensor of each transport and plugs it in again, all
// transports at once, a hundred times in the full run: it is back each time, and
// in the end the process holds no more than after the first tenth.
func TestUnplugged(t *testing.T) {
	cycles := 4
	if testenv.Full() {
		cycles = 100
	}
	all := transports(t)
	run := func(from, to int) {
		var wg sync.WaitGroup
		for _, p := range all {
			wg.Go(func() {
				for i := from; i < to; i++ {
					if err := p.cycle(i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	for _, p := range all {
		testenv.Wait(t, p.name+" to be live", func() bool { return p.supervisor.Snapshot().State == sensors.Live })
	}
	run(0, max(cycles/10, 1))
	early := held(t)
	run(max(cycles/10, 1), cycles)
	late := held(t)
	t.Logf("after %d cycles %+v, after %d %+v", max(cycles/10, 1), early, cycles, late)
	for _, p := range all {
		slices.Sort(p.took)
		if len(p.took) > 0 {
			t.Logf("%-18s back after %v in the median, %v at most", p.name, p.took[len(p.took)/2].Round(time.Millisecond), p.took[len(p.took)-1].Round(time.Millisecond))
		}
	}
	if late.goroutines > early.goroutines+2 || late.descriptors > early.descriptors+2 || late.rssKiB > early.rssKiB+16<<10 {
		t.Errorf("after %d cycles %+v, after %d %+v", max(cycles/10, 1), early, cycles, late)
	}
}
