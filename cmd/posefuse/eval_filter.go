package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/train"
)

// movement prints what the daemon's filter and bones make of a model's poses.
func (c evalCmd) movement(ctx context.Context, net *model.Network, card model.Card, ds recording.Dataset, keys []recording.Key) error {
	if c.Stride != 1 || c.Poses != "" || c.Contribution || c.Card != "" {
		return errors.New("--filter needs every frame and prints one table: leave --stride, --poses, --contribution and --card out")
	}
	data, err := loadWithProgress(ctx, "loading clips", ds, keys, net.Config, train.LoadOptions{Window: card.Window, Part: c.part(forTest), Movement: true, SkipBroken: c.SkipBroken})
	if err != nil {
		return err
	}
	standing, err := train.LoadStanding(ctx, ds, keys, net.Config, card.Window)
	if err != nil {
		return fmt.Errorf("people who stand before their clip: %w", err)
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	rep, err := train.EvaluateMovement(ctx, run, data, standing)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rep)
	}
	fmt.Printf("model %s %s (%s window)\ndata: %s\n%d frames of %d clips, %.0f %% with bones known; against the %s, whose acceleration is %.1f mm/frame²\n\n",
		card.Name, card.Version, card.Window, rep.Data, rep.Frames, rep.Clips, 100*rep.Calibrated, truthName(rep.Truth), rep.TruthAccelerationMM)
	fmt.Printf("%-52s %9s %9s %9s %14s %8s %9s %8s\n", "poses", "MPJPE mm", "pelvis mm", "written", "accel mm/fr²", "bone sd", "bone err", "delay ms")
	for _, s := range rep.Scores {
		fmt.Printf("%-52s %9.1f %9.1f %9.1f %14.1f %8.1f %9.1f %8.0f\n", s.Name, s.MPJPEMM, s.PelvisMM, s.WrittenMM, s.AccelerationMM, s.BoneSDMM, s.BoneErrorMM, s.DelayMS)
	}
	fmt.Printf("\nwhat moves evenly comes late by")
	for i, d := range rep.Delays {
		sep := ","
		if i == 0 {
			sep = ""
		}
		fmt.Printf("%s %.0f ms at %g m/s", sep, d.DelayMS, d.SpeedMS)
	}
	fmt.Println()
	return nil
}

// truthName says what figures are against.
func truthName(truth string) string {
	if truth == "as written" {
		return "ground truth as written"
	}
	return truth
}
