package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"posefuse/model"
	"posefuse/train"
)

// parity64Bar is what training in float64 may differ by after the last step:
// a thousandth of the bar, which rounding at 1e-16 leaves room for from batches of 8 on. Normalisation
// over 2 or 4 rows amplifies more: PyTorch does not repeat itself there either.
const parity64Bar = 1e-6

// parity64Report compares training in float64 on both sides.
type parity64Report struct {
	Size      string    `json:"size"`
	Batch     int       `json:"batch"`
	LR        float64   `json:"lr"`
	Ours      []float64 `json:"loss_m"`
	Theirs    []float64 `json:"pytorch_loss_m"`
	CurveDiff float64   `json:"curve_difference"` // relative, last step
	// Weights is the norm of the difference of the trained parameters by that of
	// what training changed in them. Both are rounded to float32 first.
	Weights    float64 `json:"weights_difference"`
	Statistics float64 `json:"statistics_difference"` // running statistics, relative, worst tensor
}

// compare64 trains in both in float64 and compares.
func (c Parity) compare64(ctx context.Context, cfg model.Config, dir string) (*parity64Report, error) {
	net, batches, theirs, err := c.start(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	rep := &parity64Report{Size: cfg.Size, Batch: c.Batch, LR: c.LR}
	if err = readJSON(filepath.Join(theirs, "losses64.json"), &rep.Theirs); err != nil {
		return nil, err
	}
	if len(rep.Theirs) != c.Steps {
		return nil, fmt.Errorf("PyTorch made %d steps, want %d", len(rep.Theirs), c.Steps)
	}
	trained, err := net.Clone()
	if err != nil {
		return nil, err
	}
	if rep.Ours, err = c.train64(trained, batches); err != nil {
		return nil, err
	}
	rep.CurveDiff = relative(rep.Ours[c.Steps-1], rep.Theirs[c.Steps-1])
	want, _, err := model.LoadCheckpoint(filepath.Join(theirs, "trained64"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = want.Close() }() // only read
	stats := trained.Buffers()
	for i, w := range want.Buffers() {
		d, n := squaredDifference(stats[i].Value, w.Value)
		rep.Statistics = max(rep.Statistics, math.Sqrt(d/n))
	}
	var sumD, sumChange float64
	before, after := net.Parameters(), trained.Parameters()
	for i, w := range want.Parameters() {
		d, _ := squaredDifference(after[i].Value, w.Value)
		change, _ := squaredDifference(before[i].Value, w.Value)
		sumD, sumChange = sumD+d, sumChange+change
	}
	rep.Weights = math.Sqrt(sumD / sumChange)
	return rep, nil
}

// train64 trains net in float64 by the paper's recipe and returns the loss
// before each step.
func (c Parity) train64(net *model.Network, batches []*model.Batch) ([]float64, error) {
	tr, err := model.NewReferenceTrainer(net, c.Batch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tr.Close() }() // releases memory only
	decay := train.PaperRecipe().WeightDecay
	var losses []float64
	for _, b := range batches {
		loss, err := tr.Step(b, c.LR, decay)
		if err != nil {
			return nil, err
		}
		losses = append(losses, loss)
	}
	return losses, tr.CopyTo(net)
}

func (r *parity64Report) print(out io.Writer) {
	fmt.Fprintf(out, "%s network, batch %d, learning rate %g, float64 against PyTorch's float64\n", r.Size, r.Batch, r.LR)
	fmt.Fprintf(out, "%6s %16s %16s %10s\n", "step", "loss m", "PyTorch m", "relative")
	for i := range r.Ours {
		fmt.Fprintf(out, "%6d %16.12f %16.12f %10.2e\n", i+1, r.Ours[i], r.Theirs[i], relative(r.Ours[i], r.Theirs[i]))
	}
	fmt.Fprintf(out, "after the last step, bar %.0g (the last two rounded to float32):\n", parity64Bar)
	fmt.Fprintf(out, "  loss, relative                               %.2g\n", r.CurveDiff)
	fmt.Fprintf(out, "  weights, by what training changed in them    %.2g\n", r.Weights)
	fmt.Fprintf(out, "  running statistics, relative, worst tensor   %.2g\n", r.Statistics)
}

// verdict names the first difference above the bar.
func (r *parity64Report) verdict() error {
	for _, x := range []struct {
		what string
		got  float64
	}{{"losses after the last step", r.CurveDiff}, {"trained weights", r.Weights}, {"running statistics", r.Statistics}} {
		if !(x.got <= parity64Bar) {
			return fmt.Errorf("parity in float64: %s differ by %.3g, more than %.0g", x.what, x.got, parity64Bar)
		}
	}
	return nil
}
