package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"posefuse/message"
	"posefuse/model/registry"
)

// How long a daemon is waited for.
const (
	changeWait = time.Minute // to build a model and change over
	shadowWait = time.Hour   // for the end of a candidate's run in the shadow
)

// daemonLink is a connection to a running daemon.
type daemonLink struct {
	nc   *nats.Conn
	room string
}

// connect connects to the daemon that the flags name.
func (f liveFlags) connect() (*daemonLink, error) {
	nc, err := nats.Connect(f.NATS)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w; is the daemon running? (posefuse run)", f.NATS, err)
	}
	return &daemonLink{nc, f.Room}, nil
}

// subject is that of a request.
func (d *daemonLink) subject(what string) string { return "posefuse." + d.room + ".ctl." + what }

// ask sends a request to the daemon and returns its reply, or what it refuses.
func (d *daemonLink) ask(ctx context.Context, what string, request any) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	m, err := d.nc.RequestWithContext(ctx, d.subject(what), body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("nobody answers %s: is the daemon of room %s running there, and may this login call ctl.*?", d.subject(what), d.room)
	case err != nil:
		return nil, fmt.Errorf("ask the daemon (%s): %w", d.subject(what), err)
	}
	if refused := m.Header.Get(micro.ErrorHeader); refused != "" {
		return nil, fmt.Errorf("the daemon refuses: %s", refused)
	}
	return m.Data, nil
}

// report tells the daemon how a retraining goes, without waiting for its answer.
func (d *daemonLink) report(r *message.Retrain) {
	body, err := json.Marshal(r)
	if err == nil {
		_ = d.nc.PublishRequest(d.subject("retrain.report"), nats.NewInbox(), body) // a daemon that is away hears the next one
	}
}

// shadow runs a version in the shadow of the serving one and returns the event
// that tells the outcome: "shadow" if it is sane, "rejected" if not.
func (d *daemonLink) shadow(ctx context.Context, id registry.ID, ticks int) (*message.ModelEvent, error) {
	sub, err := d.nc.SubscribeSync("posefuse." + d.room + ".model.event")
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection ends soon
	if err = d.nc.Flush(); err != nil {
		return nil, fmt.Errorf("shadow: %w", err)
	}
	if _, err = d.ask(ctx, "model.shadow", map[string]any{"name": id.Name, "version": id.Version, "ticks": ticks}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, shadowWait)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("wait for the end of the shadow: %w", err)
		}
		var e message.ModelEvent
		if err = json.Unmarshal(m.Data, &e); err != nil {
			return nil, fmt.Errorf("model.event: %w", err)
		}
		if e.Model.Name == id.Name && e.Model.Version == id.Version && (e.Type == "shadow" || e.Type == "rejected") {
			return &e, nil
		}
	}
}
