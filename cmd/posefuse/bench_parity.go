package main

import (
	"context"
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"posefuse/model"
	"posefuse/model/nn/kernel"
	"posefuse/model/train"
	"posefuse/replay/sim"
)

// pythonFlags say where PyTorch and the scripts are.
type pythonFlags struct {
	Python  string `default:"/usr/bin/python3" help:"Python with PyTorch (Debian: apt-get install python3-torch libopenblas0-openmp)."`
	Scripts string `default:"bench" placeholder:"DIR" help:"Folder bench of the repository, which holds the peers' scripts."`
}

// command prepares a run of a script of bench/torch.
func (p pythonFlags) command(ctx context.Context, script string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, p.Python, append([]string{filepath.Join(p.Scripts, "torch", script)}, args...)...) //nolint:gosec // the user names the interpreter
}

// check reports what is missing, with the command that installs it.
func (p pythonFlags) check(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.Scripts, "torch", "network.py")); err != nil {
		return fmt.Errorf("%w: run in the repository's root, or name its folder bench with --scripts", err)
	}
	if out, err := exec.CommandContext(ctx, p.Python, "-c", "import torch").CombinedOutput(); err != nil { //nolint:gosec // the user names the interpreter
		return fmt.Errorf("%s cannot import torch (%w): apt-get install python3-torch libopenblas0-openmp, or name another interpreter with --python\n%s", p.Python, err, out)
	}
	return nil
}

type benchParityCmd struct {
	pythonFlags
	Size      string  `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Steps     int     `default:"20" help:"Training steps."`
	Batch     int     `default:"4" help:"Samples per step."`
	LR        float64 `name:"lr" default:"0.001" help:"Learning rate."`
	MeanStart bool    `help:"Start with the output at the mean training pose, as training does; harder, because the loss is smaller."`
	Threads   int     `default:"1" help:"CPU threads."`
	Keep      string  `placeholder:"DIR" help:"Keep the exchanged files in DIR."`
	JSON      bool    `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (benchParityCmd) Help() string {
	return "Trains on simulated sensors with dropout off, in both from the same weights and batches.\n\n" +
		"Example:\n\n  posefuse bench parity --size paper --steps 20 --batch 4 --threads 2"
}

// The bars of reference/engine.md and issue 3.
const (
	outputBar = 1e-4 // of poses, metres, relative above one metre
	curveBar  = 1e-3 // relative difference of the loss after the last step
)

// parityReport is what the comparison found. Differences of poses are the
// largest over the batch, metres, divided by the largest pose value above 1.
type parityReport struct {
	Size          string    `json:"size"`
	Batch         int       `json:"batch"`
	EvalDiff      float64   `json:"eval_difference"`       // running statistics
	TrainDiff     float64   `json:"train_difference"`      // batch statistics
	StatsDiff     float64   `json:"statistics_difference"` // of running statistics after one step, relative, worst tensor
	GradDiff      float64   `json:"gradient_difference"`   // relative, over all parameters
	WorstGrad     string    `json:"worst_gradient"`
	WorstGradDiff float64   `json:"worst_gradient_difference"`
	Ours          []float64 `json:"loss_m"`
	Theirs        []float64 `json:"pytorch_loss_m"`
	CurveDiff     float64   `json:"curve_difference"`      // relative, last step
	RoundTripDiff float64   `json:"round_trip_difference"` // PyTorch's trained weights in this runtime
}

// Run compares and fails if a bar is missed.
func (c benchParityCmd) Run(ctx context.Context) error {
	if c.Batch < 2 || c.Steps < 1 {
		return fmt.Errorf("--batch %d, --steps %d: want at least 2 samples and 1 step", c.Batch, c.Steps)
	}
	if err := c.check(ctx); err != nil {
		return err
	}
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return err
	}
	kernel.SetThreads(c.Threads)
	dir := c.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "posefuse-parity-"); err != nil {
			return fmt.Errorf("exchange folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // a leftover below /tmp harms nobody
	}
	rep, err := c.compare(ctx, cfg, dir)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(rep); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	} else {
		rep.print()
	}
	return rep.verdict()
}

func (r *parityReport) print() {
	fmt.Printf("%s network, batch %d, against PyTorch\n", r.Size, r.Batch)
	fmt.Printf("  poses, running statistics        largest difference %.2g (bar %.0g)\n", r.EvalDiff, outputBar)
	fmt.Printf("  poses, batch statistics          largest difference %.2g (bar %.0g)\n", r.TrainDiff, outputBar)
	fmt.Printf("  running statistics after a step  relative %.2g\n", r.StatsDiff)
	fmt.Printf("  gradients                        relative %.2g; worst %s %.2g\n", r.GradDiff, r.WorstGrad, r.WorstGradDiff)
	fmt.Printf("  trained by PyTorch, run here     largest difference %.2g (bar %.0g)\n", r.RoundTripDiff, outputBar)
	fmt.Printf("%6s %14s %14s %12s\n", "step", "loss m", "PyTorch m", "relative")
	for i := range r.Ours {
		fmt.Printf("%6d %14.7f %14.7f %12.2e\n", i+1, r.Ours[i], r.Theirs[i], relative(r.Ours[i], r.Theirs[i]))
	}
}

