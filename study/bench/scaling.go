package bench

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"posefuse/model"
)

// Scaling times how cost grows.
type Scaling struct {
	Size      string        `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Precision string        `default:"float32" enum:"float32,bf16,int8" help:"Precision of the WiFi trunk: ${enum}."`
	Threads   int           `default:"2" help:"CPU threads."`
	Points    []int         `default:"256,512,1024,2048,4096" help:"LiDAR points per cloud, from 256."`
	Batch     []int         `default:"1,2,4,8,16" help:"Samples per call, all sensors."`
	Rooms     []int         `default:"1,2,4,8" help:"Rooms on this computer, each with a runtime of its own on one network."`
	For       time.Duration `default:"2s" help:"How long to measure each row."`
	JSON      bool          `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Scaling) Help() string {
	return "Rooms tick as fast as they can, side by side; a room needs 10 ticks a second.\n\nExample:\n\n  posefuse bench scaling --size edge --threads 2"
}

// scalingRow is one point of one curve.
type scalingRow struct {
	What     string  `json:"what"` // "points", "batch" or "rooms"
	N        int     `json:"n"`
	Threads  int     `json:"threads"`
	MinMS    float64 `json:"min_ms"`    // of one call
	MedianMS float64 `json:"median_ms"` // of one call
	P99MS    float64 `json:"p99_ms"`
	PerS     float64 `json:"samples_per_s"` // of all rooms together
	Bytes    int64   `json:"runtime_bytes"` // buffers of all runtimes, without the weights they share
	Weights  int64   `json:"weight_bytes"`  // as inference reads them, once for all runtimes
}

// Run measures the three curves.
func (c Scaling) Run(out io.Writer) error {
	for _, list := range [][]int{c.Points, c.Batch, c.Rooms} {
		for _, n := range list {
			if n < 1 {
				return fmt.Errorf("%d points, samples or rooms: want at least 1", n)
			}
		}
	}
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return err
	}
	model.SetThreads(c.Threads)
	table := newTable(out, c.JSON, "what", "n", "min ms", "median ms", "p99 ms", "samples/s", "buffers", "weights")
	show := func(r scalingRow) {
		r.Threads = c.Threads
		table.add(r, r.What, fmt.Sprint(r.N), milli(r.MinMS), milli(r.MedianMS), milli(r.P99MS), fmt.Sprintf("%.1f", r.PerS), megabytes(r.Bytes), megabytes(r.Weights))
	}
	var r scalingRow
	for _, n := range c.Points {
		if r, err = c.points(cfg, n); err != nil {
			return err
		}
		show(r)
	}
	net, err := loadedNetwork(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = net.Close() }() // the process ends here
	for _, n := range c.Batch {
		r, err := c.batch(net, n)
		if err != nil {
			return err
		}
		show(r)
	}
	for _, n := range c.Rooms {
		r, err := c.rooms(net, n)
		if err != nil {
			return err
		}
		show(r)
	}
	return table.end()
}

// loadedNetwork returns a network with random weights as a daemon has it, loaded
// from a checkpoint: its runtimes share the weights, packed once.
func loadedNetwork(cfg model.Config) (*model.Network, error) {
	net, err := model.New(cfg, 1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "posefuse-scaling-")
	if err != nil {
		return nil, fmt.Errorf("checkpoint of random weights: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the mapping outlives the name
	if _, err = model.SaveCheckpoint(dir, net, model.Card{Name: cfg.Size, Window: model.Causal}); err != nil {
		return nil, err
	}
	net, _, err = model.LoadCheckpoint(dir)
	return net, err
}

func row(what string, n, samples int, t timings, net *model.Network, bytes int64) scalingRow {
	return scalingRow{What: what, N: n, MinMS: t.min(), MedianMS: t.median(), P99MS: t.p99(), PerS: 1000 * float64(samples) / t.median(),
		Bytes: bytes, Weights: net.Memory().Packed}
}

// points times the LiDAR encoder alone.
func (c Scaling) points(cfg model.Config, n int) (scalingRow, error) {
	cfg.Modalities, cfg.LiDAR.Points = "L", n
	net, err := loadedNetwork(cfg)
	if err != nil {
		return scalingRow{}, err
	}
	defer func() { _ = net.Close() }() // only gives memory back
	run, err := model.NewRuntime(net)
	if err != nil {
		return scalingRow{}, err
	}
	defer func() { _ = run.Close() }()
	in := randomInput(cfg)
	var out model.Output
	t, err := repeat(c.For, 3, func() error { return run.Infer(&in, &out) })
	return row("points", n, 1, t, net, run.Memory()), err
}

// batch times all sensors of n samples in one call.
func (c Scaling) batch(net *model.Network, n int) (scalingRow, error) {
	run, err := runtimeIn(net, model.Precision(c.Precision))
	if err != nil {
		return scalingRow{}, err
	}
	defer func() { _ = run.Close() }() // only gives memory back
	b, pose := randomBatch(net.Config, n), make([]float32, n*model.OutputDim)
	infer := func() error { return run.InferBatch(b, n, pose) }
	if err = infer(); err != nil { // buffers
		return scalingRow{}, err
	}
	t, err := repeat(c.For, 3, infer)
	return row("batch", n, n, t, net, run.Memory()), err
}

// rooms lets n runtimes of one network tick side by side.
func (c Scaling) rooms(net *model.Network, n int) (scalingRow, error) {
	runs := make([]*model.Runtime, n)
	var bytes int64
	for i := range runs {
		var err error
		if runs[i], err = runtimeIn(net, model.Precision(c.Precision)); err != nil {
			return scalingRow{}, err
		}
		defer func() { _ = runs[i].Close() }() // only gives memory back
	}
	times, errs := make([]timings, n), make([]error, n)
	in := randomInput(net.Config)
	var wg sync.WaitGroup
	begin := time.Now()
	for i, run := range runs {
		wg.Go(func() {
			mine := in
			var out model.Output
			times[i], errs[i] = repeat(c.For, 3, func() error { return run.Infer(&mine, &out) })
		})
	}
	wg.Wait()
	elapsed := time.Since(begin).Seconds()
	var all timings
	for i := range runs {
		if errs[i] != nil {
			return scalingRow{}, errs[i]
		}
		all = append(all, times[i]...)
		bytes += runs[i].Memory()
	}
	r := row("rooms", n, 1, all, net, bytes)
	r.PerS = float64(len(all)) / elapsed
	return r, nil
}
