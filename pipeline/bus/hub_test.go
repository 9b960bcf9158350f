package bus

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/internal/hubtest"
	"posefuse/internal/testenv"
	"posefuse/message"
)

// roomAt opens the bus of a room that belongs to the hub.
func roomAt(t *testing.T, room, password string, port int) *Bus {
	t.Helper()
	cfg := testConfig()
	cfg.Hub = HubConfig{URL: fmt.Sprintf("nats://127.0.0.1:%d", port), User: room, Password: password}
	b, err := Open(cfg, Options{Room: room, StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
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

// hubCode is the code of the status part of the hub.
func hubCode(b *Bus) string {
	for _, p := range b.Health() {
		if p.Part == "bus.hub" {
			return p.Code
		}
	}
	return ""
}

func loginAt(t *testing.T, url, user string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.UserInfo(user, user+"-secret"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// At the hub everybody hears both rooms, requests reach the daemon they are for,
// and neither the other room nor anybody at the hub speaks for a room.
func TestRoomsOfAHub(t *testing.T) {
	people, rooms := testenv.FreePort(t), testenv.FreePort(t)
	dir := t.TempDir()
	h := hubtest.Start(t, dir, people, rooms, nil)
	one, two := roomAt(t, "room1", "room1-secret", rooms), roomAt(t, "room2", "room2-secret", rooms)
	linked := func() bool { return hubCode(one) == "ok" && hubCode(two) == "ok" && h.NumLeafNodes() == 2 }
	testenv.Wait(t, "both rooms at the hub", linked)

	viewer, control := loginAt(t, h.ClientURL(), "viewer"), loginAt(t, h.ClientURL(), "control")
	heard := make(chan *nats.Msg, 1000)
	if _, err := viewer.ChanSubscribe("posefuse.*.status", heard); err != nil {
		t.Fatal(err)
	}
	if err := viewer.Flush(); err != nil {
		t.Fatal(err)
	}
	// hears publishes until the viewer has heard a room: the subscription travels
	// to it first.
	hears := func(room string, b *Bus) {
		t.Helper()
		testenv.Wait(t, "the status of "+room+" at the hub", func() bool {
			s := onlineStatus()
			s.Room = room
			if err := b.PublishStatus(s); err != nil {
				t.Fatal(err)
			}
			for {
				select {
				case m := <-heard:
					var got message.Status
					if err := json.Unmarshal(m.Data, &got); err != nil {
						t.Fatal(err)
					}
					if got.Room == room && m.Subject == "posefuse."+room+".status" {
						return true
					}
				case <-time.After(20 * time.Millisecond):
					return false
				}
			}
		})
	}
	hears("room1", one)
	hears("room2", two)

	answer := func(b *Bus, word string) {
		if err := b.HandleControl("test", func([]byte) ([]byte, error) { return []byte(word), nil }); err != nil {
			t.Fatal(err)
		}
	}
	answer(one, `"one"`)
	answer(two, `"two"`)
	for room, want := range map[string]string{"room1": `"one"`, "room2": `"two"`} {
		testenv.Wait(t, "the answer of "+room, func() bool {
			m, err := control.Request("posefuse."+room+".ctl.test", nil, time.Second)
			if err == nil && string(m.Data) != want {
				t.Fatalf("%s answers %s, want %s", room, m.Data, want)
			}
			return err == nil
		})
	}

	// Forged: by the hub's people, by the other room's daemon, by a stranger there.
	oneURL, _, _ := one.Addresses()
	guest := natsClient(t, oneURL)
	inRoom, err := guest.SubscribeSync("posefuse.>")
	if err != nil {
		t.Fatal(err)
	}
	if err = guest.Flush(); err != nil {
		t.Fatal(err)
	}
	forged := []byte("forged")
	for _, subject := range []string{"posefuse.room1.pose", "posefuse.room1.status", "posefuse.room1.model.event", "posefuse.room1.sensor.radar"} {
		if err = control.Publish(subject, forged); err != nil {
			t.Fatal(err)
		}
		if err = two.nc.Publish(subject, forged); err != nil { // the daemon of room2 itself
			t.Fatal(err)
		}
	}
	if err = control.Flush(); err != nil {
		t.Fatal(err)
	}
	if err = two.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// What follows on the same ways comes after them.
	if _, err = control.Request("posefuse.room1.ctl.test", nil, testenv.Patience); err != nil {
		t.Fatal(err)
	}
	hears("room2", two)
	for {
		m, none := inRoom.NextMsg(200 * time.Millisecond)
		if none != nil {
			break
		}
		if string(m.Data) == "forged" {
			t.Errorf("%s was forged in the room", m.Subject)
		}
	}
	for len(heard) > 0 {
		if m := <-heard; string(m.Data) == "forged" {
			t.Errorf("%s was forged at the hub", m.Subject)
		}
	}

	// The link goes down: the room goes on, says so, and finds the hub again.
	h.Shutdown()
	h.WaitForShutdown()
	testenv.Wait(t, "the hub to be missed", func() bool { return hubCode(one) == "away" && hubCode(two) == "away" })
	own, err := guest.SubscribeSync("posefuse.room1.status")
	if err != nil {
		t.Fatal(err)
	}
	if err = guest.Flush(); err != nil {
		t.Fatal(err)
	}
	if err = one.PublishStatus(onlineStatus()); err != nil {
		t.Fatal(err)
	}
	if _, err = own.NextMsg(testenv.Patience); err != nil {
		t.Errorf("without the hub the room is silent: %v", err)
	}
	h = hubtest.Start(t, dir, people, rooms, nil)
	testenv.Wait(t, "the hub to be found again", linked)
	hears("room1", one)
}

// The room with the right login, which tries later, is the control: when it is in,
// the other has had its answer.
func TestHubRefusesAWrongLogin(t *testing.T) {
	rooms := testenv.FreePort(t)
	h := hubtest.Start(t, t.TempDir(), testenv.FreePort(t), rooms, nil)
	wrong := roomAt(t, "room1", "wrong", rooms)
	right := roomAt(t, "room2", "room2-secret", rooms)
	testenv.Wait(t, "the right login", func() bool { return hubCode(right) == "ok" })
	if got := hubCode(wrong); got != "away" || h.NumLeafNodes() != 1 {
		t.Errorf("with a wrong password bus.hub is %q and the hub has %d rooms, want away and 1", got, h.NumLeafNodes())
	}
}

func TestHubConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		hub  HubConfig
		url  string // nats.url
		want string
	}{
		{"none", HubConfig{}, "", ""},
		{"good", HubConfig{"tls://hub.clinic:7422", "room1", "x"}, "", ""},
		{"loopback", HubConfig{"nats://127.0.0.1:7422", "room1", "x"}, "", ""},
		{"unencrypted", HubConfig{"nats://hub.clinic:7422", "room1", "x"}, "", "use tls://hub.clinic:7422"},
		{"login in the URL", HubConfig{"tls://room1:secret@hub.clinic:7422", "room1", "x"}, "", "set hub.user and hub.password"},
		{"no login", HubConfig{URL: "tls://hub.clinic:7422"}, "", "the hub tells rooms by their login"},
		{"login alone", HubConfig{User: "room1"}, "", "set the hub's address"},
		{"scheme", HubConfig{"https://hub", "room1", "x"}, "", `scheme "https" is unknown`},
		{"external server", HubConfig{"tls://hub.clinic:7422", "room1", "x"}, "nats://other:4222", "connect that server to the hub"},
	} {
		cfg := DefaultConfig()
		cfg.Hub, cfg.NATS.URL = c.hub, c.url
		got := fmt.Sprint(cfg.Check())
		if c.want == "" && len(cfg.Check()) > 0 || !strings.Contains(got, c.want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s, want %q", c.name, got, c.want)
		}
	}
}
