package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
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

// feed sends the room's messages to browsers, one connection each. It subscribes
// once for all of them, while there are any, and makes each frame once.
type feed struct {
	nc   *nats.Conn
	room string

	mu      sync.Mutex
	viewers map[*viewer]struct{}
	sub     *nats.Subscription
}

// viewer is one browser.
type viewer struct {
	data, control chan []byte // frames
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
	if err := f.forward(conn.CloseRead(r.Context()), conn); err != nil {
		_ = conn.Close(websocket.StatusPolicyViolation, "too slow")
	}
}

func (f *feed) forward(ctx context.Context, conn *websocket.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := &viewer{data: make(chan []byte, dataQueue), control: make(chan []byte, controlQueue), cancel: cancel}
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

// join adds a viewer; the first one subscribes for all.
func (f *feed) join(v *viewer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.viewers == nil {
		f.viewers = map[*viewer]struct{}{}
	}
	f.viewers[v] = struct{}{}
	if f.sub != nil {
		return nil
	}
	sub, err := f.nc.Subscribe("posefuse."+f.room+".>", f.deliver)
	if err != nil {
		delete(f.viewers, v)
		return err
	}
	f.sub = sub
	return nil
}

// leave drops a viewer, and the subscription with the last one.
func (f *feed) leave(v *viewer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.viewers, v)
	if len(f.viewers) == 0 && f.sub != nil {
		_ = f.sub.Unsubscribe() // the connection may be closing too
		f.sub = nil
	}
}

// deliver gives a message to every viewer. It is called from one goroutine at a
// time and does not wait.
func (f *feed) deliver(m *nats.Msg) {
	what := strings.TrimPrefix(m.Subject, "posefuse."+f.room+".")
	switch {
	case strings.HasPrefix(what, "ctl."), what == "keypoints":
		return // nothing for viewers
	case strings.ContainsAny(what, `"\`) || !json.Valid(m.Data):
		return // somebody else's: it would break the frame
	}
	frame := make([]byte, 0, len(m.Data)+len(what)+16)
	frame = append(append(append(frame, `{"s":"`...), what...), `","m":`...)
	frame = append(append(frame, m.Data...), '}')
	newestOnly := what == "pose" || what == "points" || what == "image_keypoints"
	f.mu.Lock()
	defer f.mu.Unlock()
	for v := range f.viewers {
		if newestOnly {
			pushOldestOut(v.data, frame)
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