func (r *parityReport) verdict() error {
	for _, x := range []struct {
		what     string
		got, bar float64
	}{{"poses with running statistics", r.EvalDiff, outputBar}, {"poses with batch statistics", r.TrainDiff, outputBar},
		{"poses of the weights PyTorch trained", r.RoundTripDiff, outputBar}, {"loss after the last step", r.CurveDiff, curveBar}} {
		if !(x.got <= x.bar) {
			return fmt.Errorf("parity: %s differ by %.3g, more than %.0g", x.what, x.got, x.bar)
		}
	}
	return nil
}

func relative(a, b float64) float64 { return math.Abs(a-b) / math.Abs(b) }

// compare writes the exchange folder, trains in both and compares.
func (c benchParityCmd) compare(ctx context.Context, cfg model.Config, dir string) (*parityReport, error) {
	net, err := model.New(cfg, 1)
	if err != nil {
		return nil, err
	}
	batches, err := simulatedBatches(ctx, cfg, c.Batch, c.Steps)
	if err != nil {
		return nil, err
	}
	if c.MeanStart {
		setMeanPose(net, batches)
	}
	card := model.Card{Name: "parity", Window: model.Causal, Data: "none: initial weights"}
	if _, err = model.SaveCheckpoint(filepath.Join(dir, "start"), net, card); err != nil {
		return nil, err
	}
	if err = writeBatches(filepath.Join(dir, "batches.f32"), cfg, batches); err != nil {
		return nil, err
	}
	theirs := filepath.Join(dir, "torch")
	cmd := c.command(ctx, "parity.py", "--model", filepath.Join(dir, "start"), "--batches", filepath.Join(dir, "batches.f32"),
		"--batch", strconv.Itoa(c.Batch), "--steps", strconv.Itoa(c.Steps), "--lr", fmt.Sprint(c.LR), "--threads", strconv.Itoa(c.Threads), "--out", theirs)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("parity.py: %w\n%s", err, out)
	}
	rep := &parityReport{Size: cfg.Size, Batch: c.Batch}
	if rep.EvalDiff, err = poseDifference(net, batches[0], c.Batch, filepath.Join(theirs, "eval.f32")); err != nil {
		return nil, err
	}
	if err = c.oneStep(net, batches[0], theirs, rep); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(theirs, "losses.json"))
	if err != nil {
		return nil, fmt.Errorf("PyTorch's losses: %w", err)
	}
	if err = json.Unmarshal(b, &rep.Theirs); err != nil {
		return nil, fmt.Errorf("PyTorch's losses: %w", err)
	}
	if rep.Ours, err = c.train(net, batches); err != nil {
		return nil, err
	}
	if len(rep.Theirs) != len(rep.Ours) {
		return nil, fmt.Errorf("PyTorch made %d steps, want %d", len(rep.Theirs), len(rep.Ours))
	}
	rep.CurveDiff = relative(rep.Ours[c.Steps-1], rep.Theirs[c.Steps-1])
	back, _, err := model.LoadCheckpoint(filepath.Join(theirs, "trained"))
	if err != nil {
		return nil, err
	}
	rep.RoundTripDiff, err = poseDifference(back, batches[0], c.Batch, filepath.Join(theirs, "after.f32"))
	return rep, err
}

// oneStep compares one forward and backward pass on a copy of net.
func (c benchParityCmd) oneStep(net *model.Network, b *model.Batch, theirs string, rep *parityReport) error {
	net, err := net.Clone()
	if err != nil {
		return err
	}
	tr, err := model.NewTrainer(net, c.Batch, model.TrainerOptions{NoDropout: true})
	if err != nil {
		return err
	}
	defer tr.Close()
	if _, err = tr.ForwardBackward(b); err != nil {
		return err
	}
	poses, err := readFloats(filepath.Join(theirs, "train.f32"))
	if err != nil {
		return err
	}
	if rep.TrainDiff, err = largestDifference(tr.Predictions(), poses); err != nil {
		return err
	}
	step, _, err := model.LoadCheckpoint(filepath.Join(theirs, "step"))
	if err != nil {
		return err
	}
	for i, want := range step.Buffers() {
		d, n := squaredDifference(net.Buffers()[i].Value, want.Value)
		rep.StatsDiff = max(rep.StatsDiff, math.Sqrt(d/n))
	}
	var sumD, sumN float64
	ours := net.Parameters()
	type part struct {
		name string
		d, n float64
	}
	var parts []part
	for i, want := range step.Parameters() {
		if ours[i].NoGrad {
			continue
		}
		d, n := squaredDifference(ours[i].Grad, want.Value)
		sumD, sumN = sumD+d, sumN+n
		parts = append(parts, part{want.Name, d, n})
	}
	rep.GradDiff = math.Sqrt(sumD / sumN)
	for _, p := range parts {
		// Biases in front of a batch normalisation have a gradient of zero but
		// for rounding: there is nothing to compare.
		if p.n < 1e-10*sumN/float64(len(parts)) {
			continue
		}
		if r := math.Sqrt(p.d / p.n); r > rep.WorstGradDiff {
			rep.WorstGrad, rep.WorstGradDiff = p.name, r
		}
	}
	return nil
}

