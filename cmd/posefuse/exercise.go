package main

import (
	"context"
	"fmt"
	"os"

	"posefuse/exercise"
)

type exerciseCmd struct {
	Room     string   `default:"room1" help:"Room to follow."`
	Broker   string   `default:"tcp://127.0.0.1:1883" help:"MQTT broker."`
	Username string   `help:"MQTT user."`
	Password string   `env:"MQTT_PASSWORD" help:"MQTT password; better in the environment."`
	Exercise []string `placeholder:"ACTIVITY" help:"Activities to look for, e.g. A12; all known ones if empty."`
	List     bool     `help:"List the known exercises and stop."`
}

// Help shows the command's example.
func (exerciseCmd) Help() string {
	return "Example: count squats and lunges\n\n  posefuse exercise --exercise A12,A09,A10"
}

// Run follows the room's poses until interrupted.
func (c exerciseCmd) Run(ctx context.Context) error {
	defs, err := exercise.Definitions()
	if err != nil {
		return err
	}
	if c.List {
		for _, d := range defs {
			fmt.Printf("%s  %s\n", d.Activity, d.Name)
		}
		return nil
	}
	for _, want := range c.Exercise {
		if _, err := exercise.Find(defs, want); err != nil {
			return fmt.Errorf("--exercise: %w; posefuse exercise --list shows them", err)
		}
	}
	s, err := exercise.NewSubscriber(exercise.SubscriberConfig{Broker: c.Broker, Username: c.Username, Password: c.Password,
		Tracker: exercise.Config{Room: c.Room, Exercises: c.Exercise}})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "following posefuse/%s/pose on %s; results on posefuse/%s/exercise/#\n", c.Room, c.Broker, c.Room)
	return s.Run(ctx)
}
