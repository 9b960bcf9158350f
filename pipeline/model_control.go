package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"posefuse/message"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/pipeline/bus"
	"posefuse/sensors"
)

// How long a change of the model waits for the ticks.
const (
	warmWait  = 500 * time.Millisecond // for a tick with a pose to warm up with
	adoptWait = 5 * time.Second        // for the tick after which the model runs
)

// maxControlRequest bounds a request about models, bytes.
const maxControlRequest = 4096

// modelControl changes the model of a running daemon, one change at a time: on
// request, and back when a model that was swapped in fails.
type modelControl struct {
	core     *Core
	registry *registry.Registry // nil: the daemon was not given one
	shipped  func() (*model.Network, model.Card, error)
	bus      *bus.Bus
	changing sync.Mutex
	ended    chan *trial                          // decided; capacity 1 suffices, as the loop has one at a time
	note     atomic.Pointer[string]               // of a roll-back that nobody asked for; nil: none since the last request
	changed  atomic.Bool                          // by request since the start
	shadows  chan *shadowRun                      // to run; capacity 1
	shadow   atomic.Pointer[message.ShadowStatus] // of the one that runs, nil if none does
}

func (c *Core) newModelControl(b *bus.Bus) *modelControl {
	m := &modelControl{core: c, registry: c.opt.Registry, shipped: c.opt.Shipped, bus: b, ended: make(chan *trial, 8), shadows: make(chan *shadowRun, 1)}
	c.models.Store(m)
	return m
}

// endpoints are the requests it answers.
func (m *modelControl) endpoints() error {
	return errors.Join(
		m.bus.HandleControl("model.list", m.list),
		m.bus.HandleControl("model.swap", m.swap),
		m.bus.HandleControl("model.rollback", m.rollback),
		m.bus.HandleControl("model.shadow", m.shadowed),
		m.bus.HandleControl("retrain.report", m.retraining))
}

// run follows the trials, and candidates in the shadow, until ctx ends.
func (m *modelControl) run(ctx context.Context) error {
	var shadows sync.WaitGroup
	defer shadows.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-m.shadows:
			shadows.Go(func() { m.runShadow(ctx, s) })
		case t := <-m.ended:
			m.decided(t)
		}
	}
}

// decided tells how a trial ended, and notes a failure in the registry.
func (m *modelControl) decided(t *trial) {
	card := &t.engine.card
	if t.reason == "" {
		m.core.log.Info("model holds", "model", card.Name, "version", card.Version, "ticks", t.ticks)
		return
	}
	m.core.log.Error("model failed after it was swapped in", "model", card.Name, "version", card.Version, "reason", t.reason, "rolled_back", t.fellBack)
	if !t.fellBack {
		return
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	now := t.fallback.card
	why := "failed after it was swapped in: " + t.reason
	text := fmt.Sprintf("%s %s serves again: %s %s %s", now.Name, now.Version, card.Name, card.Version, why)
	m.note.Store(&text)
	if _, err := m.registry.Rollback(why, registry.Rejected, nil); err != nil {
		m.core.log.Error("the registry still has the failed model as promoted", "error", err)
	}
	m.tell("rolled_back", named(&now), text, nil)
}

// modelRequest is the request of ctl.model.swap.
type modelRequest struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// swap answers ctl.model.swap.
func (m *modelControl) swap(request []byte) ([]byte, error) {
	var r modelRequest
	if err := parseRequest(request, &r); err != nil {
		return nil, err
	}
	return m.change(func(install func(*model.Network, model.Card) error) (string, string, error) {
		id, err := registry.ParseID(r.Name + "/" + r.Version)
		if err != nil {
			return "", "", err
		}
		_, err = m.registry.Promote(id, "promoted by a request to the daemon", install)
		return "promoted", "asked for over NATS", err
	})
}

// rollback answers ctl.model.rollback.
func (m *modelControl) rollback(request []byte) ([]byte, error) {
	if err := parseRequest(request, &struct{}{}); err != nil {
		return nil, err
	}
	return m.change(func(install func(*model.Network, model.Card) error) (string, string, error) {
		_, err := m.registry.Rollback("rolled back by a request to the daemon", registry.Retired, func(net *model.Network, card model.Card) (err error) {
			if net == nil {
				if net, card, err = m.shipped(); err != nil {
					return err
				}
			}
			return install(net, card)
		})
		return "rolled_back", "asked for over NATS", err
	})
}

// parseRequest reads a request; an empty one leaves v as it is.
func parseRequest(request []byte, v any) error {
	if len(bytes.TrimSpace(request)) == 0 {
		return nil
	}
	if len(request) > maxControlRequest {
		return fmt.Errorf("a request of %d bytes, at most %d are read", len(request), maxControlRequest)
	}
	d := json.NewDecoder(bytes.NewReader(request))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf(`request: %w; want e.g. {"name":"edge","version":"1"}`, err)
	}
	return nil
}

var errChanging = errors.New("another change of the model is under way: ask again when it is done")

