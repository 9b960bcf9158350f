package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"posefuse/exercise"
	"posefuse/pipeline"
	"posefuse/pipeline/bus"
)

// checkExercise refuses an activity that nobody counts: the daemon would go on
// without its subscriber.
func checkExercise(cfg pipeline.Config) error {
	c, err := subscriberConfig(cfg, bus.MQTTAccess{}, slog.Default())
	if err != nil {
		return fmt.Errorf("exercise.definitions: %w", err)
	}
	for _, word := range c.Tracker.Exercises {
		if _, err = exercise.Find(c.Tracker.Definitions, word); err != nil {
			return fmt.Errorf("exercise.exercise: %w", err)
		}
	}
	if _, err = exercise.NewSubscriber(c); err != nil {
		return fmt.Errorf("exercise: %w", err)
	}
	return nil
}

// roomExercise is the daemon's own exercise subscriber, which a reload begins and ends.
type roomExercise struct {
	core    *pipeline.Core
	log     *slog.Logger
	wanted  atomic.Pointer[exercise.Subscriber] // nil: nobody counts
	changed chan struct{}                       // capacity 1
}

// startExercise starts the exercise subscriber, if the configuration has one, and lets
// reloads change it.
func startExercise(ctx context.Context, core *pipeline.Core, cfg *pipeline.Config, log *slog.Logger, side *sync.WaitGroup) {
	e := &roomExercise{core: core, log: log, changed: make(chan struct{}, 1)}
	if err := errors.Join(core.Bus().HandleControl("exercise", e.ask((*exercise.Subscriber).Take)),
		core.Bus().HandleControl("exercise.list", e.ask((*exercise.Subscriber).List))); err != nil {
		log.Error("exercises cannot be chosen over NATS", "error", err)
	}
	if cfg.Exercise.Enabled {
		sub, err := e.subscriber(cfg)
		if err != nil {
			log.Error("exercise subscriber does not start", "error", err)
		} else {
			e.use(sub)
		}
	}
	core.OnReload(pipeline.Reloadable{
		Keys:    []string{"exercise.enabled", "exercise.exercise", "exercise.definitions", "exercise.language", "exercise.set_rest_s", "exercise.camera_tilt_deg", "exercise.targets"},
		Prepare: e.prepare,
		Waiting: func(next *pipeline.Config) []string {
			if _, ok := core.Bus().MQTTAccess(); next.Exercise.Enabled && !ok {
				return []string{"exercise.enabled"} // bus.mqtt waits, too
			}
			return nil
		},
	})
	side.Go(func() { e.run(ctx) })
}

var (
	errNoMQTT    = errors.New("it reads MQTT, and bus.mqtt has neither listen nor url")
	errNotCounts = errors.New("nobody counts exercises: exercise.enabled is false")
)

// subscriber makes the subscriber of a configuration.
func (e *roomExercise) subscriber(cfg *pipeline.Config) (*exercise.Subscriber, error) {
	access, ok := e.core.Bus().MQTTAccess()
	if !ok {
		return nil, errNoMQTT
	}
	settings, err := subscriberConfig(*cfg, access, e.log)
	if err != nil {
		return nil, fmt.Errorf("exercise.definitions: %w", err)
	}
	sub, err := exercise.NewSubscriber(settings)
	if err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	return sub, nil
}

// ask passes a request to the subscriber of the moment.
func (e *roomExercise) ask(f func(*exercise.Subscriber, []byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(request []byte) ([]byte, error) {
		sub := e.wanted.Load()
		if sub == nil {
			return nil, errNotCounts
		}
		return f(sub, request)
	}
}

// use lets a subscriber count from now on, or nobody.
func (e *roomExercise) use(sub *exercise.Subscriber) {
	e.wanted.Store(sub)
	e.core.CountExercises(countedBy(sub))
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// countedBy returns what a subscriber counts, nil without one.
func countedBy(sub *exercise.Subscriber) func() pipeline.Counted {
	if sub == nil {
		return nil
	}
	return func() pipeline.Counted {
		st := sub.Stats()
		return pipeline.Counted{Sets: st.Sets, Repetitions: st.Repetitions,
			Poses:   map[string]uint64{"taken": st.Poses, "bad": st.Bad, "retained": st.Retained, "dropped": st.Dropped},
			Results: map[string]uint64{"published": st.Published, "unconfirmed": st.Unconfirmed}}
	}
}

// run lets the subscriber of the moment work, one after the other, until ctx ends.
// One that ends has told the set that was going on before the next one begins.
func (e *roomExercise) run(ctx context.Context) {
	for ctx.Err() == nil {
		sub := e.wanted.Load()
		if sub == nil {
			e.wait(ctx)
			continue
		}
		own, stop := context.WithCancel(ctx)
		var working sync.WaitGroup
		working.Go(func() {
			if err := sub.Run(own); err != nil && !errors.Is(err, context.Canceled) {
				e.log.Error("exercise subscriber stopped", "error", err)
			}
		})
		for e.wanted.Load() == sub && ctx.Err() == nil {
			e.wait(ctx)
		}
		stop()
		working.Wait()
	}
}

func (e *roomExercise) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-e.changed:
	}
}

// prepare makes ready for the next configuration: a subscriber that begins, ends, or
// goes on with other settings.
func (e *roomExercise) prepare(next *pipeline.Config) (func(), error) {
	sub := e.wanted.Load()
	switch {
	case !next.Exercise.Enabled && sub != nil:
		return func() { e.use(nil) }, nil
	case !next.Exercise.Enabled:
		return nil, nil
	case sub == nil:
		begins, err := e.subscriber(next)
		if errors.Is(err, errNoMQTT) {
			return nil, nil // exercise.enabled waits
		}
		return func() { e.use(begins) }, err
	}
	c, err := subscriberConfig(*next, bus.MQTTAccess{}, slog.Default())
	if err != nil {
		return nil, fmt.Errorf("exercise.definitions: %w", err)
	}
	apply, err := sub.Prepare(c.Tracker)
	if err != nil {
		return nil, fmt.Errorf("exercise: %w", err)
	}
	return apply, nil
}

func subscriberConfig(cfg pipeline.Config, access bus.MQTTAccess, log *slog.Logger) (exercise.SubscriberConfig, error) {
	e := cfg.Exercise
	tracker := exercise.Config{Room: cfg.Room, Language: e.Language, SetRestS: e.SetRestS, CameraTiltDeg: e.CameraTiltDeg, Goals: map[string]exercise.Goal{}}
	for name, t := range e.Targets {
		tracker.Goals[name] = exercise.Goal{Range: t.Range, Repetitions: t.Repetitions, TempoS: t.TempoS}
	}
	if e.Exercise != "auto" && e.Exercise != "" {
		tracker.Exercises = exerciseWords(e.Exercise)
	}
	var err error
	if tracker.Definitions, err = exercise.AllDefinitions(e.Definitions); err != nil {
		return exercise.SubscriberConfig{}, err
	}
	return exercise.SubscriberConfig{Broker: access.URL, Username: access.User, Password: access.Password, TLS: access.TLS, Retry: true, Live: true, Tracker: tracker, Log: log.With("part", "exercise")}, nil
}
