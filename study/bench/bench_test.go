package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// printed returns what a command writes.
func printed(t *testing.T, run func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := run(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scripts is where the peers' scripts are.
func scripts() string { return filepath.Join(testenv.Root(), "study/bench") }

// keepThreads restores the kernel's threads, which the commands set.
func keepThreads(t *testing.T) {
	n := model.Threads()
	t.Cleanup(func() { model.SetThreads(n) })
}

func TestTimingsQuantiles(t *testing.T) {
	x := timings{}
	for i := range 100 {
		x = append(x, float64(99-i))
	}
	if x.min() != 0 || x.median() != 50 || x.p99() != 99 || x[0] != 99 {
		t.Errorf("min %v, median %v, p99 %v, first %v", x.min(), x.median(), x.p99(), x[0])
	}
	if (timings{}).median() != 0 {
		t.Error("no timings have a median")
	}
}

func TestBenchModelRows(t *testing.T) {
	keepThreads(t)
	out := printed(t, Inference{Size: []string{"edge"}, Precision: []string{"float32"}, Threads: []int{1}, Coalitions: []string{"R", "RLMW"}, For: time.Millisecond, JSON: true}.Run)
	var rows []inferenceRow
	if err := json.Unmarshal(out, &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, out)
	}
	for i, want := range []string{"R", "RLMW"} {
		r := rows[i]
		mask, _ := modality.Parse(want)
		if r.Coalition != want || r.Precision != "float32" || r.GFLOP != float64(model.FLOPs(model.Edge(), mask))/1e9 || r.CPU != model.CPUPath() {
			t.Errorf("row %d is %+v", i, r)
		}
		if !(0 < r.MinMS && r.MinMS <= r.MedianMS && r.MedianMS <= r.P99MS) || r.Runs < 3 || math.Abs(r.Share-r.GFLOPS/r.Peak) > 1e-9 {
			t.Errorf("row %d does not hold together: %+v", i, r)
		}
	}
	for _, c := range []Inference{{Coalitions: []string{"X"}}, {Threads: []int{0}}, {Model: t.TempDir()}} {
		if c.Run(io.Discard) == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestBenchTrainAndScalingRows(t *testing.T) {
	keepThreads(t)
	out := printed(t, Training{Size: "edge", Modalities: "RM", Batch: []int{2, 4}, Threads: []int{1}, Runs: 1, JSON: true}.Run)
	var trained []trainRow
	if err := json.Unmarshal(out, &trained); err != nil || len(trained) != 2 {
		t.Fatalf("%d rows, %v: %s", len(trained), err, out)
	}
	for i, r := range trained {
		if r.Batch != 2<<i || r.Modalities != "RM" || r.MinMS <= 0 || r.PeakBytes <= 0 {
			t.Errorf("row %d is %+v", i, r)
		}
	}
	out = printed(t, Scaling{Size: "edge", Precision: "float32", Threads: 1, Points: []int{256, 512}, Batch: []int{2}, Rooms: []int{1, 2}, For: time.Millisecond, JSON: true}.Run)
	var scaled []scalingRow
	if err := json.Unmarshal(out, &scaled); err != nil || len(scaled) != 5 {
		t.Fatalf("%d rows, %v: %s", len(scaled), err, out)
	}
	for i, want := range []scalingRow{{What: "points", N: 256}, {What: "points", N: 512}, {What: "batch", N: 2}, {What: "rooms", N: 1}, {What: "rooms", N: 2}} {
		if r := scaled[i]; r.What != want.What || r.N != want.N || r.MedianMS <= 0 || r.PerS <= 0 || r.Bytes <= 0 {
			t.Errorf("row %d is %+v", i, r)
		}
	}
	if one, two := scaled[3], scaled[4]; one.Weights <= 0 || two.Weights != one.Weights || two.Bytes >= 3*one.Bytes {
		t.Errorf("two rooms do not share their weights: %+v, one %+v", two, one)
	}
	if (Scaling{Size: "edge", Points: []int{0}}).Run(io.Discard) == nil {
		t.Error("clouds of no point are accepted")
	}
}

// needTorch leaves a test out where PyTorch is missing.
func needTorch(t *testing.T) pythonFlags {
	t.Helper()
	p := pythonFlags{Python: "/usr/bin/python3", Scripts: scripts()}
	if err := p.check(t.Context()); err != nil {
		testenv.LeaveOut(t, err.Error())
	}
	return p
}

// The edge network in PyTorch: outputs, a training pass judged by float64, the
// training curve and the way back of trained weights.
func TestPyTorchAgrees(t *testing.T) {
	testenv.Slow(t)
	flags := needTorch(t)
	keepThreads(t)
	model.SetThreads(1)
	c := Parity{pythonFlags: flags, Steps: 5, Batch: 16, LR: 1e-4, Threads: 1}
	rep, err := c.compare(t.Context(), model.Edge(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.verdict(); err != nil {
		t.Error(err)
	}
	if len(rep.Ours) != c.Steps || !(rep.Ours[c.Steps-1] < rep.Ours[0]) {
		t.Errorf("losses %v", rep.Ours)
	}
}

// Training in float64 is PyTorch's, step by step, at the recipe's learning
// rate: losses, weights and running statistics.
func TestPyTorchTrainsTheSame(t *testing.T) {
	testenv.Slow(t)
	flags := needTorch(t)
	keepThreads(t)
	model.SetThreads(1)
	c := Parity{pythonFlags: flags, Steps: 5, Batch: 8, Threads: 1, Float64: true}
	c.LR = c.rate()
	if c.LR != 1e-3 {
		t.Fatalf("learning rate %g, want the recipe's", c.LR)
	}
	cfg := model.Edge()
	cfg.LiDAR = model.PointsConfig{Points: 128, Planes: []int{8, 16, 32}, Strides: []int{1, 4, 4}, Neighbours: []int{8, 8, 8}}
	cfg.CSI.Height, cfg.CSI.Width = 16, 8
	rep, err := c.compare64(t.Context(), cfg, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.verdict(); err != nil {
		t.Error(err)
	}
	// Rounded to float32, the weights may all be the same; had training changed
	// nothing, their difference would be no number.
	if len(rep.Ours) != c.Steps || rep.Ours[0] == rep.Ours[c.Steps-1] || !(rep.Weights >= 0) {
		t.Errorf("report %+v", rep)
	}
	rep.Weights = math.NaN()
	if rep.verdict() == nil {
		t.Error("weights that are no numbers pass")
	}
}

// Weights trained in PyTorch come back as posefuse models import reads them.
func TestTrainedWeightsComeBack(t *testing.T) {
	testenv.Slow(t)
	flags := needTorch(t)
	keepThreads(t)
	dir := t.TempDir()
	c := Parity{pythonFlags: flags, Steps: 2, Batch: 4, LR: 1e-3, Threads: 1, Keep: dir}
	cfg := model.Edge()
	cfg.Modalities = "RM"
	if _, err := c.compare(t.Context(), cfg, dir); err != nil {
		t.Fatal(err)
	}
	net, err := model.New(cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "torch", "trained", "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err = net.ReadWeights(f); err != nil {
		t.Fatal(err)
	}
	batches, err := simulatedBatches(context.Background(), cfg, c.Batch, c.Steps)
	if err != nil {
		t.Fatal(err)
	}
	d, err := poseDifference(net, batches[0], c.Batch, filepath.Join(dir, "torch", "after.f32"))
	if err != nil || !(d <= outputBar) {
		t.Errorf("poses differ by %v, %v", d, err)
	}
	start, _, err := model.LoadCheckpoint(filepath.Join(dir, "start"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err = poseDifference(start, batches[0], c.Batch, filepath.Join(dir, "torch", "after.f32")); err != nil || d < 10*outputBar {
		t.Errorf("the weights did not change: %v, %v", d, err)
	}
}
