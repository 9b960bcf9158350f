package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// maxOrder is the longest order to look for other exercises, bytes.
const maxOrder = 16 << 10

// listLimit is how long the list of exercises may take.
const listLimit = 2 * time.Second

// Errors that Options.Choose returns.
var (
	// ErrLogin asks for a user who may choose.
	ErrLogin = errors.New("give the name and password of a user with the role control")
	// ErrRole refuses a user who may not.
	ErrRole = errors.New("this user may not choose the exercise; it takes the role control")
)

// exercises lets the page see and choose what the daemon looks for.
type exercises struct {
	nc     *nats.Conn
	room   string
	choose func(ctx context.Context, user, password string, order []byte) ([]byte, error)
}

// me says what the page may do.
func (e *exercises) me(w http.ResponseWriter, _ *http.Request) {
	answer(w, []byte(`{"user":"","control":`+strconv.FormatBool(e.choose != nil)+`}`))
}

func (e *exercises) list(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), listLimit)
	defer cancel()
	if e.choose == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	reply, err := e.nc.RequestWithContext(ctx, "posefuse."+e.room+".ctl.exercise.list", nil)
	if err != nil {
		w.WriteHeader(http.StatusNoContent) // nobody counts inside the daemon
		return
	}
	answer(w, reply.Data)
}

func (e *exercises) order(w http.ResponseWriter, r *http.Request) {
	order, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	user, password, _ := r.BasicAuth()
	reply, err := e.choose(r.Context(), user, password, order)
	switch {
	case errors.Is(err, ErrLogin):
		w.Header().Set("WWW-Authenticate", `Basic realm="posefuse control", charset="UTF-8"`)
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrRole):
		http.Error(w, err.Error(), http.StatusForbidden)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		answer(w, reply)
	}
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // a viewer that left is no error
}
