package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"posefuse/train"
)

// resumeFlags choose whether a training starts or goes on.
type resumeFlags struct {
	Resume   bool    `help:"Go on from the last checkpoint in --out after an interruption of any kind, with the same options; start if there is none. The weights come out as without it, bit for bit."`
	ResumeLR float64 `name:"resume-lr" placeholder:"RATE" help:"With --resume: learning rate from here on, for a training that diverged. Leave --lr as it was."`
}

// resumeFolder holds the state to resume from, in the output folder.
const resumeFolder = "resume"

// apply gives the options a checkpoint folder in out. It reports
// train.ErrFinished and folders that hold another training.
func (f resumeFlags) apply(opt *train.Options, out string) error {
	opt.Checkpoint, opt.Resume, opt.ResumeLR = filepath.Join(out, resumeFolder), f.Resume, f.ResumeLR
	opt.Warn = func(text string) { fmt.Fprintln(os.Stderr, "posefuse: warning:", text) }
	if err := opt.Check(); err != nil {
		return err
	}
	return adviseTraining(opt.CheckStart(), opt.Checkpoint)
}

// tellStopped says how to go on after an interruption by signal or an error.
func tellStopped(err error, out string, epoch int) error {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "stopped after epoch %d, whose state is in %s: go on with the same options and --resume\n", epoch, filepath.Join(out, resumeFolder))
	}
	return adviseTraining(err, filepath.Join(out, resumeFolder))
}