// train makes the steps of the paper's recipe and returns the loss before each.
func (c benchParityCmd) train(net *model.Network, batches []*model.Batch) ([]float64, error) {
	tr, err := model.NewTrainer(net, c.Batch, model.TrainerOptions{NoDropout: true})
	if err != nil {
		return nil, err
	}
	defer tr.Close()
	adam := newAdamState(net)
	recipe := train.PaperRecipe()
	var losses []float64
	for _, b := range batches {
		loss, err := tr.ForwardBackward(b)
		if err != nil {
			return nil, err
		}
		adam.step(c.LR, recipe.WeightDecay)
		losses = append(losses, loss)
	}
	return losses, nil
}

// adamState is Adam over all parameters of a network.
type adamState struct {
	params []*model.Parameter
	m, v   [][]float32
	count  int
}

func newAdamState(net *model.Network) *adamState {
	a := &adamState{params: net.Parameters()}
	for _, p := range a.params {
		a.m, a.v = append(a.m, make([]float32, len(p.Value))), append(a.v, make([]float32, len(p.Value)))
	}
	return a
}

func (a *adamState) step(lr, decay float64) {
	a.count++
	s := kernel.AdamStep{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: decay, Step: a.count}
	for i, p := range a.params {
		if !p.NoGrad {
			s.Apply(p.Value, p.Grad, a.m[i], a.v[i])
		}
	}
}

// simulatedBatches returns batches of simulated frames of several people and
// activities.
func simulatedBatches(ctx context.Context, cfg model.Config, batch, steps int) ([]*model.Batch, error) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi"})
	if err != nil {
		return nil, err
	}
	all := ds.Keys()
	clips := min(8, batch*steps, len(all))
	keys := all[:0:0]
	for i := range clips {
		keys = append(keys, all[i*len(all)/clips])
	}
	const frames = 297
	data, err := train.Load(ctx, ds, keys, cfg, train.LoadOptions{Window: model.Causal, Stride: max(1, frames*clips/(2*batch*steps))})
	if err != nil {
		return nil, err
	}
	order := rand.New(rand.NewPCG(1, 3)).Perm(len(data.Samples))
	out := make([]*model.Batch, steps)
	for s := range out {
		out[s] = data.NewBatch(batch)
		for row := range batch {
			data.Fill(out[s], row, data.Samples[order[(s*batch+row)%len(order)]])
		}
	}
	return out, nil
}

func setMeanPose(net *model.Network, batches []*model.Batch) {
	for _, p := range net.Parameters() {
		if p.Modality >= 0 || len(p.Shape) != 1 || len(p.Value) != model.OutputDim {
			continue
		}
		n := 0
		sum := make([]float64, model.OutputDim)
		for _, b := range batches {
			for i, v := range b.Target {
				sum[i%model.OutputDim] += float64(v)
			}
			n += len(b.Target) / model.OutputDim
		}
		for i := range p.Value {
			p.Value[i] = float32(sum[i] / float64(n))
		}
	}
}

// writeBatches writes all values as little-endian float32, step by step:
// inputs in the order of the modalities, then the target.
func writeBatches(path string, cfg model.Config, batches []*model.Batch) error {
	mask := cfg.Mask()
	var out []byte
	for _, b := range batches {
		for m, x := range [][]float32{b.Camera, b.LiDAR, b.Radar, b.CSI, b.Target} {
			if m < model.NumModalities && !mask.Has(m) {
				continue
			}
			for _, v := range x {
				out = le.LittleEndian.AppendUint32(out, math.Float32bits(v))
			}
		}
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		return fmt.Errorf("write batches: %w", err)
	}
	return nil
}

func readFloats(path string) ([]float32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("PyTorch's result: %w", err)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(le.LittleEndian.Uint32(b[4*i:]))
	}
	return out, nil
}

// poseDifference compares a runtime's poses of a batch with those in a file.
func poseDifference(net *model.Network, b *model.Batch, batch int, path string) (float64, error) {
	want, err := readFloats(path)
	if err != nil {
		return 0, err
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return 0, err
	}
	have := make([]float32, batch*model.OutputDim)
	if err := run.InferBatch(b, batch, have); err != nil {
		return 0, err
	}
	return largestDifference(have, want)
}

// largestDifference divides by the largest wanted value above 1.
func largestDifference(have, want []float32) (float64, error) {
	if len(have) != len(want) {
		return 0, fmt.Errorf("compare poses: %d values, want %d", len(have), len(want))
	}
	d, top := 0.0, 1.0
	for i, w := range want {
		d = max(d, math.Abs(float64(have[i])-float64(w)))
		top = max(top, math.Abs(float64(w)))
	}
	return d / top, nil
}

// squaredDifference returns the squared norms of have - want and of want.
func squaredDifference(have, want []float32) (d, n float64) {
	for i, w := range want {
		x := float64(have[i]) - float64(w)
		d += x * x
		n += float64(w) * float64(w)
	}
	return d, n
}
