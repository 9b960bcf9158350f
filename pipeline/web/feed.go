package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
)

// A viewer has two queues: poses, points and keypoints drop the oldest when the viewer is
// slow; everything else must arrive, and a viewer that cannot keep up with
// that is cut. No viewer ever holds up the bus.
const (
	dataQueue    = 6
	controlQueue = 256
	writeTimeout = 2 * time.Second
)

// lightView is the value of the query's view for a page that shows no points.
const lightView = "session"

// feed sends the room's messages to browsers, one connection each. What a page
// needs to know when it opens, the newest pose among it, is heard and kept always;
// what else moves is subscribed to once for all of them, while there are any. Each
// frame is made once.
type feed struct {
	nc   *nats.Conn
	room string

	mu      sync.Mutex
	viewers map[*viewer]struct{}
	moving  []*nats.Subscription
	known   memory
	hears   bool
}

// viewer is one browser.
type viewer struct {
	data, control chan []byte // frames
	light         bool        // without points and keypoints
	cancel        context.CancelCauseFunc
}

// ServeHTTP upgrades to a WebSocket and forwards until the viewer leaves.
// Requests from pages of another origin are refused by websocket.Accept.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	if err := f.forward(conn.CloseRead(r.Context()), conn, r.URL.Query().Get("view") == lightView); err != nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "too slow")
	}
}

func (f *feed) forward(ctx context.Context, conn *websocket.Conn, light bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := &viewer{data: make(chan []byte, dataQueue), control: make(chan []byte, controlQueue), light: light, cancel: cancel}
	if err := f.join(v); err != nil {
		return err
	}
	defer f.leave(v)
	for {
		var frame []byte
		select {
		case frame = <-v.control:
		default:
			select {
			case frame = <-v.control:
			case frame = <-v.data:
			case <-ctx.Done():
				if errors.Is(context.Cause(ctx), errSlowViewer) {
					return errSlowViewer
				}
				return nil
			}
		}
		write, done := context.WithTimeout(ctx, writeTimeout)
		err := conn.Write(write, websocket.MessageText, frame)
		done()
		if err != nil {
			return nil // the viewer left or stalled: nothing to report
		}
	}
}

// hear subscribes to what is kept for pages that open later.
func (f *feed) hear() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hears {
		return nil
	}
	for _, what := range []string{poseKind, "status", "sensor.*", "exercise.*", "model.event", "retrain"} {
		if _, err := f.nc.Subscribe("posefuse."+f.room+"."+what, f.deliver); err != nil {
			return err
		}
	}
	f.hears = true
	return nil
}

// join adds a viewer, who gets what is known; the first one subscribes to what
// moves for all.
func (f *feed) join(v *viewer) error {
	if err := f.hear(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.viewers == nil {
		f.viewers = map[*viewer]struct{}{}
	}
	for _, what := range pointKinds {
		if len(f.moving) == len(pointKinds) {
			break
		}
		sub, err := f.nc.Subscribe("posefuse."+f.room+"."+what, f.deliver)
		if err != nil {
			f.rest()
			return err
		}
		f.moving = append(f.moving, sub)
	}
	for frame := range f.known.frames(time.Now()) {
		v.control <- frame // it holds more than is ever known
	}
	f.viewers[v] = struct{}{}
	return nil
}

// leave drops a viewer, and the subscriptions with the last one.
func (f *feed) leave(v *viewer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.viewers, v)
	if len(f.viewers) == 0 {
		f.rest()
	}
}

// rest ends the subscriptions to what moves.
func (f *feed) rest() {
	for _, sub := range f.moving {
		_ = sub.Unsubscribe() // the connection may be closing too
	}
	f.moving = nil
}

// Kinds that move: only the newest of them counts.
const (
	poseKind = "pose"
	liveKind = "exercise.live"
)

// pointKinds move, too; a page that shows no points does not get them.
var pointKinds = []string{"points", "image_keypoints"}

// deliver gives a message to every viewer. It does not wait.
func (f *feed) deliver(m *nats.Msg) {
	what := strings.TrimPrefix(m.Subject, "posefuse."+f.room+".")
	if strings.ContainsAny(what, `"\`) || !json.Valid(m.Data) {
		return // somebody else's: it would break the frame
	}
	forLight := !slices.Contains(pointKinds, what)
	newestOnly := !forLight || what == poseKind || what == liveKind
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case what == poseKind:
		f.known.keepPose(m.Data, time.Now())
	case !newestOnly:
		f.known.keep(what, m.Data, time.Now())
	}
	if len(f.viewers) == 0 {
		return
	}
	frame := frameOf(what, 0, m.Data)
	for v := range f.viewers {
		if newestOnly {
			if forLight || !v.light {
				pushOldestOut(v.data, frame)
			}
			continue
		}
		select {
		case v.control <- frame:
		default:
			v.cancel(errSlowViewer)
		}
	}
}

// pushOldestOut puts m into q, dropping the oldest entry if q is full. There
// is one sender, whoever holds the feed's lock.
func pushOldestOut(q chan []byte, m []byte) {
	for {
		select {
		case q <- m:
			return
		default:
		}
		select {
		case <-q:
		default:
		}
	}
}

var errSlowViewer = errors.New("viewer cannot keep up with control messages")
