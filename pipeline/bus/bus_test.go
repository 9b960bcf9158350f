package bus

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/setting"
)

// testConfig listens on free ports.
func testConfig() Config {
	c := DefaultConfig()
	c.NATS.Listen, c.MQTT.Listen, c.WebSocket.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	return c
}

func open(t *testing.T, cfg Config) *Bus {
	t.Helper()
	return openIn(t, cfg, t.TempDir())
}

func openIn(t *testing.T, cfg Config, dir string) *Bus {
	t.Helper()
	b, err := Open(cfg, Options{Room: "room1", StateDir: dir, Version: "0.1.0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func natsClient(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func mqttClient(t *testing.T, url string, change ...func(*mqtt.ClientOptions)) mqtt.Client {
	t.Helper()
	url = strings.NewReplacer("mqtt://", "tcp://", "mqtts://", "ssl://").Replace(url)
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(fmt.Sprintf("test-%d", time.Now().UnixNano())).SetConnectTimeout(testenv.Patience)
	for _, f := range change {
		f(o)
	}
	c := mqtt.NewClient(o)
	if tok := c.Connect(); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
		t.Fatalf("%s: %v", url, tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(50) })
	return c
}

// collect subscribes and returns the messages as they come.
func collect(t *testing.T, c mqtt.Client, topic string) <-chan mqtt.Message {
	t.Helper()
	ch := make(chan mqtt.Message, 1000)
	if tok := c.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) { ch <- m }); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
		t.Fatalf("subscribe %s: %v", topic, tok.Error())
	}
	return ch
}

// waitState reads status messages until one has the state.
func waitState(t *testing.T, ch <-chan mqtt.Message, state string) mqtt.Message {
	t.Helper()
	for {
		m := testenv.Receive(t, "status "+state, ch)
		var s message.Status
		if err := json.Unmarshal(m.Payload(), &s); err != nil {
			t.Fatalf("status %q: %v", m.Payload(), err)
		}
		if s.State == state {
			return m
		}
	}
}

func onlineStatus() *message.Status {
	return &message.Status{Schema: message.StatusSchema, Room: "room1", State: message.Online, Time: "2026-11-23T20:00:00Z", Parts: []message.PartHealth{}}
}

