package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
)

// maxOrder is the longest request of the page to the daemon, bytes.
const maxOrder = 16 << 10

// Limits of what the daemon may take to answer.
const (
	listLimit = 2 * time.Second
	askLimit  = 30 * time.Second
)

// Errors that Options.Ask returns.
var (
	// ErrLogin asks for a user who may do it.
	ErrLogin = errors.New("give the name and password of a user with the role control")
	// ErrRole refuses a user who may not.
	ErrRole = errors.New("this user may not do that; it takes the role control")
)

// errorHeader is where a NATS micro service puts its error.
const errorHeader = "Nats-Service-Error"

// requests are what the page may ask of the daemon under /api/ctl/, for users who may
// control.
var requests = map[string]bool{"exercise": true, "history.begin": true, "history.end": true, "history.get": true, "history.delete": true, "record.start": true, "record.stop": true, "record.status": true, "sessions.list": true, "sessions.poses": true,
	"model.swap": true, "model.shadow": true, "model.rollback": true, "retrain.start": true, "retrain.status": true, "retrain.cancel": true, "person.calibrate": true}

// controls lets the page see and choose what the daemon does.
type controls struct {
	nc   *nats.Conn
	room string
	ask  func(ctx context.Context, user, password, name string, request []byte) ([]byte, error)
}

// me says who asks and what the page may do.
func (c *controls) me(w http.ResponseWriter, r *http.Request) {
	v, in := visitorOf(r)
	_, guarded := r.Context().Value(guarded{}).(bool)
	body, err := json.Marshal(struct {
		User    string `json:"user"`
		Control bool   `json:"control"`
		Login   bool   `json:"login"` // signing in helps
	}{v.Name, c.ask != nil && (v.Control || !guarded), guarded && !in})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, body)
}

// list answers with what the daemon lists under a name, for all who see the page.
func (c *controls) list(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.ask == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), listLimit)
		defer cancel()
		reply, err := c.request(ctx, name, nil)
		if err != nil {
			w.WriteHeader(http.StatusNoContent) // the daemon has no such list: nobody counts inside it, say
			return
		}
		answer(w, reply)
	}
}

// order passes a request of the page to the daemon, for users who may.
func (c *controls) order(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name == "" {
		name = "exercise"
	}
	if !requests[name] {
		http.Error(w, "the page cannot ask for that", http.StatusNotFound)
		return
	}
	order, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var reply []byte
	if v, in := visitorOf(r); !in {
		user, password, _ := r.BasicAuth()
		reply, err = c.ask(r.Context(), user, password, name, order)
	} else if err = ErrRole; v.Control {
		reply, err = c.request(r.Context(), name, order)
	}
	switch {
	case errors.Is(err, ErrLogin):
		if r.Header.Get("Sec-Fetch-Mode") == "" { // browsers get the page's own login
			w.Header().Set("WWW-Authenticate", `Basic realm="posefuse control", charset="UTF-8"`)
		}
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrRole):
		http.Error(w, err.Error(), http.StatusForbidden)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		answer(w, reply)
	}
}

// request asks in the daemon's name.
func (c *controls) request(ctx context.Context, name string, order []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	reply, err := c.nc.RequestWithContext(ctx, "posefuse."+c.room+".ctl."+name, order)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errors.New("the daemon does not offer that; see its configuration")
	case err != nil:
		return nil, err
	}
	if text := reply.Header.Get(errorHeader); text != "" {
		return nil, errors.New(text)
	}
	return reply.Data, nil
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // a viewer that left is no error
}
