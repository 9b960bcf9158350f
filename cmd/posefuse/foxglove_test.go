package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/pipeline/foxglove"
)

// TestFoxgloveShowsTheRoom: the figure and the points come in Foxglove's own schemas,
// as in recorded sessions.
func TestFoxgloveShowsTheRoom(t *testing.T) {
	bus, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go bus.Start()
	if !bus.ReadyForConnections(testenv.Patience) {
		t.Fatal("broker not ready")
	}
	defer func() { bus.Shutdown(); bus.WaitForShutdown() }()
	nc, err := nats.Connect(bus.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	handler, err := showFoxglove(nc, "room1", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{Subprotocols: []string{foxglove.Subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20)
	read := func() []byte {
		t.Helper()
		_, b, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	read() // who it is
	var adv struct {
		Channels []struct {
			Topic, Schema string
		}
	}
	if err := json.Unmarshal(read(), &adv); err != nil || len(adv.Channels) != 4 {
		t.Fatalf("%v, %+v", err, adv)
	}
	for _, c := range adv.Channels {
		if !json.Valid([]byte(c.Schema)) || !strings.Contains(c.Schema, `"type": "object"`) {
			t.Errorf("schema of %s: %s", c.Topic, c.Schema)
		}
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"op":"subscribe","subscriptions":[{"id":1,"channelId":2},{"id":2,"channelId":3}]}`)); err != nil {
		t.Fatal(err)
	}
	joints := [17][3]float64{10: {0.5, 3, 1.75}}
	at := time.Date(2026, 11, 30, 10, 0, 0, 250_000_000, time.UTC)
	say := func(what string, v any) {
		t.Helper()
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Publish("posefuse.room1."+what, text); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Wait(t, "the server listens", func() bool { return nc.NumSubscriptions() == 2 })
	say("pose", message.Pose{Schema: message.PoseSchema, Room: "room1", CaptureTime: at.Format(time.RFC3339Nano), CaptureNS: 1e9, Frame: "room", JointsM: &joints})
	var scene struct {
		Entities []struct {
			Timestamp struct{ Sec, Nsec int64 }
			FrameID   string `json:"frame_id"`
			Spheres   []struct {
				Pose struct{ Position struct{ X, Y, Z float64 } }
			}
			Lines []struct{ Points []struct{ X, Y, Z float64 } }
		}
	}
	b := read()
	if err := json.Unmarshal(b[13:], &scene); err != nil || b[1] != 1 {
		t.Fatalf("%v: %s", err, b)
	}
	e := scene.Entities[0]
	if e.FrameID != "room" || e.Timestamp.Sec != at.Unix() || e.Timestamp.Nsec != 250_000_000 || len(e.Spheres) != 17 || e.Spheres[10].Pose.Position.Z != 1.75 || len(e.Lines[0].Points) != 32 {
		t.Errorf("%+v", e)
	}
	say("points", message.Points{Schema: message.PointsSchema, Room: "room1", CaptureNS: 2e9, Frame: "room", LiDAR: [][3]float32{{1, 2, 3}, {4, 5, 6.5}}, Radar: [][4]float32{}})
	var cloud struct {
		Timestamp   struct{ Sec, Nsec int64 }
		FrameID     string `json:"frame_id"`
		PointStride int    `json:"point_stride"`
		Fields      []struct {
			Name         string
			Offset, Type int
		}
		Data []byte
	}
	b = read()
	if err := json.Unmarshal(b[13:], &cloud); err != nil || b[1] != 2 {
		t.Fatalf("%v: %s", err, b)
	}
	if cloud.FrameID != "room" || cloud.Timestamp.Sec != at.Unix()+1 || cloud.PointStride != 12 || len(cloud.Fields) != 3 || len(cloud.Data) != 24 || cloud.Fields[2].Offset != 8 || string(cloud.Data[20:]) != "\x00\x00\xd0\x40" {
		t.Errorf("%+v", cloud)
	}
}
