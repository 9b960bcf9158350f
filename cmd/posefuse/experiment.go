package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"posefuse/model"
	"posefuse/study/experiment"
	"posefuse/train"
)

type experimentCmd struct {
	File string `arg:"" help:"Experiment file; see configs/experiments and docs/experiments."`
	Out  string `placeholder:"DIR" help:"Folder of trainings and report; experiments/NAME if empty."`
	Data string `placeholder:"DIR" help:"Folder of the data, in place of the file's data.path."`
	Only string `enum:"all,tables" default:"all" help:"tables makes the report again from the results there are and trains nothing."`
	JSON bool   `name:"json" help:"Print the report's numbers as JSON on standard output."`
}

// Help shows the command's example.
func (experimentCmd) Help() string {
	return "Example: all tables and plots of the paper in small, on simulated sensors, in minutes\n\n" +
		"  posefuse experiment configs/experiments/smoke.yaml --out experiments/smoke\n\n" +
		"The same command goes on after an interruption: finished trainings are kept."
}

// Run trains what has no result yet and writes the report.
func (c experimentCmd) Run(ctx context.Context) error {
	file, err := experiment.ReadFile(c.File, c.Data)
	if err != nil {
		return adviseExperiment(err)
	}
	if c.Out == "" {
		c.Out = filepath.Join("experiments", file.Name)
	}
	model.SetThreads(model.Cores())
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(train.GarbagePercent)
	}
	bar, loading := newProgress("experiment"), (*progress)(nil)
	exp, err := experiment.Open(file, experiment.Options{
		Out: c.Out, Machine: experiment.ThisMachine(),
		Loading: func(label string, done, total int) {
			if loading == nil || loading.label != label {
				loading = newProgress(label)
			}
			loading.show(float64(done)/float64(total), "")
		},
		Progress: func(p experiment.Progress) {
			bar.show(p.Share, fmt.Sprintf(" · training %d of %d · %s · %s", p.Done+1, p.Total, p.Cell, p.Note))
		},
		Finished: func(cell experiment.Cell, mpjpeMM float64, seconds float64) {
			if bar.tty {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
			fmt.Fprintf(os.Stderr, "%s: %.1f mm, %.0f s\n", cell, mpjpeMM, seconds)
		},
	})
	if err != nil {
		return err
	}
	if c.Only == "tables" {
		err = exp.Load()
	} else if err = exp.Run(ctx); errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "\nposefuse: interrupted; finished trainings are in %s. Go on with\n\n  %s\n", c.Out, commandLine())
		return err
	}
	if err != nil {
		return adviseExperiment(err)
	}
	summary, err := exp.Report()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "report: %s\n", filepath.Join(c.Out, experiment.ReportFile))
	if !c.JSON {
		return nil
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(summary)
}
