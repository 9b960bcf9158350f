// Package foxglove lets Foxglove and other programs that speak its WebSocket protocol
// see a room live: poses, the figure and the points, with the schemas of recorded
// sessions. The protocol is foxglove.websocket.v1
// (github.com/foxglove/ws-protocol, docs/spec.md). Clients can change nothing.
package foxglove

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
)

// Subprotocol is the protocol's name in the handshake.
const Subprotocol = "foxglove.websocket.v1"

// Bounds of what clients can cause.
const (
	maxClients   = 16
	maxRequest   = 16 << 10 // bytes of a client's message
	maxNotes     = 8        // that wait for a client; those beyond are dropped
	writeTimeout = 2 * time.Second
)

// Channels that are offered; a channel's number in the protocol is one more.
const (
	chanPose = iota
	chanSkeleton
	chanLiDAR
	chanRadar
	numChannels
)

// channels name topic and schema, as recorded sessions do.
var channels = [numChannels]struct{ topic, schema string }{
	chanPose:     {"/pose", "posefuse.pose.v1"},
	chanSkeleton: {"/skeleton", "foxglove.SceneUpdate"},
	chanLiDAR:    {"/lidar/points", "foxglove.PointCloud"},
	chanRadar:    {"/radar/points", "foxglove.PointCloud"},
}

// Options are what the server is made of beside a bus.
type Options struct {
	// Origins are those of web pages that may connect, such as
	// https://app.foxglove.dev; programs without an origin always may.
	Origins []string
	// Schema returns the JSON Schema of that name.
	Schema func(name string) ([]byte, error)
	// Scene appends a pose as foxglove.SceneUpdate: joints in metres, in a frame, at a
	// Unix time, ns.
	Scene func(b []byte, joints *[17][3]float64, frame string, unixNS int64) []byte
	// Cloud appends points as foxglove.PointCloud; fields name the values of a point.
	Cloud func(b []byte, frame string, unixNS int64, values []float32, fields ...string) []byte
}

// server gives a room's messages to its clients. It listens to the bus only while
// somebody wants something.
type server struct {
	nc        *nats.Conn
	room      string
	opt       Options
	advertise []byte
	info      []byte

	mu       sync.Mutex
	clients  map[*client]struct{}
	wanted   [numChannels]int // subscriptions
	subs     []*nats.Subscription
	anchorNS int64     // Unix time of room time zero, ns; 0: not known yet
	text     []byte    // memory of the newest message
	values   []float32 // memory of the newest points
}

// Handler serves the protocol. nc is a connection to the bus, room the room that is
// shown.
func Handler(nc *nats.Conn, room string, opt Options) (http.Handler, error) {
	s := &server{nc: nc, room: room, opt: opt, clients: map[*client]struct{}{}}
	type channel struct {
		ID             int    `json:"id"`
		Topic          string `json:"topic"`
		Encoding       string `json:"encoding"`
		SchemaName     string `json:"schemaName"`
		Schema         string `json:"schema"`
		SchemaEncoding string `json:"schemaEncoding"`
	}
	list := make([]channel, 0, numChannels)
	for i, c := range channels {
		text, err := opt.Schema(c.schema)
		if err != nil {
			return nil, fmt.Errorf("foxglove: %w", err)
		}
		list = append(list, channel{i + 1, c.topic, "json", c.schema, string(text), "jsonschema"})
	}
	var err error
	if s.advertise, err = json.Marshal(map[string]any{"op": "advertise", "channels": list}); err != nil {
		return nil, fmt.Errorf("foxglove: %w", err)
	}
	s.info, err = json.Marshal(map[string]any{"op": "serverInfo", "name": "posefuse " + room, "capabilities": []string{}, "metadata": map[string]string{"room": room}})
	if err != nil {
		return nil, fmt.Errorf("foxglove: %w", err)
	}
	return s, nil
}

// ServeHTTP speaks with one client until it leaves.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &client{wake: make(chan struct{}, 1)}
	if !s.enter(c) {
		http.Error(w, fmt.Sprintf("%d programs are connected already, and no more may", maxClients), http.StatusServiceUnavailable)
		return
	}
	defer s.leave(c)
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{Subprotocol}, OriginPatterns: s.opt.Origins})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	if conn.Subprotocol() != Subprotocol {
		_ = conn.Close(websocket.StatusPolicyViolation, "this port speaks "+Subprotocol)
		return
	}
	conn.SetReadLimit(maxRequest)
	ctx, cancel := context.WithCancel(r.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() { _ = conn.CloseNow() }() // ends the reader
	defer cancel()
	reading.Go(func() {
		defer cancel()
		s.read(ctx, conn, c)
	})
	for _, text := range [][]byte{s.info, s.advertise} {
		if write(ctx, conn, websocket.MessageText, text) != nil {
			return
		}
	}
	s.write(ctx, conn, c)
}

func write(ctx context.Context, conn *websocket.Conn, kind websocket.MessageType, b []byte) error {
	ctx, done := context.WithTimeout(ctx, writeTimeout)
	defer done()
	return conn.Write(ctx, kind, b)
}

// enter lets a client in if there is room.
func (s *server) enter(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) >= maxClients {
		return false
	}
	s.clients[c] = struct{}{}
	return true
}

// leave ends what a client wanted.
func (s *server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	for i := range c.subs {
		if c.subs[i].on {
			s.wanted[i]--
		}
	}
	s.listen()
}

// listen subscribes to the bus while somebody wants something. The caller holds the
// lock.
func (s *server) listen() {
	some := false
	for _, n := range s.wanted {
		some = some || n > 0
	}
	if some == (s.subs != nil) {
		return
	}
	if !some {
		for _, sub := range s.subs {
			_ = sub.Unsubscribe() // the connection may be closing too
		}
		s.subs = nil
		return
	}
	for what, take := range map[string]nats.MsgHandler{"pose": s.pose, "points": s.points} {
		if sub, err := s.nc.Subscribe("posefuse."+s.room+"."+what, take); err == nil { // a closed one: the daemon ends
			s.subs = append(s.subs, sub)
		}
	}
}
