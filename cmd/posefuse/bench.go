package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"posefuse/model"
	"posefuse/model/nn/kernel"
)

type benchCmd struct {
	Size    string        `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Threads int           `default:"1" help:"CPU threads."`
	For     time.Duration `default:"3s" help:"How long to measure each coalition."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (benchCmd) Help() string { return "Example:\n\n  posefuse bench --size edge --threads 1" }

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
func (c benchCmd) Run() error {
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
		var times []float64
		for begin := time.Now(); time.Since(begin) < c.For || len(times) < 3; {
			start := time.Now()
			if err := run.Infer(&in, &out); err != nil {
				return err
			}
			times = append(times, float64(time.Since(start).Microseconds())/1000)
		}
		slices.Sort(times)
		rows = append(rows, benchRow{c.Size, mask.String(), c.Threads, kernel.Path(), times[len(times)/2], times[len(times)*99/100], len(times)})
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

func randomInput(cfg model.Config) model.Input {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32()
		}
		return x
	}
	return model.Input{Present: model.AllModalities, Camera: fill(model.KeypointsValues), LiDAR: fill(cfg.LiDAR.Points * model.LiDARPointDim),
		Radar: fill(cfg.Radar.Points * model.RadarPointDim), CSI: fill(model.CSIValues)}
}
