package exercise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	cfg := s.cfg.Tracker
	cfg.Exercises = o.Exercises
	cfg.Goals = map[string]Goal{}
	for name, g := range s.cfg.Tracker.Goals {
		cfg.Goals[name] = g
	}
	for name, g := range o.Targets {
		d, findErr := Find(cfg.Definitions, name)
		if findErr != nil {
			return nil, fmt.Errorf("exercise order: targets: %w", findErr)
		}
		for old := range cfg.Goals {
			if same, lookErr := Find(cfg.Definitions, old); lookErr == nil && same == d {
				delete(cfg.Goals, old)
			}
		}
		cfg.Goals[d.Activity] = g
	}
	t, err := NewTracker(cfg, s)
	if err != nil {
		return nil, fmt.Errorf("exercise order: %w", err)
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
		s.chosen.Store(t.choice())
		if s.owner.counts() {
			s.put(s.statusResult(message.Online, time.Now()))
		}
		return reply, nil
	default:
		return nil, errors.New("exercise order: the one before is not taken yet, send it again")
	}
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
	for _, d := range s.cfg.Tracker.Definitions {
		list.Exercises = append(list.Exercises, Listed{Exercise: d.Activity, Name: s.phrases.name(d),
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
