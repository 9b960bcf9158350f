package bus

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/message"
)

const mosquittoPath = "/usr/sbin/mosquitto"

// broker is a mosquitto process.
type broker struct {
	t    *testing.T
	port int
	dir  string
	cmd  *exec.Cmd
}

func startMosquitto(t *testing.T) *broker {
	t.Helper()
	if _, err := os.Stat(mosquittoPath); err != nil {
		testenv.LeaveOut(t, err.Error()+": install it with: apt-get install mosquitto")
	}
	b := &broker{t: t, port: testenv.FreePort(t), dir: t.TempDir()}
	conf := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n", b.port)
	if err := os.WriteFile(filepath.Join(b.dir, "m.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) url() string { return fmt.Sprintf("tcp://127.0.0.1:%d", b.port) }

func (b *broker) start() {
	b.t.Helper()
	b.cmd = exec.Command(mosquittoPath, "-c", filepath.Join(b.dir, "m.conf"))
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	testenv.Wait(b.t, "an answer of mosquitto", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.port))
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
}

func (b *broker) stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	b.cmd = nil
}

func mosquittoConfig(b *broker) Config {
	cfg := testConfig()
	cfg.MQTT.URL = b.url()
	return cfg
}

func TestMosquittoGetsMessages(t *testing.T) {
	m := startMosquitto(t)
	b := open(t, mosquittoConfig(m))
	c := mqttClient(t, m.url())
	poses, statuses := collect(t, c, "posefuse/room1/pose"), collect(t, c, "posefuse/room1/status")
	sensors := collect(t, c, "posefuse/room1/sensor/+")
	if err := b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	waitState(t, statuses, message.Online)
	for seq := range uint64(50) {
		if _, err := b.PublishPose(nil, &message.Pose{Schema: message.PoseSchema, Seq: seq}); err != nil {
			t.Fatal(err)
		}
	}
	for seq := range uint64(50) {
		var p message.Pose
		if err := json.Unmarshal(testenv.Receive(t, "pose", poses).Payload(), &p); err != nil || p.Seq != seq {
			t.Fatalf("pose %d came as %d, %v", seq, p.Seq, err)
		}
	}
	if err := b.PublishSensor(&message.Sensor{Schema: message.SensorSchema, Name: "radar"}); err != nil {
		t.Fatal(err)
	}
	if m := testenv.Receive(t, "sensor", sensors); m.Topic() != "posefuse/room1/sensor/radar" {
		t.Errorf("topic %s", m.Topic())
	}
	// A new subscriber gets the retained status; a clean stop is no accident.
	late := collect(t, mqttClient(t, m.url()), "posefuse/room1/status")
	if m := waitState(t, late, message.Online); !m.Retained() {
		t.Error("status is not retained")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	waitState(t, late, message.Stopped)
}

// proxy forwards one connection after another and can be cut, as a cable can.
type proxy struct {
	l         net.Listener
	target    string
	conns     chan net.Conn
	unplugged atomic.Bool // new connections lead nowhere
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, conns: make(chan net.Conn, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if p.unplugged.Load() {
				_ = c.Close()
				continue
			}
			up, err := net.Dial("tcp", target)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.conns <- c
			go func() { defer closeBoth(c, up); _, _ = copyTo(up, c) }()
			go func() { defer closeBoth(c, up); _, _ = copyTo(c, up) }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return p
}

func closeBoth(a, b net.Conn) { _ = a.Close(); _ = b.Close() }

func copyTo(dst, src net.Conn) (int64, error) {
	buf := make([]byte, 4096)
	var n int64
	for {
		k, err := src.Read(buf)
		if k > 0 {
			if _, werr := dst.Write(buf[:k]); werr != nil {
				return n, werr
			}
			n += int64(k)
		}
		if err != nil {
			return n, err
		}
	}
}

func TestLastWillAndReturn(t *testing.T) {
	m := startMosquitto(t)
	p := startProxy(t, fmt.Sprintf("127.0.0.1:%d", m.port))
	cfg := testConfig()
	cfg.MQTT.URL = "tcp://" + p.l.Addr().String()
	b := open(t, cfg)
	statuses := collect(t, mqttClient(t, m.url()), "posefuse/room1/status")
	if err := b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	waitState(t, statuses, message.Online)
	_ = testenv.Receive(t, "connection", p.conns).Close() // without DISCONNECT
	if s := waitState(t, statuses, message.Offline); len(s.Payload()) == 0 {
		t.Error("empty will")
	}
	waitState(t, statuses, message.Online) // by itself, after the reconnect
}

func TestMosquittoAwayAndBack(t *testing.T) {
	m := startMosquitto(t)
	cable := startProxy(t, fmt.Sprintf("127.0.0.1:%d", m.port))
	cfg := testConfig()
	cfg.MQTT.URL = "tcp://" + cable.l.Addr().String()
	b := open(t, cfg)
	testenv.Wait(t, "connected", func() bool { ok, _, _ := b.retained.state(); return ok })
	cable.unplugged.Store(true)
	m.stop()
	testenv.Wait(t, "loss noticed", func() bool { ok, _, _ := b.retained.state(); return !ok })
	const sent = 40
	for seq := range uint64(sent) {
		if _, err := b.PublishPose(nil, &message.Pose{Schema: message.PoseSchema, Seq: seq}); err != nil {
			t.Fatal(err)
		}
	}
	health := b.Health()
	if h := health[len(health)-1]; h.Part != "bus.mqtt" || h.Severity != "error" || !strings.Contains(h.Text, cfg.MQTT.URL) {
		t.Errorf("health while away: %+v", h)
	}
	m.start()
	got := map[uint64]int{}
	// The subscriber must be there before the daemon, or the broker has nobody
	// to give the poses to.
	ch := collect(t, mqttClient(t, m.url()), "posefuse/room1/pose")
	cable.unplugged.Store(false)
	for len(got) < sent {
		var p message.Pose
		if err := json.Unmarshal(testenv.Receive(t, "pose from the time the broker was away", ch).Payload(), &p); err != nil {
			t.Fatal(err)
		}
		got[p.Seq]++
	}
	for seq, n := range got {
		if n != 1 {
			t.Errorf("pose %d came %d times", seq, n)
		}
	}
}

func TestMQTTQueueIsBounded(t *testing.T) {
	cfg := testConfig()
	cfg.MQTT.URL = fmt.Sprintf("tcp://127.0.0.1:%d", testenv.FreePort(t)) // nobody there
	b := open(t, cfg)
	for range mqttQueue + 10 {
		if err := b.Publish("pose", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Counters()["dropped_mqtt"]; n != 10 {
		t.Errorf("%d dropped, want 10", n)
	}
}