func TestPoseReachesEveryTransport(t *testing.T) {
	b := open(t, testConfig())
	natsURL, mqttURL, wsURL := b.Addresses()
	subscribe := func(url string) chan *nats.Msg {
		nc := natsClient(t, url)
		ch := make(chan *nats.Msg, 10)
		if _, err := nc.ChanSubscribe("posefuse.room1.pose", ch); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return ch
	}
	overTCP, overWS := subscribe(natsURL), subscribe(wsURL)
	overMQTT := collect(t, mqttClient(t, mqttURL), "posefuse/room1/pose")
	p := &message.Pose{Schema: message.PoseSchema, Room: "room1", Seq: 7}
	want, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	buf, err := b.PublishPose(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	clear(buf) // the buffer belongs to the caller again
	for name, got := range map[string][]byte{
		"nats": testenv.Receive(t, "pose", overTCP).Data, "websocket": testenv.Receive(t, "pose", overWS).Data, "mqtt": testenv.Receive(t, "pose", overMQTT).Payload(),
	} {
		if string(got) != string(want) {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestStatusIsRetained(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, testConfig(), dir)
	natsURL, mqttURL, _ := b.Addresses()
	nc := natsClient(t, natsURL)
	sub, err := nc.SubscribeSync("posefuse.room1.status")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(testenv.Patience); err != nil {
		t.Fatalf("NATS subscriber: %v", err)
	}
	// A subscriber that comes later gets the retained one, and the next live.
	ch, _ := waitRetained(t, mqttURL, message.Online)
	if err := b.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	if m := waitState(t, ch, message.Online); m.Retained() {
		t.Error("live status is marked retained")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// The next start of the server still has the daemon's last word.
	cfg := testConfig()
	again := openIn(t, cfg, dir)
	_, mqttURL, _ = again.Addresses()
	waitRetained(t, mqttURL, message.Stopped)
}

// waitRetained subscribes to the status until the retained one with the state
// comes at once, and returns that subscription and the message. The embedded server reads its
// retained messages in the background, so the first subscriptions after a start
// may find none.
func waitRetained(t *testing.T, url, state string) (<-chan mqtt.Message, []byte) {
	t.Helper()
	for until := time.Now().Add(testenv.Patience); time.Now().Before(until); {
		c := mqttClient(t, url)
		ch := collect(t, c, "posefuse/room1/status")
		select {
		case m := <-ch:
			var s message.Status
			if err := json.Unmarshal(m.Payload(), &s); err != nil {
				t.Fatalf("status %q: %v", m.Payload(), err)
			}
			if m.Retained() && s.State == state { // else it was still on its way
				return ch, m.Payload()
			}
		case <-time.After(250 * time.Millisecond):
		}
		c.Disconnect(0)
	}
	t.Fatalf("no retained status %s", state)
	panic("unreachable")
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	for key, set := range map[string]func(*Config, string){
		"bus.nats.listen":      func(c *Config, a string) { c.NATS.Listen = a },
		"bus.mqtt.listen":      func(c *Config, a string) { c.MQTT.Listen = a },
		"bus.websocket.listen": func(c *Config, a string) { c.WebSocket.Listen = a },
	} {
		t.Run(key, func(t *testing.T) {
			cfg := testConfig()
			set(&cfg, l.Addr().String())
			_, err := Open(cfg, Options{Room: "room1", StateDir: t.TempDir(), Version: "0.1.0", Log: slog.New(slog.DiscardHandler)})
			if !errors.Is(err, setting.ErrInUse) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
				t.Errorf("error %v, want port in use, %s and %d", err, key, port)
			}
		})
	}
}

func TestStateDirThatCannotBeMade(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(testConfig(), Options{Room: "room1", StateDir: file, Version: "0.1.0", Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "state_dir") || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v, want state_dir and %s", err, file)
	}
}

// TestSilentClientIsCut holds a raw client that subscribes and never reads.
func TestSilentClientIsCut(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPendingKiB, cfg.WriteLimitMS = 1024, 500
	b := open(t, cfg)
	natsURL, _, _ := b.Addresses()
	raw, err := net.Dial("tcp", strings.TrimPrefix(natsURL, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }() // held to the end: a finalizer would close it
	if err = raw.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err = fmt.Fprint(raw, "CONNECT {\"verbose\":false}\r\nSUB posefuse.room1.pose 1\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(raw)
	for line := ""; line != "PONG\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	good := natsClient(t, natsURL)
	if err = good.Flush(); err != nil {
		t.Fatal(err)
	}
	var got []uint64
	received := make(chan struct{}, 100_000)
	sub, err := good.Subscribe("posefuse.room1.pose", func(m *nats.Msg) {
		got = append(got, uint64(len(m.Data)))
		received <- struct{}{}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := good.Flush(); err != nil {
		t.Fatal(err)
	}
	payload := []byte(strings.Repeat("x", 32<<10))
	sent, deadline := 0, time.Now().Add(testenv.Patience)
	for b.Counters()["slow_consumers"] == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("the silent client was not cut after %d messages", sent)
		}
		if err := b.Publish("pose", payload); err != nil {
			t.Fatal(err)
		}
		sent++
		testenv.Receive(t, "message while the other client is silent", received)
		if sent%64 != 0 {
			continue
		}
		z, err := b.server.srv.Load().Connz(&server.ConnzOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range z.Conns {
			if c.Pending > cfg.MaxPendingKiB<<10 {
				t.Fatalf("%d bytes wait for a client, more than the limit", c.Pending)
			}
		}
	}
	if len(got) != sent || slices.Min(got) != uint64(len(payload)) {
		t.Errorf("the reading client got %d of %d messages", len(got), sent)
	}
	if sent*len(payload) < 2<<20 {
		t.Errorf("cut after %d messages: the client had no time to fall behind", sent)
	}
}

func TestControlService(t *testing.T) {
	b := open(t, testConfig())
	if err := b.HandleControl("status", func([]byte) ([]byte, error) { return []byte(`{"ok":true}`), nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.HandleControl("fail", func(in []byte) ([]byte, error) { return nil, fmt.Errorf("cannot %s", in) }); err != nil {
		t.Fatal(err)
	}
	natsURL, _, _ := b.Addresses()
	nc := natsClient(t, natsURL)
	m, err := nc.Request("posefuse.room1.ctl.status", nil, testenv.Patience)
	if err != nil || string(m.Data) != `{"ok":true}` {
		t.Fatalf("ctl.status: %v, %v", m, err)
	}
	m, err = nc.Request("posefuse.room1.ctl.fail", []byte("fly"), testenv.Patience)
	if err != nil || m.Header.Get(micro.ErrorHeader) != "cannot fly" {
		t.Errorf("ctl.fail: header %v, %v", m.Header, err)
	}
	m, err = nc.Request("$SRV.INFO.posefuse", nil, testenv.Patience)
	if err != nil || !strings.Contains(string(m.Data), "posefuse.room1.ctl.status") {
		t.Errorf("service discovery: %v", err)
	}
}

func TestCloseTwiceAndPublishAfter(t *testing.T) {
	b := open(t, testConfig())
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Publish("pose", []byte("{}")); err == nil || b.Counters()["dropped_nats"] != 1 {
		t.Errorf("publish after close: %v, dropped %d", err, b.Counters()["dropped_nats"])
	}
}

func TestWebSocketOrigins(t *testing.T) {
	cfg := testConfig()
	cfg.WebSocket.AllowedOrigins = []string{"http://127.0.0.1:8080"}
	b := open(t, cfg)
	_, _, wsURL := b.Addresses()
	for origin, want := range map[string]string{"http://127.0.0.1:8080": "101", "http://evil.example": "403"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(wsURL, "ws://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: %s\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", origin)
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Errorf("origin %s: %q, %v; want %s", origin, line, err, want)
		}
		for line != "\r\n" && err == nil {
			if line, err = r.ReadString('\n'); strings.Contains(line, "deflate") {
				t.Error("compression was negotiated")
			}
		}
		_ = c.Close()
	}
}
