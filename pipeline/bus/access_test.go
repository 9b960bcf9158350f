package bus

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"

	"posefuse/internal/testenv"
)

// Without users everybody may read and ask, and only the daemon publishes what
// the daemon says.
func TestOnlyTheDaemonSpeaksForItself(t *testing.T) {
	b := open(t, testConfig())
	natsURL, mqttURL, _ := b.Addresses()
	got := make(chan *nats.Msg, 100)
	if _, err := b.Conn().ChanSubscribe("posefuse.>", got); err != nil {
		t.Fatal(err)
	}
	if err := b.Conn().Flush(); err != nil { // the server has it before the stranger speaks
		t.Fatal(err)
	}
	refused := make(chan error, 100)
	stranger := natsClient(t, natsURL, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, what := range []string{"pose", "status", "sensor.lidar", "model.event", "points", "image_keypoints", "anything", "exercise.event", "keypoints", "ctl.x"} {
		if err := stranger.Publish("posefuse.room1."+what, []byte("forged")); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range []string{"$JS.API.STREAM.DELETE.$MQTT_rmsgs", "$MQTT.rmsgs.posefuse.room1.pose", "$MQTT.msgs.x", "$MQTT.sess.x", "_INBOX.x", "posefuse"} {
		if err := stranger.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 7 + 6 {
		if err := testenv.Receive(t, "a refusal", refused); err == nil {
			t.Error("no reason")
		}
	}
	var heard []string
	for range 3 {
		heard = append(heard, testenv.Receive(t, "what is allowed", got).Subject)
	}
	if want := []string{"posefuse.room1.exercise.event", "posefuse.room1.keypoints", "posefuse.room1.ctl.x"}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
	for _, subject := range []string{">", "$MQTT.>", "$JS.>", "$MQTT.rmsgs.>"} {
		if _, err := stranger.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := testenv.Receive(t, "a refusal", refused); err == nil {
			t.Error("no reason")
		}
	}

	m := mqttClient(t, mqttURL)
	for _, topic := range []string{"posefuse/room1/pose", "posefuse/room1/status", "posefuse/room1/x1"} {
		if tok := m.Publish(topic, 1, true, "forged"); !tok.WaitTimeout(testenv.Patience) {
			t.Errorf("%s: no answer", topic)
		}
	}
	if tok := m.Publish("posefuse/room1/exercise/status", 1, true, "mine"); !tok.WaitTimeout(testenv.Patience) || tok.Error() != nil {
		t.Errorf("exercise: %v", tok.Error())
	}
	// The server keeps a message a moment after it has answered.
	var late <-chan mqtt.Message
	testenv.Wait(t, "what is kept", func() bool {
		late = collect(t, mqttClient(t, mqttURL), "posefuse/#")
		select {
		case x := <-late:
			if x.Topic() != "posefuse/room1/exercise/status" {
				t.Errorf("%s is kept", x.Topic())
			}
			return true
		case <-time.After(time.Second):
			return false
		}
	})
	// Own words go where forged ones do not.
	if err := b.Publish("pose", []byte("own")); err != nil {
		t.Fatal(err)
	}
	if x := testenv.Receive(t, "the daemon's pose", late); x.Topic() != "posefuse/room1/pose" || string(x.Payload()) != "own" {
		t.Errorf("%s: %s", x.Topic(), x.Payload())
	}
}

// Nobody gets in as the daemon, and a viewer reads posefuse/#, its own rooms if
// those are limited, and no more.
func TestUsersAndRooms(t *testing.T) {
	cfg := testConfig()
	cfg.Users = []User{{Name: "screen", Password: "a", Role: Viewer}, {Name: "one", Password: "a", Role: Viewer, Rooms: []string{"room2"}}}
	b := open(t, cfg)
	natsURL, mqttURL, _ := b.Addresses()
	for _, o := range []nats.Option{nats.UserInfo(internalUser, ""), nats.UserInfo(internalUser, "x"), nats.UserInfo("screen", "b"), nats.UserInfo("nobody", "a"), nats.Name("none")} {
		if nc, err := nats.Connect(natsURL, o); err == nil {
			nc.Close()
			t.Error("a stranger got in")
		}
	}
	granted := func(user, filter string) bool {
		c := mqttClient(t, mqttURL, func(o *mqtt.ClientOptions) { o.SetUsername(user).SetPassword("a") })
		tok := c.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
		if !tok.WaitTimeout(testenv.Patience) {
			t.Fatal("no answer")
		}
		return tok.Result()[filter] != 0x80
	}
	for _, c := range []struct {
		user, filter string
		want         bool
	}{
		{"screen", "posefuse/#", true}, {"screen", "posefuse/room1/#", true}, {"screen", "posefuse/+/pose", true}, {"screen", "#", false},
		{"one", "posefuse/room2/#", true}, {"one", "posefuse/room1/#", false}, {"one", "posefuse/#", false}, {"one", "posefuse/+/pose", false},
	} {
		if got := granted(c.user, c.filter); got != c.want {
			t.Errorf("%s, %s: granted %v", c.user, c.filter, got)
		}
	}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := false
		g := &gate{perAddress: 3, inside: map[uint64]guest{}, open: func(uint64) bool { return !gone }}
		for id, want := range []bool{true, true, true, false, false} {
			if got := g.enter(uint64(id), "127.0.0.1", ""); got != want {
				t.Errorf("connection %d of this machine: %v", id, got)
			}
		}
		if !g.enter(2, "127.0.0.1", "") || !g.enter(9, "10.0.0.2", "") {
			t.Error("a second login, or another address, pays for the first")
		}
		gone = true // they left
		time.Sleep(tallyEvery)
		if !g.enter(10, "127.0.0.1", "") || len(g.inside) != 1 {
			t.Errorf("those that left are still counted: %v", g.inside)
		}
	})
	for addr, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.IPv6loopback, Port: 1}: "127.0.0.1", &net.TCPAddr{IP: net.IPv4(127, 3, 2, 1)}: "127.0.0.1",
		&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}: "10.0.0.1", nil: "", &net.UnixAddr{Name: "x"}: "",
	} {
		if got := addressOf(addr); got != want {
			t.Errorf("%v: %q", addr, got)
		}
	}
}

