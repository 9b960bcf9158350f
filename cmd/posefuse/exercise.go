package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strconv"
	"strings"

	"posefuse/exercise"
	"posefuse/setting"
)

type exerciseCmd struct {
	Count exerciseCountCmd `cmd:"" default:"withargs" help:"Count repetitions and report angles from the poses on MQTT (the default)."`
	Check exerciseCheckCmd `cmd:"" help:"Check an exercise's definition, and count with it what was recorded."`
}

// Help shows the command's examples.
func (exerciseCmd) Help() string {
	return "Examples:\n\n  posefuse exercise --exercise squat,A09,A10\n" +
		"  posefuse exercise --exercise squat --target squat=80 --language de\n" +
		"  posefuse exercise check my-exercise.yaml --poses poses.jsonl"
}

type exerciseCountCmd struct {
	Room        string             `default:"room1" help:"Room to follow."`
	Broker      string             `default:"tcp://127.0.0.1:1883" help:"MQTT broker."`
	Username    string             `help:"MQTT user."`
	Password    string             `env:"MQTT_PASSWORD" help:"MQTT password; better in the environment."`
	CAFile      string             `name:"ca-file" placeholder:"FILE" help:"Authority that signed the broker's certificate, PEM; without it the system's."`
	Exercise    []string           `placeholder:"NAME" help:"What to look for, by number or name, e.g. A12 or squat; all known ones if empty."`
	Target      map[string]float64 `placeholder:"NAME=RANGE" help:"Range that the person is to reach, in the unit of what is counted, e.g. squat=80."`
	Repetitions map[string]int     `placeholder:"NAME=N" help:"Repetitions of a set that the person is to do."`
	Tempo       map[string]float64 `placeholder:"NAME=SECONDS" help:"How long a repetition is to take."`
	SetRest     float64            `name:"set-rest" placeholder:"SECONDS" help:"Longest rest within a set; the exercise's own if left out."`
	CameraTilt  float64            `placeholder:"DEGREES" help:"How far the camera looks down, for poses in its frame."`
	Definitions string             `placeholder:"DIR" help:"Folder of exercises that join the built-in ones or take their place."`
	Language    string             `default:"en" help:"Of the sentences for the person: en, de, fr or zh."`
	List        bool               `help:"List the known exercises and stop."`
}

// Help shows the command's example.
func (exerciseCountCmd) Help() string {
	return "Example: squats to 80 degrees, advice in German\n\n" +
		"  posefuse exercise count --exercise squat --target squat=80 --language de"
}

// Run follows the room's poses until interrupted.
func (c exerciseCountCmd) Run(ctx context.Context) error {
	defs, err := exercise.AllDefinitions(c.Definitions)
	if err != nil {
		return fmt.Errorf("--definitions: %w", err)
	}
	if c.List {
		for _, d := range defs {
			fmt.Printf("%s  %s\n", d.Activity, d.Name)
		}
		return nil
	}
	for _, want := range c.Exercise {
		if _, err = exercise.Find(defs, want); err != nil {
			return fmt.Errorf("--exercise: %w; posefuse exercise --list shows them", err)
		}
	}
	trust, err := c.trust()
	if err != nil {
		return fmt.Errorf("--ca-file: %w", err)
	}
	s, err := exercise.NewSubscriber(exercise.SubscriberConfig{Broker: c.Broker, Username: c.Username, Password: c.Password, TLS: trust, Live: true,
		Tracker: exercise.Config{Room: c.Room, Definitions: defs, Exercises: c.Exercise, Goals: c.goals(), SetRestS: c.SetRest,
			CameraTiltDeg: c.CameraTilt, Language: c.Language}})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "following posefuse/%s/pose on %s; results on posefuse/%s/exercise/#\n", c.Room, c.Broker, c.Room)
	return s.Run(ctx)
}

// goals joins what the flags say of each exercise.
func (c exerciseCountCmd) goals() map[string]exercise.Goal {
	goals := map[string]exercise.Goal{}
	for name, v := range c.Target {
		g := goals[name]
		g.Range = v
		goals[name] = g
	}
	for name, v := range c.Repetitions {
		g := goals[name]
		g.Repetitions = v
		goals[name] = g
	}
	for name, v := range c.Tempo {
		g := goals[name]
		g.TempoS = v
		goals[name] = g
	}
	return goals
}

// trust returns whom to believe that the broker is who it says, nil for the
// system's authorities.
func (c exerciseCountCmd) trust() (*tls.Config, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := setting.ReadFile(c.CAFile, setting.MaxFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", c.CAFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// exerciseWords splits a list of exercises.
func exerciseWords(list string) (words []string) {
	for _, w := range strings.Split(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// plural is a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
