package bench

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"posefuse/model"
	"posefuse/train"
)

// start makes the network and the batches, writes them to the exchange folder
// and lets PyTorch train; its results are in theirs.
func (c Parity) start(ctx context.Context, cfg model.Config, dir string) (net *model.Network, batches []*model.Batch, theirs string, err error) {
	if net, err = model.New(cfg, 1); err != nil {
		return nil, nil, "", err
	}
	if batches, err = simulatedBatches(ctx, cfg, c.Batch, c.Steps); err != nil {
		return nil, nil, "", err
	}
	if c.MeanStart {
		setMeanPose(net, batches)
	}
	leaveTies(net)
	card := model.Card{Name: "parity", Window: model.Causal, Data: "none: initial weights"}
	if _, err = model.SaveCheckpoint(filepath.Join(dir, "start"), net, card); err != nil {
		return nil, nil, "", err
	}
	if err = writeBatches(filepath.Join(dir, "batches.f32"), cfg, batches); err != nil {
		return nil, nil, "", err
	}
	theirs = filepath.Join(dir, "torch")
	cmd := c.command(ctx, "parity.py", "--model", filepath.Join(dir, "start"), "--batches", filepath.Join(dir, "batches.f32"),
		"--batch", strconv.Itoa(c.Batch), "--steps", strconv.Itoa(c.Steps), "--lr", fmt.Sprint(c.LR),
		"--weight-decay", fmt.Sprint(train.PaperRecipe().WeightDecay), "--threads", strconv.Itoa(c.Threads), "--out", theirs)
	if c.Reference {
		cmd.Args = append(cmd.Args, "--reference")
	}
	if c.Float64 {
		cmd.Args = append(cmd.Args, "--float64")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, nil, "", fmt.Errorf("parity.py: %w\n%s", err, out)
	}
	return net, batches, theirs, nil
}

// compare writes the exchange folder, trains in both and compares.
func (c Parity) compare(ctx context.Context, cfg model.Config, dir string) (*parityReport, error) {
	net, batches, theirs, err := c.start(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	rep := &parityReport{Size: cfg.Size, Batch: c.Batch, LR: c.LR}
	if rep.EvalDiff, err = poseDifference(net, batches[0], c.Batch, filepath.Join(theirs, "eval.f32")); err != nil {
		return nil, err
	}
	if err = c.steps(net, batches[0], dir, rep); err != nil {
		return nil, err
	}
	if err = readJSON(filepath.Join(theirs, "losses.json"), &rep.Theirs); err != nil {
		return nil, err
	}
	if c.Reference {
		if err = readJSON(filepath.Join(theirs, "losses64.json"), &rep.Reference); err != nil {
			return nil, err
		}
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

// steps compares one pass of each with the reference.
func (c Parity) steps(net *model.Network, b *model.Batch, dir string, rep *parityReport) error {
	want, err := c.readStep(filepath.Join(dir, "torch"), "64")
	if err != nil {
		return err
	}
	theirs, err := c.readStep(filepath.Join(dir, "torch"), "")
	if err != nil {
		return err
	}
	if rep.PyTorchStep, err = errorsOf(theirs, want); err != nil {
		return err
	}
	ours, err := c.oneStep(net, b)
	if err != nil {
		return err
	}
	if c.Keep != "" {
		card := model.Card{Name: "gradients", Window: model.Causal, Data: "parameters are gradients"}
		if _, err = model.SaveCheckpoint(filepath.Join(dir, "step"), ours.net, card); err != nil {
			return err
		}
	}
	rep.Step, err = errorsOf(ours, want)
	return err
}

// stepErrors says how far one forward and backward pass in training mode is
// from PyTorch's in float64.
type stepErrors struct {
	Poses      float64 `json:"poses"`      // largest difference, as for EvalDiff
	Statistics float64 `json:"statistics"` // running statistics after the step, relative, worst tensor
	Gradients  float64 `json:"gradients"`  // relative, over all parameters
}

// stepResult is what a pass leaves: its poses, and a network whose parameters
// are the gradients.
type stepResult struct {
	poses []float32
	net   *model.Network
}

func (c Parity) readStep(dir, suffix string) (r stepResult, err error) {
	if r.poses, err = readFloats(filepath.Join(dir, "train"+suffix+".f32")); err != nil {
		return r, err
	}
	r.net, _, err = model.LoadCheckpoint(filepath.Join(dir, "step"+suffix))
	return r, err
}

// oneStep makes one forward and backward pass on a copy of net.
func (c Parity) oneStep(net *model.Network, b *model.Batch) (r stepResult, err error) {
	if r.net, err = net.Clone(); err != nil {
		return r, err
	}
	tr, err := model.NewTrainer(r.net, c.Batch, model.TrainerOptions{NoDropout: true})
	if err != nil {
		return r, err
	}
	defer tr.Close()
	if _, err = tr.ForwardBackward(b); err != nil {
		return r, err
	}
	r.poses = slices.Clone(tr.Predictions())
	for _, p := range r.net.Parameters() {
		if p.NoGrad {
			clear(p.Value)
		} else {
			copy(p.Value, p.Grad)
		}
	}
	return r, nil
}

// errorsOf compares a pass with the reference.
func errorsOf(have, want stepResult) (e stepErrors, err error) {
	if e.Poses, err = largestDifference(have.poses, want.poses); err != nil {
		return e, err
	}
	stats := have.net.Buffers()
	for i, w := range want.net.Buffers() {
		d, n := squaredDifference(stats[i].Value, w.Value)
		e.Statistics = max(e.Statistics, math.Sqrt(d/n))
	}
	var sumD, sumN float64
	grads := have.net.Parameters()
	for i, w := range want.net.Parameters() {
		d, n := squaredDifference(grads[i].Value, w.Value)
		sumD, sumN = sumD+d, sumN+n
	}
	e.Gradients = math.Sqrt(sumD / sumN)
	return e, nil
}

// train makes the steps of the paper's recipe and returns the loss before each.
func (c Parity) train(net *model.Network, batches []*model.Batch) ([]float64, error) {
	tr, err := model.NewTrainer(net, c.Batch, model.TrainerOptions{NoDropout: true})
	if err != nil {
		return nil, err
	}
	defer tr.Close()
	adam := model.NewAdam(net.Parameters(), train.PaperRecipe().WeightDecay)
	var losses []float64
	for _, b := range batches {
		loss, err := tr.ForwardBackward(b)
		if err != nil {
			return nil, err
		}
		adam.Step(c.LR)
		losses = append(losses, loss)
	}
	return losses, nil
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
