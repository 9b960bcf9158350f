package bench

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"posefuse/model"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// Training times steps and what memory they take.
type Training struct {
	Size       string `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Modalities string `default:"RLMW" help:"Modalities of the network, letters of RLMW."`
	Batch      []int  `default:"8,16" help:"Samples per step, e.g. 8,16,32."`
	Threads    []int  `default:"1" help:"CPU threads, e.g. 1,2."`
	Runs       int    `default:"3" help:"Steps to time of each row, after one to warm up."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Training) Help() string {
	return "A step is forward and backward pass and Adam's update, dropout on. Memory is the growth of the\n" +
		"process's resident set from before the network is built to its highest.\n\nExample:\n\n  posefuse bench train --size paper --batch 8,16 --threads 2"
}

// trainRow is one measurement of training.
type trainRow struct {
	Size       string  `json:"size"`
	Modalities string  `json:"modalities"`
	Batch      int     `json:"batch"`
	Threads    int     `json:"threads"`
	CPU        string  `json:"cpu_path"`
	Runs       int     `json:"runs"`
	MinMS      float64 `json:"min_ms"`
	MedianMS   float64 `json:"median_ms"`
	GFLOPS     float64 `json:"gflop_per_s"` // at the median, backward counted as twice forward
	PeakBytes  int64   `json:"peak_bytes"`
}

// Run times training steps.
func (c Training) Run(out io.Writer) error {
	mask, err := modality.Parse(c.Modalities)
	if err != nil {
		return fmt.Errorf("--modalities: %w", err)
	}
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return err
	}
	cfg.Modalities = mask.String()
	table := newTable(out, c.JSON, "size", "modalities", "threads", "batch", "min ms", "median ms", "ms/sample", "GFLOP/s", "memory")
	for _, threads := range c.Threads {
		model.SetThreads(threads)
		for _, batch := range c.Batch {
			r, err := measureTraining(cfg, batch, c.Runs)
			if err != nil {
				return err
			}
			r.Threads = threads
			table.add(r, r.Size, r.Modalities, fmt.Sprint(threads), fmt.Sprint(batch), milli(r.MinMS), milli(r.MedianMS), milli(r.MedianMS/float64(batch)),
				fmt.Sprintf("%.1f", r.GFLOPS), megabytes(r.PeakBytes))
		}
	}
	return table.end()
}

// measureTraining times steps of one batch size and the memory they take.
func measureTraining(cfg model.Config, batch, runs int) (trainRow, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(train.GarbagePercent)) // as posefuse train
	debug.FreeOSMemory()                                               // what earlier rows left
	before, err := resetPeak()
	if err != nil {
		return trainRow{}, err
	}
	step, closer, err := trainingStep(cfg, batch)
	if err != nil {
		return trainRow{}, err
	}
	defer closer()
	if err = step(); err != nil {
		return trainRow{}, err
	}
	t, err := repeat(0, runs, step)
	if err != nil {
		return trainRow{}, err
	}
	peak, err := peakResident()
	gflop := 3 * float64(batch) * float64(model.FLOPs(cfg, modality.All)) / 1e9
	return trainRow{Size: cfg.Size, Modalities: cfg.Modalities, Batch: batch, Threads: model.Threads(), CPU: model.CPUPath(), Runs: len(t),
		MinMS: t.min(), MedianMS: t.median(), GFLOPS: gflop / t.median() * 1000, PeakBytes: peak - before}, err
}

// trainingStep builds a network and returns a step of its training on one
// random batch.
func trainingStep(cfg model.Config, batch int) (step func() error, closer func(), err error) {
	net, err := model.New(cfg, 1)
	if err != nil {
		return nil, nil, err
	}
	tr, err := model.NewTrainer(net, batch, model.TrainerOptions{Seed: 1})
	if err != nil {
		return nil, nil, err
	}
	b := randomBatch(cfg, batch)
	recipe := train.PaperRecipe()
	adam := model.NewAdam(net.Parameters(), recipe.WeightDecay)
	return func() error {
		if _, err := tr.ForwardBackward(b); err != nil {
			return err
		}
		adam.Step(recipe.LR)
		return nil
	}, func() { _ = tr.Close() }, nil // it only gives memory back
}

func randomBatch(cfg model.Config, n int) *model.Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32()
		}
		return x
	}
	return &model.Batch{Camera: fill(n * cfg.CameraValues()), LiDAR: fill(n * cfg.LiDAR.Points * model.LiDARPointDim),
		Radar: fill(n * cfg.Radar.Points * model.RadarPointDim), CSI: fill(n * model.CSIValues), Target: fill(n * model.OutputDim)}
}

// resetPeak makes the kernel forget the process's highest resident set and
// returns the current one, bytes.
func resetPeak() (int64, error) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, fmt.Errorf("measure memory: %w: this needs Linux with /proc", err)
	}
	return statusBytes("VmRSS:")
}

func peakResident() (int64, error) { return statusBytes("VmHWM:") }

func statusBytes(key string) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("measure memory: %w", err)
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == key {
			kb, err := strconv.ParseInt(string(f[1]), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("measure memory: /proc/self/status has no %s", key)
}

// settle leaves time for the threads of other programs to go to sleep.
func settle() { time.Sleep(200 * time.Millisecond) }
