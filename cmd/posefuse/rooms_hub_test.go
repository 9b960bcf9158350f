package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/pipeline/bus"
)

// Each room that speaks is heard once, with its newest status.
func TestRoomsAreHeard(t *testing.T) {
	cfg := bus.DefaultConfig()
	cfg.NATS.Listen, cfg.MQTT.Listen, cfg.WebSocket.Listen = testenv.FreeAddr(t), "", ""
	b, err := bus.Open(cfg, bus.Options{Room: "room1", StateDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	url, _, _ := b.Addresses()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // speaks until it is heard
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			for _, room := range []string{"room2", "room1"} {
				_ = b.Conn().Publish("posefuse."+room+".status", []byte(`{"room":"`+room+`","state":"online","fps":9.9}`))
			}
		}
	}()
	rooms, err := hearRooms(t.Context(), nc, 500*time.Millisecond)
	close(stop)
	<-done
	if err != nil || len(rooms) != 2 || rooms[0].Room != "room1" || rooms[1].Room != "room2" || rooms[1].FPS != 9.9 {
		t.Fatalf("heard %+v, %v; want room1 and room2", rooms, err)
	}
}

func TestPrintedRooms(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	rooms := []message.Status{
		{Room: "room1", State: "online", Time: "2026-11-30T12:00:00Z", FPS: 10, Uptime: 60, Model: &message.PoseModel{Name: "edge", Version: "3"},
			Parts: []message.PartHealth{{Part: "radar", Code: "stale", Severity: "error", Text: "nothing comes"}, {Part: "camera", Code: "ok", Severity: "ok"},
				{Part: "bus.store", Code: "ok", Severity: "ok", Text: "900 MiB of the disk are free"}}},
		{Room: "room2", State: "offline", Time: "2026-11-30T11:00:00Z"},
	}
	var out bytes.Buffer
	if err := printRooms(&out, rooms, now); err != nil {
		t.Fatal(err)
	}
	want := `ROOM   STATE                         POSES/S  MODEL   UP
room1  online                        10.0     edge 3  1m0s
room2  offline, last heard 1h0m0s ago  0.0      none    0s
room1  radar stale: nothing comes
room1  bus.store ok: 900 MiB of the disk are free
`
	if got := out.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
