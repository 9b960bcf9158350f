package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"posefuse/recording/sim"
)

type simulateCmd struct {
	Out        string   `required:"" placeholder:"DIR" help:"Folder to write E01..E04 into."`
	Preset     string   `default:"mmfi" enum:"easy,mmfi,mmfi-2,hard,clean" help:"Difficulty: ${enum}."`
	Seed       uint64   `default:"1" help:"Seed; the same seed gives the same bytes."`
	Subjects   []int    `placeholder:"N" help:"Subjects 1..40; all if empty."`
	Activities []int    `placeholder:"N" help:"Activities 1..27; all if empty."`
	Frames     int      `default:"297" help:"Frames per clip, at 10 a second."`
	Mocap      string   `placeholder:"DIR" help:"Folder of real human motion to move the body where an activity has it: index.csv with its .npy files, or .bvh files named PERSON_ACTIVITY.bvh, e.g. anna_A12.bvh."`
	Degrade    []string `placeholder:"KIND:SEVERITY[:START_S:END_S[:SENSOR]]" help:"Degradations with severity 1 to 3, e.g. dark-room:2:5:12 or modality-missing:1:10:20:radar."`
}

// Help shows the command's example.
func (simulateCmd) Help() string {
	return "Example: two people doing squats and lunges\n\n  posefuse simulate --out data/sim --subjects 1,2 --activities 9,10,12"
}

// Run writes the simulated recordings and their manifest.
func (c simulateCmd) Run(ctx context.Context) error {
	if c.Frames < 1 {
		return fmt.Errorf("--frames %d: a clip has at least one", c.Frames)
	}
	cfg := sim.Config{Seed: c.Seed, Preset: c.Preset, FramesPerClip: c.Frames, Subjects: c.Subjects, Activities: c.Activities}
	for _, text := range c.Degrade {
		d, err := parseDegradation(text)
		if err != nil {
			return err
		}
		cfg.Degradations = append(cfg.Degradations, d)
	}
	if c.Mocap != "" {
		lib, err := sim.LoadMocap(c.Mocap)
		if err != nil {
			return err
		}
		cfg.Mocap = lib
	}
	ds, err := sim.NewDataset(cfg)
	if err != nil {
		return err
	}
	bar := newProgress("simulating")
	err = ds.Write(ctx, c.Out, sim.WriteOptions{Progress: func(p sim.Progress) { bar.show(float64(p.FramesDone)/float64(max(p.Frames, 1)), "") }})
	bar.done()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d clips of simulated sensors in %s\n", len(ds.Keys()), c.Out)
	return nil
}

// parseDegradation reads KIND:SEVERITY[:START_S:END_S[:SENSOR]].
func parseDegradation(text string) (sim.Degradation, error) {
	parts := strings.Split(text, ":")
	bad := func(what string) (sim.Degradation, error) {
		return sim.Degradation{}, fmt.Errorf("--degrade %s: %s; kinds are %v", text, what, sim.DegradationKinds())
	}
	if len(parts) != 2 && len(parts) != 4 && len(parts) != 5 {
		return bad("want KIND:SEVERITY[:START_S:END_S[:SENSOR]]")
	}
	d := sim.Degradation{Kind: sim.DegradationKind(parts[0])}
	var err error
	if d.Severity, err = strconv.Atoi(parts[1]); err != nil {
		return bad("severity is not a number")
	}
	if len(parts) >= 4 {
		var e1, e2 error
		d.StartS, e1 = strconv.ParseFloat(parts[2], 64)
		d.EndS, e2 = strconv.ParseFloat(parts[3], 64)
		if e1 != nil || e2 != nil {
			return bad("start and end are seconds")
		}
	}
	if len(parts) == 5 {
		d.Modality = parts[4]
	}
	if err := d.Validate(); err != nil {
		return d, fmt.Errorf("--degrade %s: %w", text, err)
	}
	return d, nil
}
