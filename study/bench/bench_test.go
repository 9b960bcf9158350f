package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// The bars are judged from the rows alone.
func TestPeersJudge(t *testing.T) {
	p := &peers{Peers: Peers{Threads: 2, Batch: []int{8}}, absent: map[string]string{peerORT: "not here\nat all"}}
	p.report.Rows = []*peerRow{
		{Task: "paper infer:RLMW", OursMS: peerTimes{MinMS: 3}, Peers: map[string]peerRun{peerTorch: {Ratio: 0.69}}},
		{Task: "paper infer:RLM", Peers: map[string]peerRun{peerTorch: {Ratio: 0.31}}},
		{Task: "paper infer:RLMW int8", OursMS: peerTimes{MinMS: 1, P99MS: 101}, Peers: map[string]peerRun{peerORT: {Ratio: 0.3}, peerORTInt8: {Ratio: 1.1}}},
		{Task: "paper infer:RLMW bf16", OursMS: peerTimes{MinMS: 2, P99MS: 99}, Peers: map[string]peerRun{peerORT: {Ratio: 0.4}}},
		{Task: "edge infer:RLMW", OursMS: peerTimes{MinMS: 7, MedianMS: 9}},
		{Task: "paper train:W:8", OursMS: peerTimes{Bytes: 200}, Peers: map[string]peerRun{peerTorch: {Ratio: 1, peerTimes: peerTimes{Bytes: 100}}}},
	}
	p.report.Costs = []modeCost{
		{Mode: model.Int8, Network: "x", MPJPEFloat32MM: 70, MPJPEMM: 70.1, CSIFloat32MM: 90, CSIMM: 89.4}, // the fastest, and too dear
		{Mode: model.BFloat16, Network: "x", MPJPEFloat32MM: 70, MPJPEMM: 69.6, CSIFloat32MM: 90, CSIMM: 90.1},
	}
	p.judge()
	got := map[string]string{}
	for _, b := range p.report.Bars {
		state := "missed"
		if b.Met {
			state = "met"
		} else if b.Missing != "" {
			state = b.Missing
		}
		got[b.Bar+" "+b.Unit] = state
	}
	for bar, want := range map[string]string{
		"paper size, all four, float32 of PyTorch":         "met",
		"paper size, all four, float32 of ONNX Runtime":    "not here",
		"paper size, all four, int8 of ONNX Runtime, int8": "missed",
		"paper size, R + L + M, float32 of PyTorch":        "missed",
		"training step of W, batch 8 of PyTorch":           "met",
		"memory of training W, batch 8 of PyTorch":         "missed",
		"training step of RLMW, batch 8 of PyTorch":        "not measured",
		"allocations per inference allocations":            "met",

		"paper size, all four, fastest mode (bf16) of ONNX Runtime": "met",
		"paper size, all four, bf16, p99 on 2 core(s) ms":           "met",
		"MPJPE of bf16 against float32, x mm":                       "met",
		"edge, all four, on one core ms":                            "missed",
	} {
		if got[bar] != want {
			t.Errorf("%s: %q, want %q", bar, got[bar], want)
		}
	}
	p.report.Costs[1].MPJPEMM, p.report.Costs[1].CSIMM, p.report.Bars = 70, 90, nil
	p.judge()
	if !slices.ContainsFunc(p.report.Bars, func(b barResult) bool { return !b.Met && strings.Contains(b.Missing, "WiFi encoder") }) {
		t.Errorf("a network that the precision does not touch: %+v", p.report.Bars)
	}
}

// A missed bar is an error, one that could not be measured is not.
func TestPeersFailOnMissedBars(t *testing.T) {
	r := peersReport{Bars: []barResult{{Met: true}, {Missing: "not here"}}}
	if err := r.missed(); err != nil {
		t.Error(err)
	}
	r.Bars = append(r.Bars, barResult{Measured: 2, Limit: 1})
	if err := r.missed(); err == nil || !strings.Contains(err.Error(), "1 of 3 bars not met") {
		t.Errorf("missed bar: %v", err)
	}
}

// The cost of the precisions that were timed is measured on a trained network.
func TestPeersMeasureAccuracy(t *testing.T) {
	const dir = "../../model/checkpoints/paper" // whose WiFi encoder says something
	p := &peers{Peers: Peers{Model: dir}}
	p.report.Rows = []*peerRow{{Task: "paper infer:RLMW"}, {Task: "paper infer:RLMW int8"}}
	if err := p.accuracy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(p.report.Costs) != 1 {
		t.Fatalf("costs %+v", p.report.Costs)
	}
	c := p.report.Costs[0]
	if c.Mode != model.Int8 || c.Frames < 32 || c.MPJPEFloat32MM < 20 || c.MPJPEFloat32MM > 120 || !(c.worst() > 0 && c.worst() < dearest) {
		t.Errorf("cost %+v", c)
	}
	if out := string(printed(t, func(w io.Writer) error { p.judge(); p.report.print(w); return nil })); !strings.Contains(out, "int8, edge of "+dir+", 64 frames of simulated") {
		t.Errorf("printed:\n%s", out)
	}
	p.Model = t.TempDir()
	if err := p.accuracy(t.Context()); err == nil || !strings.Contains(err.Error(), p.Model) {
		t.Errorf("no checkpoint: %v", err)
	}
}

