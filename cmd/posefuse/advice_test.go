package main

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"posefuse/model"
	"posefuse/study/experiment"
	"posefuse/train"
)

// What a user reads names the flag that helps, and the causes stay to be found.
func TestAdvice(t *testing.T) {
	training := func(err error) error { return adviseTraining(err, "out/resume") }
	diverged := &train.DivergedError{Epoch: 3, Step: 2, LossM: math.NaN(), Where: "R", Checkpoint: "out/resume", CheckpointEpoch: 2, LR: 0.001}
	full := &train.CheckpointError{Dir: "out/resume", Epoch: 2, Bytes: 1 << 20, Err: errors.New("no space left on device")}
	for _, c := range []struct {
		advise func(error) error
		err    error
		want   string
	}{
		{training, diverged, "epoch 3 step 2: the loss is NaN or the weights are not finite, first in R: the last good checkpoint, of epoch 2, is in out/resume: " +
			"use a lower learning rate from there on, such as --resume --resume-lr 0.00033, or from the start"},
		{training, &train.DivergedError{Epoch: 1, Step: 1, LossM: 9, Where: "targets"}, "epoch 1 step 1: the loss is 9 or the weights are not finite, first in targets: use a lower learning rate"},
		{training, full, "checkpoint: no space left on device: the checkpoint of epoch 2 in out/resume is whole; see that 2 MiB are free there and go on with --resume"},
		{training, fmt.Errorf("out %w", train.ErrCheckpointExists), "out holds the checkpoint of a training: go on with it (--resume), use another output folder, or remove out/resume to start anew"},
		{training, nil, ""},
		{adviseExperiment, full, "checkpoint: no space left on device: the checkpoint of epoch 2 in out/resume is whole; see that 2 MiB are free there and run the same command again"},
		{adviseExperiment, fmt.Errorf("x.yaml: data.path: mmfi %w", experiment.ErrNoFolder), "x.yaml: data.path: mmfi needs its folder; give it in the file or with --data"},
		{adviseExperiment, &experiment.MissingTrialsError{Trials: 3, Out: "x"}, "3 trials of the tuning are missing in x: run the experiment without --only"},
		{advise, fmt.Errorf("model: %w", &model.NotCalibratedError{Precision: model.Int8}), "model: the network is not calibrated for int8: run posefuse models quantize --mode int8"},
		{advise, errors.New("other"), "other"},
	} {
		got := c.advise(c.err)
		text := ""
		if got != nil {
			text = got.Error()
		}
		if text != c.want || !errors.Is(got, c.err) {
			t.Errorf("got  %s\nwant %s", text, c.want)
		}
	}
}
