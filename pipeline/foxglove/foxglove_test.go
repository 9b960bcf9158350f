package foxglove

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
)

// stage is a bus and a server of what is published on it.
type stage struct {
	nc      *nats.Conn
	handler *server
	url     string
}

// open starts a stage whose messages say what they were made of.
func open(t *testing.T, origins ...string) *stage {
	t.Helper()
	bus, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go bus.Start()
	if !bus.ReadyForConnections(testenv.Patience) {
		t.Fatal("broker not ready")
	}
	nc, err := nats.Connect(bus.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); bus.Shutdown(); bus.WaitForShutdown() })
	h, err := Handler(nc, "room1", Options{Origins: origins,
		Schema: func(name string) ([]byte, error) { return []byte(`{"title":"` + name + `"}`), nil },
		Scene: func(b []byte, joints *[17][3]float64, frame string, unixNS int64) []byte {
			return fmt.Appendf(b, `{"frame":%q,"at":%d,"nose":%v}`, frame, unixNS, joints[9][2])
		},
		Cloud: func(b []byte, frame string, unixNS int64, values []float32, fields ...string) []byte {
			return fmt.Appendf(b, `{"frame":%q,"at":%d,"values":%d,"fields":%d}`, frame, unixNS, len(values), len(fields))
		}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &stage{nc, h.(*server), "ws" + strings.TrimPrefix(srv.URL, "http")}
}

func dial(t *testing.T, url string, opt *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	if opt == nil {
		opt = &websocket.DialOptions{Subprotocols: []string{Subprotocol}}
	}
	conn, resp, err := websocket.Dial(t.Context(), url, opt)
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, resp, err
}

// join connects and reads the first two messages.
func (g *stage) join(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := dial(t, g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Op, Name string }
	if decode(t, conn, &info); info.Op != "serverInfo" || info.Name != "posefuse room1" {
		t.Fatalf("%+v", info)
	}
	var adv struct {
		Op       string
		Channels []struct {
			ID                                                  int
			Topic, Encoding, SchemaName, Schema, SchemaEncoding string
		}
	}
	decode(t, conn, &adv)
	if adv.Op != "advertise" || len(adv.Channels) != numChannels {
		t.Fatalf("%+v", adv)
	}
	for i, c := range adv.Channels {
		if c.ID != i+1 || c.Topic != channels[i].topic || c.Encoding != "json" || c.SchemaEncoding != "jsonschema" || c.SchemaName != channels[i].schema || !strings.Contains(c.Schema, c.SchemaName) {
			t.Errorf("%+v", c)
		}
	}
	return conn
}

func next(t *testing.T, conn *websocket.Conn) (websocket.MessageType, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	kind, b, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return kind, b
}

func decode(t *testing.T, conn *websocket.Conn, v any) {
	t.Helper()
	kind, b := next(t, conn)
	if err := json.Unmarshal(b, v); kind != websocket.MessageText || err != nil {
		t.Fatalf("%v: %v, %s", kind, err, b)
	}
}

// data returns subscription, time and payload of a message with data.
func data(t *testing.T, conn *websocket.Conn) (id uint32, at time.Time, text string) {
	t.Helper()
	kind, b := next(t, conn)
	if kind != websocket.MessageBinary || len(b) < 13 || b[0] != 1 {
		t.Fatalf("%v, %.80q", kind, b)
	}
	return binary.LittleEndian.Uint32(b[1:]), time.Unix(0, int64(binary.LittleEndian.Uint64(b[5:]))), string(b[13:])
}

func (g *stage) ask(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// heard waits until the server listens to the bus, or does not.
func (g *stage) heard(t *testing.T, want bool) {
	t.Helper()
	testenv.Wait(t, fmt.Sprint("the server listens: ", want), func() bool {
		g.handler.mu.Lock()
		defer g.handler.mu.Unlock()
		return (g.handler.subs != nil) == want
	})
	if err := g.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

const noseHeight = 1.57

func pose(joint string) string {
	joints := strings.Repeat("[0,3,"+fmt.Sprint(noseHeight)+"],", 16) + joint
	return `{"schema":"posefuse.pose.v1","room":"room1","seq":1,"capture_time":"2026-11-30T10:00:00.5Z","capture_ns":2000000000,"frame":"room","joints_m":[` + joints + `],"modalities":{}}`
}

const points = `{"schema":"posefuse.points.v1","room":"room1","capture_ns":3000000000,"frame":"room","lidar":[[1,2,3],[4,5,6]],"radar":[[1,2,3,0.5]]}`

func (g *stage) publish(t *testing.T, what, text string) {
	t.Helper()
	if err := g.nc.Publish("posefuse.room1."+what, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestClientSeesTheRoom: what is subscribed comes, with the client's own numbers and
// times of the wall clock; what is not does not; without clients the bus is not heard.
func TestClientSeesTheRoom(t *testing.T) {
	g := open(t)
	conn := g.join(t)
	g.ask(t, conn, `{"op":"subscribe","subscriptions":[{"id":70,"channelId":2},{"id":71,"channelId":4}]}`)
	g.heard(t, true)
	g.publish(t, "pose", pose("[0,3,1]"))
	begun := time.Date(2026, 11, 30, 10, 0, 0, 500_000_000, time.UTC)
	if id, at, text := data(t, conn); id != 70 || time.Since(at) > time.Hour || text != fmt.Sprintf(`{"frame":"room","at":%d,"nose":%v}`, begun.UnixNano(), noseHeight) {
		t.Errorf("%d at %v: %s", id, at, text)
	}
	g.publish(t, "points", points)
	if id, _, text := data(t, conn); id != 71 || text != fmt.Sprintf(`{"frame":"room","at":%d,"values":4,"fields":4}`, begun.Add(time.Second).UnixNano()) {
		t.Errorf("%d: %s", id, text)
	}
	for _, broken := range []string{"{", `{"joints_m":[1]}`, pose("null"), strings.Replace(pose("[0,3,1]"), "2026", "x", 1)} {
		g.publish(t, "pose", broken)
	}
	g.publish(t, "points", "[]")
	g.publish(t, "pose", pose("[0,3,1]"))
	if id, _, _ := data(t, conn); id != 70 { // the broken ones made nothing
		t.Errorf("%d", id)
	}
	g.ask(t, conn, `{"op":"subscribe","subscriptions":[{"id":5,"channelId":1},{"id":6,"channelId":3}]}`)
	g.ask(t, conn, `{"op":"unsubscribe","subscriptionIds":[70,71]}`)
	testenv.Wait(t, "the change", func() bool {
		g.handler.mu.Lock()
		defer g.handler.mu.Unlock()
		return g.handler.wanted == [numChannels]int{1, 0, 1, 0}
	})
	g.publish(t, "pose", pose("[0,3,2]"))
	if id, _, text := data(t, conn); id != 5 || text != pose("[0,3,2]") {
		t.Errorf("%d: %s", id, text)
	}
	g.publish(t, "points", points)
	if id, _, text := data(t, conn); id != 6 || !strings.Contains(text, `"values":6,"fields":3`) {
		t.Errorf("%d: %s", id, text)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "") // the client leaves
	g.heard(t, false)
}

// TestMistakesAreTold: a client's mistakes get a status and change nothing.
func TestMistakesAreTold(t *testing.T) {
	g := open(t)
	conn := g.join(t)
	g.ask(t, conn, `{"op":"subscribe","subscriptions":[{"id":1,"channelId":1}]}`)
	g.heard(t, true)
	for text, want := range map[string]string{
		`{`: "not understood",
		`{"op":"subscribe","subscriptions":[{"id":2,"channelId":9}]}`:  "no channel 9",
		`{"op":"subscribe","subscriptions":[{"id":2,"channelId":0}]}`:  "no channel 0",
		`{"op":"subscribe","subscriptions":[{"id":2,"channelId":1}]}`:  "subscribed to already",
		`{"op":"subscribe","subscriptions":[{"id":1,"channelId":2}]}`:  "subscription 1 is in use",
		`{"op":"subscribe","subscriptions":[{"id":-1,"channelId":2}]}`: "not understood",
		`{"op":"unsubscribe","subscriptionIds":[3]}`:                   "no subscription 3",
		`{"op":"advertise","channels":[]}`:                             "not offered",
		`{"op":"getParameters"}`:                                       "not offered",
		`[]`:                                                           "not understood",
	} {
		g.ask(t, conn, text)
		var status struct {
			Op, Message string
			Level       int
		}
		if decode(t, conn, &status); status.Op != "status" || status.Level != 2 || !strings.Contains(status.Message, want) {
			t.Errorf("%s: %+v, want %q", text, status, want)
		}
	}
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte{1, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	var status struct{ Message string }
	if decode(t, conn, &status); !strings.Contains(status.Message, "nothing can be published") {
		t.Errorf("%+v", status)
	}
	g.publish(t, "pose", pose("[0,3,1]"))
	if id, _, _ := data(t, conn); id != 1 {
		t.Errorf("the subscription is %d", id)
	}
}

// TestSlowClientHoldsUpNobody: of one that never reads only the newest is kept.
func TestSlowClientHoldsUpNobody(t *testing.T) {
	g := open(t)
	slow := &client{wake: make(chan struct{}, 1)}
	if !g.handler.enter(slow) {
		t.Fatal("there is no room")
	}
	defer g.handler.leave(slow)
	if problems := g.handler.take(slow, []byte(`{"op":"subscribe","subscriptions":[{"id":1,"channelId":1},{"id":2,"channelId":3}]}`)); problems != nil {
		t.Fatal(problems)
	}
	quick := g.join(t)
	g.ask(t, quick, `{"op":"subscribe","subscriptions":[{"id":1,"channelId":1}]}`)
	testenv.Wait(t, "two want poses", func() bool {
		g.handler.mu.Lock()
		defer g.handler.mu.Unlock()
		return g.handler.wanted[chanPose] == 2
	})
	for i := range 50 {
		g.publish(t, "points", points)
		text := pose(fmt.Sprintf("[0,3,%d]", i))
		g.publish(t, "pose", text)
		if _, _, got := data(t, quick); got != text {
			t.Fatalf("pose %d: %.200s", i, got)
		}
		g.handler.tell(slow, []string{"x"})
	}
	g.handler.mu.Lock()
	defer g.handler.mu.Unlock()
	if len(slow.notes) != maxNotes || !strings.HasSuffix(string(slow.pending[chanPose][13:]), `[0,3,49]],"modalities":{}}`) || slow.pending[chanLiDAR] == nil || slow.pending[chanSkeleton] != nil {
		t.Errorf("%d notes wait and %.300q", len(slow.notes), slow.pending)
	}
}

// TestWhoMayConnect: pages of other origins are refused, programs are not, nor pages
// that the configuration names; there is a bound.
func TestWhoMayConnect(t *testing.T) {
	g := open(t, "https://app.foxglove.dev")
	for origin, want := range map[string]int{"": 0, "https://app.foxglove.dev": 0, "http://app.foxglove.dev": 403, "https://evil.example": 403, "https://app.foxglove.dev.evil.example": 403, "null": 403} {
		opt := &websocket.DialOptions{Subprotocols: []string{Subprotocol}}
		if origin != "" {
			opt.HTTPHeader = http.Header{"Origin": {origin}}
		}
		conn, resp, err := dial(t, g.url, opt)
		if (err == nil) != (want == 0) || err != nil && resp.StatusCode != want {
			t.Errorf("origin %q: %v, %v, want %d", origin, err, resp, want)
		}
		if err == nil {
			_ = conn.CloseNow()
		}
	}
	other, _, err := dial(t, g.url, &websocket.DialOptions{Subprotocols: []string{"other.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if _, _, err = other.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("another protocol: %v", err)
	}
	testenv.Wait(t, "all have left", func() bool {
		g.handler.mu.Lock()
		defer g.handler.mu.Unlock()
		return len(g.handler.clients) == 0
	})
	for range maxClients {
		g.join(t)
	}
	if _, resp, err := dial(t, g.url, nil); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %v, %v", err, resp)
	}
}
