package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

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

// startExercise starts the exercise subscriber, if the configuration has one.
func startExercise(ctx context.Context, core *pipeline.Core, cfg *pipeline.Config, log *slog.Logger, side *sync.WaitGroup) {
	if !cfg.Exercise.Enabled {
		return
	}
	access, ok := core.Bus().MQTTAccess()
	if !ok {
		log.Error("exercise subscriber does not start: it reads MQTT, and bus.mqtt has neither listen nor url")
		return
	}
	settings, err := subscriberConfig(*cfg, access, log)
	if err != nil {
		log.Error("exercise subscriber does not start", "error", err)
		return
	}
	sub, err := exercise.NewSubscriber(settings)
	if err != nil {
		log.Error("exercise subscriber does not start", "error", err)
		return
	}
	err = errors.Join(core.Bus().HandleControl("exercise", sub.Take), core.Bus().HandleControl("exercise.list", sub.List))
	if err != nil {
		log.Error("exercises cannot be chosen over NATS", "error", err)
	}
	core.OnReload(reloadExercise(sub))
	core.CountExercises(func() pipeline.Counted {
		st := sub.Stats()
		return pipeline.Counted{Sets: st.Sets, Repetitions: st.Repetitions,
			Poses:   map[string]uint64{"taken": st.Poses, "bad": st.Bad, "retained": st.Retained, "dropped": st.Dropped},
			Results: map[string]uint64{"published": st.Published, "unconfirmed": st.Unconfirmed}}
	})
	side.Go(func() {
		if err := sub.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			log.Error("exercise subscriber stopped", "error", err)
		}
	})
}

// reloadExercise lets a reload change what is looked for, and how it is told.
func reloadExercise(sub *exercise.Subscriber) pipeline.Reloadable {
	return pipeline.Reloadable{
		Keys: []string{"exercise.exercise", "exercise.definitions", "exercise.language", "exercise.set_rest_s", "exercise.camera_tilt_deg", "exercise.targets"},
		Prepare: func(next *pipeline.Config) (func(), error) {
			c, err := subscriberConfig(*next, bus.MQTTAccess{}, slog.Default())
			if err != nil {
				return nil, fmt.Errorf("exercise.definitions: %w", err)
			}
			apply, err := sub.Prepare(c.Tracker)
			if err != nil {
				return nil, fmt.Errorf("exercise: %w", err)
			}
			return apply, nil
		},
	}
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
