package replay

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/sensors/modality"
)

// keypointPort is the driver's TCP port, with nothing behind it.
type keypointPort struct {
	listener net.Listener
	mu       sync.Mutex
	lines    [][]byte
	conns    int
}

func listenKeypoints(t *testing.T) *keypointPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &keypointPort{listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			k.mu.Lock()
			k.conns++
			k.mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				s := bufio.NewScanner(c)
				for s.Scan() {
					k.mu.Lock()
					k.lines = append(k.lines, append([]byte(nil), s.Bytes()...))
					k.mu.Unlock()
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return k
}

func (k *keypointPort) messages(t *testing.T) []camera.Message {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []camera.Message
	for _, line := range k.lines {
		m, err := camera.Decode(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestCameraOverTCP(t *testing.T) {
	t.Parallel()
	port := listenKeypoints(t)
	clip := stored(6, 6)
	clip.empty = 3 // nobody was found: no line, but the number counts
	var ev events
	_, wait := play(t, Config{
		Data: clipSet{clip}, OnFrame: ev.add,
		Camera: &CameraConfig{Addr: port.listener.Addr().String(), Latency: 5 * time.Millisecond},
	})
	wait()
	got := port.messages(t)
	want := []int{0, 1, 2, 4, 5}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for n, m := range got {
		i := want[n]
		var f recording.Frame
		if err := clip.Frame(i, &f); err != nil {
			t.Fatal(err)
		}
		k := m.Keypoints
		if k.XY != f.RGB || k.Score[16] != 1 || k.Width != 640 || k.Height != 480 {
			t.Errorf("frame %d: %+v, stored %v", i, k, f.RGB)
		}
		if m.Seq != uint64(i) || m.CaptureNS != ev.all()[i].Capture.UnixNano() {
			t.Errorf("frame %d: number %d, captured %d, want %d", i, m.Seq, m.CaptureNS, ev.all()[i].Capture.UnixNano())
		}
	}
}

func TestCameraSendsScoresOfTheSimulator(t *testing.T) {
	t.Parallel()
	port := listenKeypoints(t)
	clip := simulated(t, 5)
	_, wait := play(t, Config{Data: clipSet{clip}, Speed: 5, Camera: &CameraConfig{Addr: port.listener.Addr().String()}})
	wait()
	seen := 0
	for _, m := range port.messages(t) {
		var want sensors.Keypoints
		if found, err := clip.Keypoints(int(m.Seq), &want); err != nil || !found || m.Keypoints != want {
			t.Errorf("frame %d: %+v, want %+v, %v", m.Seq, m.Keypoints, want, err)
		}
		seen++
	}
	if seen == 0 {
		t.Error("no key points")
	}
}

// A driver that goes away and comes back is found again.
func TestCameraReconnects(t *testing.T) {
	t.Parallel()
	port := listenKeypoints(t)
	addr := port.listener.Addr().String()
	p, _ := play(t, Config{Data: clipSet{stored(6, 20)}, Loop: true, Speed: 4, Camera: &CameraConfig{Addr: addr}})
	testenv.Wait(t, "lines", func() bool { return len(port.messages(t)) >= 3 })
	p.Stop(modality.Camera)
	testenv.Wait(t, "frames to pass meanwhile", func() bool { return p.Counts()[modality.Camera].Off >= 2 })
	p.Start(modality.Camera)
	testenv.Wait(t, "a second connection with numbers from 0", func() bool {
		starts := 0
		for _, m := range port.messages(t) {
			if m.Seq == 0 {
				starts++
			}
		}
		return starts == 2
	})
	if port.conns != 2 {
		t.Errorf("%d connections", port.conns)
	}
}
