package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
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

// feed sends the room's messages to one browser per connection.
type feed struct {
	nc   *nats.Conn
	room string
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
	data := make(chan *nats.Msg, dataQueue)
	control := make(chan *nats.Msg, controlQueue)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	prefix := "posefuse." + f.room + "."
	sub, err := f.nc.Subscribe(prefix+">", func(m *nats.Msg) {
		what := strings.TrimPrefix(m.Subject, prefix)
		switch {
		case strings.HasPrefix(what, "ctl."), what == "keypoints":
			return // nothing for viewers
		case strings.ContainsAny(what, `"\`) || !json.Valid(m.Data):
			return // somebody else's: it would break the frame
		case what == "pose" || what == "points" || what == "image_keypoints":
			pushOldestOut(data, m)
			return
		}
		select {
		case control <- m:
		default:
			cancel(errSlowViewer)
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closing too
	var buf bytes.Buffer
	for {
		var m *nats.Msg
		select {
		case m = <-control:
		default:
			select {
			case m = <-control:
			case m = <-data:
			case <-ctx.Done():
				if errors.Is(context.Cause(ctx), errSlowViewer) {
					return errSlowViewer
				}
				return nil
			}
		}
		buf.Reset()
		buf.WriteString(`{"s":"`)
		buf.WriteString(strings.TrimPrefix(m.Subject, prefix))
		buf.WriteString(`","m":`)
		buf.Write(m.Data)
		buf.WriteByte('}')
		write, done := context.WithTimeout(ctx, writeTimeout)
		err := conn.Write(write, websocket.MessageText, buf.Bytes())
		done()
		if err != nil {
			return nil // the viewer left or stalled: nothing to report
		}
	}
}

// pushOldestOut puts m into q, dropping the oldest entry if q is full. There
// is one sender, the subscription's goroutine.
func pushOldestOut(q chan *nats.Msg, m *nats.Msg) {
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