// modelReply is the reply to a request that changed the model.
type modelReply struct {
	Model  message.PoseModel  `json:"model"`            // that runs now
	Before *message.PoseModel `json:"before,omitempty"` // that ran
}

// change makes a change of the registry that a model follows: in makes it, and
// calls install with the model while the registry is as before; an error of that
// changes nothing. Only when the registry is written the model goes to the ticks.
func (m *modelControl) change(in func(install func(*model.Network, model.Card) error) (event, why string, err error)) ([]byte, error) {
	switch {
	case m.registry == nil:
		return nil, errors.New("this daemon keeps no models")
	case m.core.StateProblem() != nil:
		return nil, fmt.Errorf("the model stays: %w", m.core.StateProblem())
	case m.core.cfg.Model.Path != "":
		return nil, fmt.Errorf("model.path is %s, so the registry does not choose the model: take the key out and start the daemon again", m.core.cfg.Model.Path)
	case !m.changing.TryLock():
		return nil, errChanging
	}
	defer m.changing.Unlock()
	var e *engine
	var event, why string
	var err error
	besideTicks(func() {
		event, why, err = in(func(net *model.Network, card model.Card) (err error) {
			if now := m.core.ticks.engine.Load(); now != nil && now.card.Name == card.Name && now.card.Version == card.Version && now.card.SHA256 == card.SHA256 {
				return errors.Join(fmt.Errorf("model %s %s runs already", card.Name, card.Version), net.Close())
			}
			e, err = m.core.newLiveEngine(net, card)
			return err
		})
	})
	if err != nil {
		if e != nil {
			err = errors.Join(err, e.close())
		}
		return nil, err
	}
	reply := modelReply{Model: named(&e.card)}
	if before := m.core.ticks.engine.Load(); before != nil {
		name := named(&before.card)
		reply.Before = &name
	}
	t := newTrial(func(t *trial) {
		select {
		case m.ended <- t:
		default: // the daemon ends
		}
	})
	m.note.Store(nil)
	m.changed.Store(true)
	card := e.card
	m.core.ticks.install(e, t)
	select {
	case <-t.adopted:
	case <-time.After(adoptWait):
		m.core.log.Warn("no tick took the new model so far", "model", card.Name, "version", card.Version, "waited", adoptWait)
	}
	m.core.log.Info("model was changed", "model", card.Name, "version", card.Version, "event", event, "precision", e.chosen)
	m.tell(event, named(&card), why, nil)
	return json.Marshal(reply)
}

// newLiveEngine makes a network ready to run in the ticks: built, tried, and warm
// from what the model before was given last, so that its first tick takes no
// longer than the others. The network is closed or the engine's.
func (c *Core) newLiveEngine(net *model.Network, card model.Card) (*engine, error) {
	inf, err := NewInfererIn(net, card, c.cfg.Model.Precision)
	if err = errors.Join(err, net.Close()); err != nil {
		return nil, err
	}
	if err = c.fits(card); err != nil {
		return nil, errors.Join(err, closeInferer(inf))
	}
	var e *engine
	elsewhere(func() {
		if e, err = newEngine(inf, c.cfg.Model.Contribution); err != nil {
			err = errors.Join(err, closeInferer(inf))
			return
		}
		if err = c.warm(e); err != nil {
			err = errors.Join(fmt.Errorf("model %s %s: %w", card.Name, card.Version, err), e.close())
		}
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// warm runs the engine once on the newest tick's input, if there is one soon.
func (c *Core) warm(e *engine) error {
	now := c.ticks.engine.Load()
	if now == nil || !sameInput(&now.card, &e.card) {
		return nil
	}
	t := newTickInput(&e.card)
	c.ticks.warmTap.ask(t)
	select {
	case <-t.done:
	case <-time.After(warmWait):
		if c.ticks.warmTap.withdraw(t) {
			return nil // nobody is there
		}
		<-t.done
	}
	if err := e.inf.Infer(&t.in, &e.out); err != nil {
		return err
	}
	if !sensors.Finite(e.out.Pose[:]...) {
		return errors.New("gives a pose that is not finite for what the sensors show now")
	}
	return nil
}

// named is how messages name the model of a card.
func named(c *model.Card) message.PoseModel {
	return message.PoseModel{Name: c.Name, Version: c.Version, SHA256: c.SHA256}
}

// tell publishes a model.event.
func (m *modelControl) tell(kind string, of message.PoseModel, why string, metricsMM map[string]float64) {
	if metricsMM == nil {
		metricsMM = map[string]float64{}
	}
	e := message.ModelEvent{Schema: message.ModelEventSchema, Room: m.core.cfg.Room, Type: kind,
		Time: m.core.clock.WallAt(m.core.clock.NowNS()).UTC().Format(time.RFC3339Nano), Reason: why, MetricsMM: metricsMM,
		Model: of}
	if err := m.bus.PublishModelEvent(&e); err != nil {
		m.core.errors.report(err)
	}
}
