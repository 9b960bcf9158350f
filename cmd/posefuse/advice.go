package main

import (
	"errors"
	"fmt"

	"posefuse/model"
	"posefuse/study/experiment"
	"posefuse/train"
)

// The rooms below know nothing of commands and flags: their errors tell what is
// wrong, and here is added which flag helps.

// advise adds what helps whatever the command is.
func advise(err error) error {
	var scales *model.NotCalibratedError
	if errors.As(err, &scales) {
		return fmt.Errorf("%w: run posefuse models quantize --mode %s", err, scales.Precision)
	}
	return err
}

// adviseTraining adds what helps posefuse train.
func adviseTraining(err error, checkpoint string) error {
	var diverged *train.DivergedError
	var unwritten *train.CheckpointError
	var unsaved *train.SaveError
	switch {
	case errors.As(err, &unsaved):
		return fmt.Errorf("%w: make room and go on from epoch %d with --resume", err, unsaved.Last)
	case errors.As(err, &diverged) && diverged.Checkpoint != "":
		return fmt.Errorf("%w: use a lower learning rate from there on, such as --resume --resume-lr %.2g, or from the start", err, diverged.LR/3)
	case errors.As(err, &unwritten):
		return fmt.Errorf("%w and go on with --resume", err)
	case errors.Is(err, train.ErrCheckpointExists):
		return fmt.Errorf("%w: go on with it (--resume), use another output folder, or remove %s to start anew", err, checkpoint)
	}
	return err
}

// adviseExperiment adds what helps posefuse experiment.
func adviseExperiment(err error) error {
	var diverged *train.DivergedError
	var unwritten *train.CheckpointError
	var missing *experiment.MissingTrialsError
	switch {
	case errors.As(err, &diverged) && diverged.Checkpoint != "":
		return fmt.Errorf("%w: use a lower learning rate", err)
	case errors.As(err, &unwritten):
		return fmt.Errorf("%w and run the same command again", err)
	case errors.As(err, &missing):
		return fmt.Errorf("%w: run the experiment without --only", err)
	case errors.Is(err, experiment.ErrNoFolder):
		return fmt.Errorf("%w or with --data", err)
	}
	return err
}
