package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"posefuse/model/nn/kernel"
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
	kernel.SetThreads(max(runtime.NumCPU()/max(file.Training.Replicas, 1), 1))
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(train.GarbagePercent)
	}
	bar, loading := newProgress("experiment"), (*progress)(nil)
	exp, err := experiment.Open(file, experiment.Options{
		Out: c.Out, Machine: thisMachine(),
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
		fmt.Fprintf(os.Stderr, "\nposefuse: interrupted; finished trainings are in %s. Go on with\n\n  posefuse %s\n", c.Out, strings.Join(os.Args[1:], " "))
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

// thisMachine describes the machine and the program.
func thisMachine() experiment.Machine {
	m := experiment.Machine{Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), CPU: cpuName(), Kernels: kernel.Path()}
	if info, ok := debug.ReadBuildInfo(); ok {
		m.Program = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				m.Program += " " + s.Value
			}
		}
	}
	return m
}

// cpuName returns what the kernel calls the processor, or nothing.
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
