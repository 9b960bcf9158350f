package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"posefuse/message"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/sensors"
)

// How a candidate runs beside the serving model.
const (
	shadowTicks    = 200              // it is compared on, unless asked otherwise
	maxShadowTicks = 100_000          // a day and more
	shadowShare    = 0.1              // of the time it may compute
	shadowPatience = 10 * time.Minute // for the next tick with a pose
	// saneMM is how far apart the joints of both may be on average: about twice
	// the error of a model in a room that it does not know.
	saneMM = 150
)

// shadowRun is a candidate that runs on live ticks beside the serving model. Its
// poses are compared and go nowhere.
type shadowRun struct {
	id      registry.ID
	engine  *engine
	against *engine // that served at the start; only compared with what serves
	of      int     // ticks to compare on

	ticks, fails int
	sumMM        [model.NumJoints]float64
}

// shadowRequest is the request of ctl.model.shadow.
type shadowRequest struct {
	modelRequest
	Ticks int `json:"ticks"`
}

// shadowed answers ctl.model.shadow.
func (m *modelControl) shadowed(request []byte) ([]byte, error) {
	r := shadowRequest{Ticks: shadowTicks}
	if err := parseRequest(request, &r); err != nil {
		return nil, err
	}
	id, err := registry.ParseID(r.Name + "/" + r.Version)
	switch {
	case err != nil:
		return nil, err
	case r.Ticks < 1 || r.Ticks > maxShadowTicks:
		return nil, fmt.Errorf("ticks %d: want 1 to %d", r.Ticks, maxShadowTicks)
	case m.registry == nil:
		return nil, errors.New("this daemon keeps no models")
	case m.core.StateProblem() != nil:
		return nil, fmt.Errorf("no model runs beside: %w", m.core.StateProblem())
	case m.shadow.Load() != nil:
		return nil, fmt.Errorf("%s runs in the shadow already: wait for its end", m.shadow.Load().Model.Version)
	}
	if !m.changing.TryLock() {
		return nil, errChanging
	}
	defer m.changing.Unlock()
	now := m.core.ticks.engine.Load()
	if now == nil {
		return nil, errors.New("no model serves that it could be compared with")
	}
	s := &shadowRun{id: id, of: r.Ticks, against: now}
	besideTicks(func() {
		var net *model.Network
		var card model.Card
		if net, card, err = m.registry.Load(id); err != nil {
			return
		}
		if !sameInput(&card, &now.card) {
			err = errors.Join(fmt.Errorf("model %s is given other inputs than %s %s, so both cannot be compared on a tick: recipe, arrangement and numbers of points must be the same", id, now.card.Name, now.card.Version), net.Close())
			return
		}
		s.engine, err = m.core.newLiveEngine(net, card)
	})
	if err != nil {
		return nil, err
	}
	if err = m.registry.Shadowed(id, "runs beside "+now.card.Name+" "+now.card.Version, nil); err != nil {
		return nil, errors.Join(err, s.engine.close())
	}
	m.publishShadow(s)
	select {
	case m.shadows <- s:
	default:
		m.shadow.Store(nil)
		return nil, errors.Join(errors.New("another one is about to run in the shadow"), s.engine.close())
	}
	return json.Marshal(map[string]int{"ticks": s.of})
}

// runShadow compares on live ticks until enough were seen, and tells the
// outcome. The engine is closed at the end.
func (m *modelControl) runShadow(ctx context.Context, s *shadowRun) {
	defer m.shadow.Store(nil)
	against := s.against.card
	why := m.compare(ctx, s)
	card := s.engine.card
	if err := s.engine.close(); err != nil {
		m.core.errors.report(err)
	}
	run := s.outcome(why)
	run.Time = time.Now().UTC().Format(time.RFC3339)
	run.Against = against.Name + "/" + against.Version
	if err := m.registry.Shadowed(s.id, run.Reason, run); err != nil {
		m.core.log.Error("the registry does not have the outcome of the shadow", "error", err)
	}
	m.core.log.Info("shadow ended", "model", s.id.String(), "sane", run.Sane, "reason", run.Reason)
	kind := "shadow"
	if !run.Sane {
		kind = "rejected"
	}
	metrics := map[string]float64{"shadow.mean": roundTo(run.MeanMM, 1e2)}
	for j, v := range run.JointsMM {
		metrics[fmt.Sprintf("shadow.joint%d", j)] = roundTo(v, 1e2)
	}
	m.tell(kind, named(&card), run.Reason, metrics)
}

