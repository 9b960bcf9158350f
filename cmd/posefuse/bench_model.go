package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"posefuse/model"
	"posefuse/model/nn/kernel"
)

type benchModelCmd struct {
	Size    string        `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Threads int           `default:"1" help:"CPU threads."`
	For     time.Duration `default:"3s" help:"How long to measure each coalition."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (benchModelCmd) Help() string { return "Example:\n\n  posefuse bench --size edge --threads 1" }

type benchRow struct {
	Size      string  `json:"size"`
	Coalition string  `json:"coalition"`
	Threads   int     `json:"threads"`
	CPU       string  `json:"cpu_path"`
	MedianMS  float64 `json:"median_ms"`
	P99MS     float64 `json:"p99_ms"`
	Runs      int     `json:"runs"`
}

// Run times one-sample inference of each single modality and of all.
func (c benchModelCmd) Run() error {
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return err
	}
	kernel.SetThreads(c.Threads)
	net, err := model.New(cfg, 1)
	if err != nil {
		return err
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return err
	}
	in := randomInput(cfg)
	var rows []benchRow
	for _, mask := range []model.Mask{1 << model.R, 1 << model.L, 1 << model.M, 1 << model.W, 1<<model.R | 1<<model.L | 1<<model.M, model.AllModalities} {
		in.Present = mask
		var out model.Output
		t, err := repeat(c.For, 3, func() error { return run.Infer(&in, &out) })
		if err != nil {
			return err
		}
		rows = append(rows, benchRow{c.Size, mask.String(), c.Threads, kernel.Path(), t.median(), t.p99(), len(t)})
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rows)
	}
	fmt.Printf("%s network, %d thread(s), %s\n%-10s %10s %10s %7s\n", c.Size, c.Threads, kernel.Path(), "coalition", "median ms", "p99 ms", "runs")
	for _, r := range rows {
		fmt.Printf("%-10s %10.2f %10.2f %7d\n", r.Coalition, r.MedianMS, r.P99MS, r.Runs)
	}
	return nil
}
