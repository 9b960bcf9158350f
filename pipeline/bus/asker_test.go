package bus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"posefuse/audit"
	"posefuse/internal/testenv"
)

// noted keeps what a bus tells the audit.
type noted struct {
	mu  sync.Mutex
	all []audit.Entry
}

func (n *noted) note(e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, e)
}

func (n *noted) has(want audit.Entry) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.all, want)
}

// TestAuditKnowsWhoAsks: by the subject of the answer, also for the page's own
// connection; names that nobody has are not written down.
func TestAuditKnowsWhoAsks(t *testing.T) {
	cfg := testConfig()
	cfg.Users = []User{{Name: "anna", Password: "a", Role: Control}, {Name: "eve", Password: "e", Role: Viewer}}
	var told noted
	b, err := Open(cfg, Options{Room: "r", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Audit: told.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	url, _, _ := b.Addresses()
	for name, err := range map[string]error{"swap": nil, "list": nil, "fail": errors.New("not now")} {
		if handleErr := b.HandleControl(name, func([]byte) ([]byte, error) { return nil, err }); handleErr != nil {
			t.Fatal(handleErr)
		}
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	nc := natsClient(t, url, nats.UserInfo("anna", "a"))
	for _, name := range []string{"swap", "list", "fail"} {
		if _, err := nc.Request("posefuse.r.ctl."+name, nil, testenv.Patience); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	if _, err := b.AskAs(ctx, "anna", "a", "swap", nil); err != nil {
		t.Fatal(err)
	}
	if wrong, err := nats.Connect(url, nats.UserInfo("secret-in-the-wrong-field", "a"), nats.NoReconnect()); err == nil {
		wrong.Close()
		t.Error("a name that nobody has is let in")
	}
	for _, want := range []audit.Entry{
		{Event: audit.Connected, User: "anna", Address: "127.0.0.1"},
		{Event: audit.Asked, User: "anna", Address: "127.0.0.1", What: "swap"},
		{Event: audit.Asked, User: "anna", Address: "127.0.0.1", What: "fail, refused: not now"},
		{Event: audit.Asked, User: "anna", Address: "page", What: "swap"},
		{Event: audit.Refused, Address: "127.0.0.1", What: "wrong user or password"},
	} {
		testenv.Wait(t, string(want.Event)+" "+want.What, func() bool { return told.has(want) })
	}
	// Who listens to everybody's answers makes it one of two.
	spy := natsClient(t, url, nats.UserInfo("eve", "e"))
	if _, err := spy.Subscribe(inbox, func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := spy.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Request("posefuse.r.ctl.swap", nil, testenv.Patience); err != nil {
		t.Fatal(err)
	}
	want := audit.Entry{Event: audit.Asked, Address: "one of 127.0.0.1", What: "swap"}
	testenv.Wait(t, "two who wait", func() bool { return told.has(want) })
	if err := nc.Publish("posefuse.r.ctl.swap", nil); err != nil { // without an answer
		t.Fatal(err)
	}
	want.Address = "not known, no answer was asked for"
	testenv.Wait(t, "one who does not wait", func() bool { return told.has(want) })
	told.mu.Lock()
	defer told.mu.Unlock()
	for _, e := range told.all {
		if e.User == internalUser || strings.Contains(e.User+e.What, "secret") || e.What == "list" {
			t.Errorf("noted: %+v", e)
		}
	}
}

func TestListens(t *testing.T) {
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{"_INBOX.a.*", "_INBOX.a.b", true}, {"_INBOX.a.*", "_INBOX.b.b", false}, {"_INBOX.a.*", "_INBOX.a", false}, {"_INBOX.a.*", "_INBOX.a.b.c", false},
		{"_INBOX.>", "_INBOX.a.b", true}, {">", "a", true}, {"a", "a", true}, {"a.b", "a", false}, {"a", "a.b", false},
	} {
		if listens(c.filter, c.subject) != c.want {
			t.Errorf("%s takes %s: want %v", c.filter, c.subject, c.want)
		}
	}
}

// TestNobodyTakesRequests: whoever joins the daemon's queue group, by whatever
// wildcard, neither gets nor swallows what is asked of the daemon.
func TestNobodyTakesRequests(t *testing.T) {
	b := open(t, testConfig())
	if err := b.HandleControl("swap", func([]byte) ([]byte, error) { return []byte("by the daemon"), nil }); err != nil {
		t.Fatal(err)
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	url, _, _ := b.Addresses()
	thief := natsClient(t, url, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	var taken atomic.Int64
	read := make(chan struct{}, 1)
	for _, subject := range []string{"posefuse.>", "posefuse.*.>", "posefuse.room1.ctl.>", "posefuse.room1.ctl.*", "posefuse.room1.ctl.swap", "posefuse.*.*.swap"} {
		for _, group := range []string{"", micro.DefaultQueueGroup} {
			if _, err := thief.QueueSubscribe(subject, group, func(m *nats.Msg) {
				if strings.Contains(m.Subject, ".ctl.") {
					taken.Add(1)
				} else {
					select {
					case read <- struct{}{}:
					default:
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := thief.Flush(); err != nil {
		t.Fatal(err)
	}
	nc := natsClient(t, url)
	for range 50 {
		if reply, err := nc.Request("posefuse.room1.ctl.swap", nil, testenv.Patience); err != nil || string(reply.Data) != "by the daemon" {
			t.Fatalf("%v, %v", reply, err)
		}
	}
	// What everybody may read still comes, and after it nothing is on its way.
	if err := b.nc.Publish("posefuse.room1.pose", nil); err != nil {
		t.Fatal(err)
	}
	testenv.Receive(t, "a pose through the same wildcards", read)
	if err := thief.Flush(); err != nil || taken.Load() > 0 {
		t.Errorf("%d requests read by a stranger, %v", taken.Load(), err)
	}
}