// compare runs the candidate on ticks; it returns why it ended early.
func (m *modelControl) compare(ctx context.Context, s *shadowRun) (why string) {
	t := newTickInput(&s.engine.card)
	for s.ticks+s.fails < s.of {
		m.core.ticks.shadowTap.ask(t)
		select {
		case <-ctx.Done():
			return "the daemon was stopped"
		case <-time.After(shadowPatience):
			return fmt.Sprintf("nobody was seen for %v", shadowPatience)
		case <-t.done:
		}
		if m.core.ticks.engine.Load() != s.against {
			return "the serving model was changed"
		}
		begin := time.Now()
		s.take(t)
		took := time.Since(begin)
		m.publishShadow(s)
		select {
		case <-ctx.Done():
			return "the daemon was stopped"
		case <-time.After(time.Duration(float64(took) * (1/shadowShare - 1))):
		}
	}
	return ""
}

// take compares both on one tick.
func (s *shadowRun) take(t *tickInput) {
	e := s.engine
	t.in.Present &= e.mask
	if err := e.inf.Infer(&t.in, &e.out); err != nil || !sensors.Finite(e.out.Pose[:]...) {
		s.fails++
		return
	}
	s.ticks++
	for j := range s.sumMM {
		var square float64
		for k := range 3 {
			d := float64(e.out.Pose[3*j+k]) - float64(t.pose[3*j+k])
			square += d * d
		}
		s.sumMM[j] += 1000 * math.Sqrt(square)
	}
}

// joints returns the mean distance of each joint and of all.
func (s *shadowRun) joints() (each []float64, mean float64) {
	for _, sum := range s.sumMM {
		v := sum / float64(max(s.ticks, 1))
		each = append(each, v)
		mean += v / model.NumJoints
	}
	return each, mean
}

// outcome judges the run; why says why it ended early.
func (s *shadowRun) outcome(why string) *registry.ShadowRun {
	r := &registry.ShadowRun{Ticks: s.ticks, Errors: s.fails}
	r.JointsMM, r.MeanMM = s.joints()
	switch {
	case s.fails > 0:
		r.Reason = fmt.Sprintf("%d of %d ticks gave no pose", s.fails, s.fails+s.ticks)
	case s.ticks > 0 && r.MeanMM > saneMM:
		r.Reason = fmt.Sprintf("its joints are %.0f mm from those of the serving model on average over %d ticks, more than %d", r.MeanMM, s.ticks, saneMM)
	case why != "":
		r.Sane, r.Reason = true, fmt.Sprintf("ended after %d of %d ticks: %s", s.ticks, s.of, why)
		r.Partial = true
	default:
		r.Sane, r.Reason = true, fmt.Sprintf("its joints are %.0f mm from those of the serving model on average over %d ticks", r.MeanMM, s.ticks)
	}
	return r
}

// publishShadow gives the status what is known so far.
func (m *modelControl) publishShadow(s *shadowRun) {
	each, mean := s.joints()
	for j := range each {
		each[j] = roundTo(each[j], 1e1)
	}
	m.shadow.Store(&message.ShadowStatus{Model: named(&s.engine.card),
		Ticks: s.ticks, OfTicks: s.of, Errors: s.fails, MeanMM: roundTo(mean, 1e1), JointsMM: each})
}