// Whoever is refused a thousand times gets a line, and a sum after a minute.
func TestRefusalsAreSummed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		r := newRefusals(func(text string, args ...any) { lines = append(lines, fmt.Sprint(args...)) })
		for range 1000 {
			r.note("wrong", "10.0.0.1")
		}
		time.Sleep(r.every)
		r.note("wrong", "10.0.0.2")
		for i := range 2 * maxRefusedKinds {
			r.note(fmt.Sprint("kind ", i), "")
		}
		if len(lines) < 2 || lines[0] != "reasonwrongaddress10.0.0.1count1" || lines[1] != "reasonwrongaddress10.0.0.2count1000" {
			t.Errorf("%q", lines[:min(len(lines), 2)])
		}
		if len(lines) > maxRefusedKinds+3 || len(r.kinds) > maxRefusedKinds+1 {
			t.Errorf("%d lines, %d kinds", len(lines), len(r.kinds))
		}
	})
}

func TestHasherAnswersTheNewestFirst(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := newHasher()
	first, _, _ := h.enqueue(string(hash), "guess 0", "10.0.0.1")
	for i := 1; i <= maxLogins; i++ {
		h.enqueue(string(hash), fmt.Sprint("guess ", i), "10.0.0.1")
	}
	select {
	case <-first.answered:
	default:
		t.Error("the oldest of too many still waits")
	}
	if len(h.waiting) != maxLogins {
		t.Errorf("%d wait", len(h.waiting))
	}
	again, _, _ := h.enqueue(string(hash), "guess 7", "10.0.0.1")
	if again != h.waiting[6] {
		t.Error("the same password is hashed twice")
	}
	if l, patience := h.next(); l.password != fmt.Sprint("guess ", maxLogins) || patience {
		t.Errorf("next is %q, patience %v", l.password, patience)
	}
	for range patientAfter {
		l, _ := h.next()
		h.answer(l, false)
	}
	honest, _, _ := h.enqueue(string(hash), "right", "10.0.0.2")
	h.enqueue(string(hash), "guess again", "10.0.0.1")
	if l, patience := h.next(); l != honest || patience {
		t.Errorf("next is %q of %s, not who never failed", l.password, l.address)
	}
	h.answer(honest, true)
	if _, right, known := h.enqueue(string(hash), "right", "10.0.0.1"); !right || !known {
		t.Error("what was right is hashed again")
	}
	if l, patience := h.next(); l.password != "guess again" || !patience {
		t.Errorf("next is %q, patience %v", l.password, patience)
	}
	for i := range 2 * maxVerdicts {
		h.answer(&login{key: verdictKey{byte(i), byte(i >> 8)}, address: fmt.Sprint(i)}, false)
	}
	if _, right, known := h.enqueue(string(hash), "right", "10.0.0.1"); !right || !known || len(h.verdicts) > maxVerdicts || len(h.failed) > maxVerdicts {
		t.Errorf("a flood of guesses: right %v, known %v, %d verdicts, %d addresses", right, known, len(h.verdicts), len(h.failed))
	}
}

