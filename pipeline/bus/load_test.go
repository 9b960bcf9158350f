package bus

import (
	"maps"
	"testing"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
)

// TestLoad: whoever is not let in is counted once, by what kept them out.
func TestLoad(t *testing.T) {
	cfg := testConfig()
	cfg.Users = []User{{Name: "anna", Password: "a", Role: Viewer}}
	cfg.MaxConnections, cfg.MaxPerAddress = 16, 4
	b := open(t, cfg)
	url, _, _ := b.Addresses()
	let := func(user, password string) *nats.Conn {
		nc, err := nats.Connect(url, nats.UserInfo(user, password), nats.NoReconnect())
		if err != nil {
			return nil
		}
		t.Cleanup(nc.Close)
		return nc
	}
	want := map[Refusal]uint64{RefusedLogin: 0, RefusedAddress: 0, RefusedFull: 0}
	check := func() {
		t.Helper()
		testenv.Wait(t, "the count", func() bool {
			l, embedded := b.Load()
			return embedded && l.MaxConnections == 16 && maps.Equal(l.Refused, want)
		})
	}
	own, _ := b.Load()
	check()
	for range 4 {
		if let("anna", "a") == nil {
			t.Fatal("anna is not let in")
		}
	}
	if l, _ := b.Load(); l.Connections < own.Connections+4 { // the daemon's own may still be coming
		t.Errorf("%d connections, at first %d", l.Connections, own.Connections)
	}
	if let("anna", "a") != nil {
		t.Fatal("a fifth connection of the address")
	}
	want[RefusedAddress]++
	check()
	cfg.MaxPerAddress = 100
	if err := b.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	for _, who := range [][2]string{{"anna", "b"}, {"eve", "a"}, {internalUser, "x"}} {
		if let(who[0], who[1]) != nil {
			t.Fatalf("%s is let in", who[0])
		}
		want[RefusedLogin]++
		check()
	}
	if _, err := b.SignIn("anna", "b", "127.0.0.1"); err == nil {
		t.Fatal("a wrong password on the page")
	}
	want[RefusedLogin]++
	check()
	for l, _ := b.Load(); l.Connections < 16; l, _ = b.Load() {
		if let("anna", "a") == nil {
			t.Fatalf("refused with %d connections", l.Connections)
		}
	}
	if let("anna", "a") != nil {
		t.Fatal("more than the server takes")
	}
	want[RefusedFull]++
	check()
}
