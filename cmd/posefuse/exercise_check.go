package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"posefuse/exercise"
	"posefuse/message"
	"posefuse/setting"
)

type exerciseCheckCmd struct {
	File     string `arg:"" placeholder:"FILE" help:"The exercise's YAML file."`
	Poses    string `placeholder:"FILE" help:"Recorded poses to count: pose messages, one a line, as mosquitto_sub writes them; .gz is unpacked."`
	Language string `default:"en" help:"Of the sentences: en, de, fr or zh."`
	JSON     bool   `name:"json" help:"Print the summaries of the sets as JSON lines."`
}

// Help shows the command's example.
func (exerciseCheckCmd) Help() string {
	return "Example: record a set, then see what an exercise of your own counts in it\n\n" +
		"  mosquitto_sub -t posefuse/room1/pose > poses.jsonl\n" +
		"  posefuse exercise check my-exercise.yaml --poses poses.jsonl"
}

// Run reads the definition and counts with it.
func (c exerciseCheckCmd) Run(ctx context.Context) error {
	text, err := setting.ReadFile(c.File, setting.MaxFile)
	if err != nil {
		return err
	}
	d, err := exercise.ParseDefinition(text)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if !c.JSON {
		fmt.Printf("%s is right: %s %q, counted by %s from %v to %v, %s\n", c.File, d.Activity, d.Name,
			d.Count.Name, d.Count.Neutral, d.Count.Target, plural(len(d.Rules), "rule"))
	}
	if c.Poses == "" {
		return nil
	}
	report := &checkReport{json: c.JSON}
	tracker, err := exercise.NewTracker(exercise.Config{Room: "check", Definitions: []*exercise.Definition{d}, Language: c.Language}, report)
	if err != nil {
		return err
	}
	if err = feedPoses(ctx, c.Poses, tracker); err != nil {
		return fmt.Errorf("--poses %s: %w", c.Poses, err)
	}
	tracker.Stop()
	if report.sets == 0 && !c.JSON {
		fmt.Println("nothing in these poses is a repetition of it, nor an attempt")
	}
	return report.err
}

// feedPoses gives recorded poses to a tracker.
func feedPoses(ctx context.Context, path string, tracker *exercise.Tracker) error {
	f, err := setting.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() && ctx.Err() == nil {
		line := lines.Bytes()
		if len(line) == 0 {
			continue
		}
		n++
		p := new(message.Pose)
		if err := message.UnmarshalPose(line, p); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if p.Schema != message.PoseSchema {
			return fmt.Errorf("line %d: schema is %q, want %q", n, p.Schema, message.PoseSchema)
		}
		tracker.Pose(p)
	}
	if lines.Err() == nil && n == 0 {
		return errors.New("no pose in it")
	}
	return lines.Err()
}

// checkReport prints what was counted.
type checkReport struct {
	json bool
	sets int
	err  error
}

// Event implements exercise.Output.
func (*checkReport) Event(*message.ExerciseEvent) {}

// Notice implements exercise.Output.
func (r *checkReport) Notice(_, text string) {
	if !r.json {
		fmt.Println("note:", text)
	}
}

// Summary implements exercise.Output.
func (r *checkReport) Summary(s *message.ExerciseSummary) {
	r.sets++
	if r.json {
		text, err := json.Marshal(s)
		if err == nil {
			_, err = fmt.Println(string(text))
		}
		r.err = errors.Join(r.err, err)
		return
	}
	fmt.Printf("set %d: %s, %d incomplete, range %g %s (best %g), %g s each\n", r.sets, plural(s.Repetitions, "repetition"), s.Incomplete,
		s.RangeDeg.Median, s.RangeUnit, s.RangeDeg.Best, s.TempoS.Median)
	for _, f := range s.Faults {
		fmt.Printf("  %s: %s\n", f.Key, f.Text)
	}
}
