package exercise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"time"

	"posefuse/message"
)

// Order is a request of who leads the session: what to look for from now on.
type Order struct {
	// Exercises by activity or name; empty: recognise them all.
	Exercises []string `json:"exercises"`
	// Targets by activity or name, over those of the configuration.
	Targets map[string]Goal `json:"targets,omitempty"`
}

// Take makes the subscriber look for something else: the running set ends, and
// the person stays known. The reply lists what is looked for, by activity; the
// error says what is wrong with the order, and nothing changes then.
func (s *Subscriber) Take(request []byte) (reply []byte, err error) {
	var o Order
	dec := json.NewDecoder(bytes.NewReader(request))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&o); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf(`exercise order: %w; send {"exercises":["squat"],"targets":{"squat":{"range":80,"repetitions":10}}}`, err)
	}
	s.ordering.Lock()
	defer s.ordering.Unlock()
	t, err := s.follow(&s.settings.Load().cfg, &o)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Exercises []string `json:"exercises"`
	}{}
	answer.Exercises = t.choice().exercises
	if reply, err = json.Marshal(answer); err != nil {
		return nil, fmt.Errorf("exercise order: %w", err)
	}
	select {
	case s.orders <- t:
		s.ordered = &o
		s.choose(t)
		return reply, nil
	default:
		return nil, errors.New("exercise order: the one before is not taken yet, send it again")
	}
}

// follow returns a tracker of some settings that does what an order says.
func (s *Subscriber) follow(settings *Config, o *Order) (*Tracker, error) {
	cfg := *settings
	cfg.Exercises = o.Exercises
	cfg.Goals = maps.Clone(settings.Goals)
	for name, g := range o.Targets {
		d, err := Find(cfg.Definitions, name)
		if err != nil {
			return nil, fmt.Errorf("exercise order: targets: %w", err)
		}
		for old := range cfg.Goals {
			if same, lookErr := Find(cfg.Definitions, old); lookErr == nil && same == d {
				delete(cfg.Goals, old)
			}
		}
		if cfg.Goals == nil {
			cfg.Goals = map[string]Goal{}
		}
		cfg.Goals[d.Activity] = g
	}
	t, err := NewTracker(cfg, s)
	if err != nil {
		return nil, fmt.Errorf("exercise order: %w", err)
	}
	return t, nil
}

// choose tells what a tracker that will be obeyed looks for.
func (s *Subscriber) choose(t *Tracker) {
	s.chosen.Store(t.choice())
	if s.owner.counts() {
		s.put(s.statusResult(message.Online, time.Now()))
	}
}

// Prepare makes ready for other settings of the tracker and changes nothing; apply
// then goes on with them: the running set ends, and the person stays known. What
// was ordered holds on unless the settings say something else to look for or to
// reach, or do not know it. Settings that are those at work need nothing: apply is
// nil. The room stays.
func (s *Subscriber) Prepare(next Config) (apply func(), err error) {
	next.Room = s.cfg.Tracker.Room
	fresh, err := NewTracker(next, s)
	if err != nil {
		return nil, err
	}
	old := &s.settings.Load().cfg
	a, b := fresh.cfg, *old
	a.Exercises, a.Goals, b.Exercises, b.Goals = nil, nil, nil, nil // empty ones are none
	sameWishes := slices.Equal(old.Exercises, next.Exercises) && maps.Equal(old.Goals, next.Goals)
	if sameWishes && reflect.DeepEqual(a, b) {
		return nil, nil
	}
	return func() {
		s.ordering.Lock()
		defer s.ordering.Unlock()
		t := fresh
		if s.ordered != nil && sameWishes {
			if ordered, orderErr := s.follow(&fresh.cfg, s.ordered); orderErr == nil {
				t = ordered
			}
		}
		if t == fresh {
			s.ordered = nil
		}
		s.settings.Store(fresh)
		select {
		case <-s.orders: // it is in s.ordered
		default:
		}
		s.orders <- t // nobody else sends
		s.choose(t)
	}, nil
}

// Listed is an exercise that may be looked for.
type Listed struct {
	Exercise string `json:"exercise"` // activity
	Name     string `json:"name"`     // in the language of the sentences
	Chosen   bool   `json:"chosen"`
	// Goal is what the person is to reach, its range in ValueUnit; zero values are
	// the exercise's own.
	Goal      Goal   `json:"goal"`
	ValueUnit string `json:"value_unit"`
}

// choice is what is looked for.
type choice struct {
	exercises []string // activities
	goals     map[string]Goal
}

// List answers what may be looked for and what is.
func (s *Subscriber) List([]byte) ([]byte, error) {
	chosen := s.chosen.Load()
	var list struct {
		Exercises []Listed `json:"exercises"`
	}
	settings := s.settings.Load()
	for _, d := range settings.cfg.Definitions {
		list.Exercises = append(list.Exercises, Listed{Exercise: d.Activity, Name: settings.phrases.name(d),
			Chosen: slices.Contains(chosen.exercises, d.Activity), Goal: chosen.goals[d.Activity], ValueUnit: d.Count.unit()})
	}
	return json.Marshal(list)
}

// obey goes on with another tracker, which knows what this one knows of the
// person and the poses.
func (s *Subscriber) obey(next *Tracker) {
	old := s.tracker
	old.Stop()
	next.follow, next.filter, next.seat = old.follow, old.filter, old.seat
	next.nowNS, next.wallOfNS, next.seenNS = old.nowNS, old.wallOfNS, old.seenNS
	for signal, v := range old.still {
		next.still[signal] = v
	}
	if old.figures != nil {
		next.SetFigures(*old.figures)
	}
	s.tracker = next
}

// choice is what a tracker looks for.
func (t *Tracker) choice() *choice {
	c := &choice{goals: map[string]Goal{}}
	for _, r := range t.runs {
		c.exercises = append(c.exercises, r.def.Activity)
		c.goals[r.def.Activity] = r.goal
	}
	return c
}