// A peer that is not installed is left out by name, with the way to get it.
func TestPeersNameWhatIsMissing(t *testing.T) {
	p := &peers{Peers: Peers{pythonFlags: pythonFlags{Python: "/nowhere/python", Scripts: scripts()}, Node: "/nowhere/node"}}
	if err := p.check(t.Context()); err == nil || !strings.Contains(err.Error(), "apt-get install python3-torch") {
		t.Errorf("PyTorch: %v", err)
	}
	if err := p.checkNode(t.Context()); err == nil || !strings.Contains(err.Error(), "npm ci --prefix") {
		t.Errorf("ONNX Runtime: %v", err)
	}
	p.Scripts = t.TempDir()
	if err := p.check(t.Context()); err == nil || !strings.Contains(err.Error(), "--scripts") {
		t.Errorf("scripts: %v", err)
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

// What time.py answers is what bench peers reads.
func TestPyTorchServes(t *testing.T) {
	testenv.Slow(t)
	p := &peers{Peers: Peers{pythonFlags: needTorch(t), Threads: 1}, dir: t.TempDir(), torch: map[torchKey]*torchServer{}}
	net, err := randomNetwork("edge")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = model.SaveCheckpoint(filepath.Join(p.dir, "edge"), net, model.Card{Name: "edge", Window: model.Causal}); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for task, modes := range map[string][]string{"infer:RM": inferModes, "train:R:2": trainModes, "infer:RW": lowModes[model.Int8]} {
		for _, only := range append([][]string{modes}, singles(modes)...) {
			best, err := p.bestTorch(t.Context(), "edge", task, only)
			if err != nil {
				t.Fatal(err)
			}
			got, err := best.run(3)
			if err != nil || len(got) != 3 || got.min() <= 0 || !slices.Contains(only, best.mode) {
				t.Errorf("%s, mode %q of %v: %v, %v", task, best.mode, only, got, err)
			}
		}
	}
	p.forgetTorch()
	if len(p.report.Notes) != 0 {
		t.Errorf("notes %q", p.report.Notes)
	}
	if best, err := p.bestTorch(t.Context(), "edge", "infer:R", []string{"static", "eager"}); err != nil || best.mode != "eager" {
		t.Errorf("static without the WiFi trunk: mode %q, %v", best.mode, err)
	}
	if len(p.report.Notes) != 1 || !strings.Contains(p.report.Notes[0], "infer:R static") {
		t.Errorf("a mode that fails: notes %q", p.report.Notes)
	}
	if _, err := p.bestTorch(t.Context(), "edge", "dance:R", []string{"x"}); !errors.Is(err, errAbsent) {
		t.Errorf("an unknown task: %v", err)
	}
}

// singles returns each mode alone.
func singles(modes []string) (each [][]string) {
	for _, m := range modes {
		each = append(each, []string{m})
	}
	return each
}

// What time.mjs prints is what bench peers reads.
func TestONNXRuntimeIsTimed(t *testing.T) {
	p := &peers{Peers: Peers{pythonFlags: pythonFlags{Scripts: scripts()}, Node: "node", Threads: 1}, dir: t.TempDir()}
	if err := p.checkNode(t.Context()); err != nil {
		t.Fatalf("%v: or run make need-ort", err)
	}
	net, err := randomNetwork("edge")
	if err != nil {
		t.Fatal(err)
	}
	mask := modality.Of(modality.Camera, modality.CSI)
	for _, precision := range []model.Precision{model.Float32, model.Int8} {
		ways, err := p.withORT(t.Context(), nil, net, mask, precision)
		if err != nil || len(ways) != 1 {
			t.Fatalf("%s on one thread: %d ways, %v", precision, len(ways), err)
		}
		got, err := ways[0].run(3)
		if err != nil || len(got) != 3 || got.min() <= 0 {
			t.Errorf("%s: %v, %v", ways[0].name, got, err)
		}
	}
	file, err := p.export(net, mask, model.Float32)
	if err != nil {
		t.Fatal(err)
	}
	ways, err := p.ortWays(t.Context(), peerORT, file, 2)
	if err != nil || len(ways) != 2 || ways[0].mode == ways[1].mode {
		t.Fatalf("two threads: %d ways, %v", len(ways), err)
	}
	for _, w := range ways {
		if got, err := w.run(1); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", w.mode, got, err)
		}
	}
	p.absent = map[string]string{peerORT: "gone"}
	if _, err := p.export(net, 1, model.Float32); !errors.Is(err, errAbsent) {
		t.Errorf("an absent peer: %v", err)
	}
}

// A peer counts in its best mode, by the ratio over the rounds.
func TestPeersCountInTheirBestMode(t *testing.T) {
	p := &peers{Peers: Peers{Rounds: 3, Runs: 2, JSON: true}}
	always := func(ms float64) func(int) (timings, error) {
		return func(runs int) (timings, error) { return slices.Repeat(timings{ms}, runs), nil }
	}
	row, err := p.compete("task", []contestant{
		{run: always(2)},
		{name: peerORT, mode: "spinning", run: always(8)},
		{name: peerORT, mode: "not spinning", run: always(4)},
		{name: peerTorch, mode: "frozen", run: always(10)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if q := row.Peers[peerORT]; q.Mode != "not spinning" || q.Ratio != 0.5 || q.MinMS != 4 {
		t.Errorf("ONNX Runtime counts as %+v", q)
	}
	if q := row.Peers[peerTorch]; q.Ratio != 0.2 || len(row.Peers) != 2 || len(row.Modes) != 3 {
		t.Errorf("%d peers, %d modes; PyTorch counts as %+v", len(row.Peers), len(row.Modes), q)
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