// A login with a hash, end to end; and the server ends though many wait.
func TestHashedPasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	cfg.Users = []User{{Name: "screen", Password: string(hash), Role: Viewer}}
	b := open(t, cfg)
	url, _, _ := b.Addresses()
	for i := range 5 {
		if nc, err := nats.Connect(url, nats.UserInfo("screen", fmt.Sprint(i))); err == nil {
			nc.Close()
			t.Error("a wrong password got in")
		}
	}
	natsClient(t, url, nats.UserInfo("screen", "right"))
	natsClient(t, url, nats.UserInfo("screen", "right"))
}

func TestServerLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &captured{}
		l := newServerLog(c.logger())
		for range 1000 {
			l.Errorf("client %d misbehaves", 7)
		}
		l.Errorf("10.0.0.1 - %s", "authentication error")
		if len(c.lines) != logBurst {
			t.Errorf("%d lines", len(c.lines))
		}
		time.Sleep(logEvery)
		l.Warnf("more")
		if n := len(c.lines); n != logBurst+1 || c.lines[n-1] != fmt.Sprintf("more more_like_it=%d", 1000-logBurst) {
			t.Errorf("%d lines, last %q", n, c.lines[n-1])
		}
	})
}

// captured are the lines of a log.
type captured struct{ lines []string }

func (c *captured) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (c *captured) Write(b []byte) (int, error) {
	c.lines = append(c.lines, strings.TrimPrefix(strings.TrimSpace(string(b)), "msg="))
	return len(b), nil
}

// New users come and old ones go while the server runs; whoever is unchanged
// stays connected.
func TestUsersChangeWhileRunning(t *testing.T) {
	cfg := testConfig()
	cfg.Users = []User{{Name: "stays", Password: "a", Role: Viewer}, {Name: "goes", Password: "a", Role: Viewer}, {Name: "changes", Password: "a", Role: Viewer}}
	b := open(t, cfg)
	url, _, _ := b.Addresses()
	conns := map[string]*nats.Conn{}
	for _, u := range cfg.Users {
		conns[u.Name] = natsClient(t, url, nats.UserInfo(u.Name, u.Password), nats.NoReconnect())
	}
	next := cfg
	next.Users = []User{cfg.Users[0], {Name: "changes", Password: "b", Role: Viewer}, {Name: "new", Password: "a", Role: Viewer}}
	if err := b.Apply(&next); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, "the end of two connections", func() bool { return conns["goes"].IsClosed() && conns["changes"].IsClosed() })
	if err := conns["stays"].Flush(); err != nil {
		t.Errorf("an unchanged user lost the connection: %v", err)
	}
	natsClient(t, url, nats.UserInfo("new", "a"))
	natsClient(t, url, nats.UserInfo("changes", "b"))
	for user, password := range map[string]string{"goes": "a", "changes": "a"} {
		if nc, err := nats.Connect(url, nats.UserInfo(user, password)); err == nil {
			nc.Close()
			t.Errorf("%s gets in with %s", user, password)
		}
	}
}
