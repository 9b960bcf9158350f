// Package retrain makes a candidate of the model that serves: it trains it
// further on a room's recordings beside some of those it was trained on, and
// compares both on labelled recordings that neither saw. It decides nothing by
// the loss that it trains on.
package retrain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/train"
)

// Job is one retraining.
type Job struct {
	Base *model.Network // that serves; it is only read
	Card model.Card     // its card
	Name string         // it in the registry, or registry.Shipped

	// Labelled recordings are cut, each clip alike: three fifths to train on, a
	// fifth to stop by, a fifth for the gate. Unlabelled ones are labelled by the
	// model itself. Judge are labelled ones for the gate only.
	Labelled, Unlabelled, Judge []train.Selection
	// Old are recordings that the serving model was trained on, replayed so that
	// it forgets nothing: beside labels, what is learned of them are its own poses.
	// OldJudge are those it was judged by, OldStop others of those, by which what it
	// forgets is weighed against what it learns.
	Old, OldStop, OldJudge train.Selection
	// Every Stride-th frame of new recordings and every OldStride-th of old ones is
	// trained on; the gate sees every frame of the last fifth of labelled ones.
	Stride, OldStride int

	Epochs   int
	Patience int // epochs without a better one before it stops early
	Batch    int
	LR       float64
	Seed     uint64
	Replicas int
	Dropout  float64      // see train.Options
	Method   train.Method // AWC; nil trains plainly
	// SureShare is the share of unlabelled samples that are used, those of lowest
	// sigma_mm.
	SureShare float64
	Rule      Rule

	// Provenance tells where labels come from, a sentence each; for the card.
	Provenance []string

	Work        string // folder of the state to resume from
	MemoryBytes int64  // it may take; 0: any

	// What follows may be nil.
	Wait  func(context.Context)  // called often; sleeps to keep to a budget
	Tell  func(Progress)         // called from several goroutines
	Ready func(trained, old int) // before the first step: samples of each kind
}

// Stages of a retraining.
const (
	Loading  = "loading"
	Training = "training"
	Judging  = "judging"
)

// Progress is how far a retraining is.
type Progress struct {
	Stage string
	Share float64 // of the stage, 0..1
	// Epoch is set after each, beginning with the serving model's own figures.
	Epoch *train.EpochInfo
}

// Result is a trained candidate.
type Result struct {
	Net  *model.Network
	Card model.Card
	Gate *registry.Gate
	// Epoch is the one kept, of the Epochs that were trained.
	Epoch, Epochs int
	// Share of its weights is the candidate's, the rest the serving model's.
	Share float64
	// OldJudge is what was loaded of the old recordings for the gate, nil without.
	OldJudge *train.Data
}

// errEnough ends a training that has not become better for a while.
var errEnough = errors.New("no better for a while")

// MemoryError says that a retraining would take more than it may.
type MemoryError struct{ Need, Limit int64 }

func (e *MemoryError) Error() string {
	return fmt.Sprintf("retraining would take about %d MiB, and %d are allowed", e.Need>>20, e.Limit>>20)
}

// Check reports a job that cannot work, before anything is read.
func (j *Job) Check() error {
	switch {
	case len(j.Labelled)+len(j.Unlabelled) == 0:
		return errors.New("retrain: no recordings to train on")
	case len(j.Labelled)+len(j.Judge) == 0:
		return errors.New("retrain: no labelled recordings to judge by: what a model taught itself is never promoted by its own loss")
	case j.Patience < 1 || j.Epochs < 1:
		return fmt.Errorf("retrain: %d epochs, stopping after %d without a better one: want at least 1", j.Epochs, j.Patience)
	case !(j.SureShare > 0 && j.SureShare <= 1):
		return fmt.Errorf("retrain: a share %g of unlabelled frames: want above 0 to 1", j.SureShare)
	}
	return j.Rule.Check()
}

// Run trains and compares. Ended by ctx or in any other way, it goes on from the
// last epoch when it is run again with the same work folder.
func (j *Job) Run(ctx context.Context) (*Result, error) {
	if err := j.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d, err := j.load(ctx)
	if err != nil {
		return nil, err
	}
	net, err := j.Base.Clone()
	if err != nil {
		return nil, err
	}
	r := &Result{Net: net, Card: j.card(d)}
	if err = j.train(ctx, cancel, r, d); err != nil {
		return nil, err
	}
	j.tell(Progress{Stage: Judging})
	if err = j.average(ctx, r, d); err != nil {
		return nil, err
	}
	if err = j.judge(ctx, r, d); err != nil {
		return nil, err
	}
	j.tell(Progress{Stage: Judging, Share: 1})
	return r, nil
}

// train leaves the best epoch's weights in the result.
func (j *Job) train(ctx context.Context, cancel context.CancelCauseFunc, r *Result, d *data) error {
	best := &train.Best{}
	opt := train.Options{Epochs: j.Epochs, Batch: j.Batch, LR: j.LR, WeightDecay: train.PaperRecipe().WeightDecay, Seed: j.Seed,
		Replicas: j.Replicas, Dropout: j.Dropout, Method: j.Method, Validation: d.stop, Best: best,
		// A student of its own teacher learns by being noisier (noisy student, Xie et al. 2020).
		InUse:      len(j.Labelled) > 0,
		Checkpoint: filepath.Join(j.Work, "state"), Resume: true}
	if err := os.MkdirAll(j.Work, 0o755); err != nil {
		return fmt.Errorf("retrain: %w", err)
	}
	if j.Base.Config.RecipeName() == model.RecipeRoom { // few people and movements must go far
		usual := train.UsualVariation(j.Base.Config.Mask())
		// Mirrored, turned or lowered samples would be of other rooms.
		opt.Vary = &train.Variation{KeypointM: usual.KeypointM, JitterM: usual.JitterM, DropPoints: usual.DropPoints}
	}
	opt.Start = func(s train.StartInfo) {
		if need := d.bytes() + s.ActivationBytes + s.StateBytes + s.StateBytes/2; j.MemoryBytes > 0 && need > j.MemoryBytes { // the best weights, too
			cancel(&MemoryError{need, j.MemoryBytes})
		}
	}
	opt.Step = func(s train.StepInfo) {
		j.tell(Progress{Stage: Training, Share: s.Share})
		j.wait(ctx)
	}
	var taught error
	opt.Resumed = func(i train.ResumeInfo) {
		r.Epochs = i.Epoch
		if d.teacher != nil && i.Epoch > 0 {
			taught = d.teacher.resume(ctx)
		}
	}
	opt.AfterEpoch = func(e train.EpochInfo) error {
		r.Epochs = e.Epoch
		j.tell(Progress{Stage: Training, Share: float64(e.Epoch) / float64(j.Epochs), Epoch: &e})
		if taught != nil {
			return taught
		}
		if d.teacher != nil {
			if err := d.teacher.learn(ctx, r.Net); err != nil {
				return err
			}
		}
		if e.Epoch-best.Epoch >= j.Patience {
			return errEnough
		}
		return nil
	}
	if j.Ready != nil {
		j.Ready(len(d.all.Samples)-d.old, d.old)
	}
	if err := train.Run(ctx, r.Net, d.all, opt); err != nil && !errors.Is(err, errEnough) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return fmt.Errorf("retrain: %w", err)
	}
	r.Epoch = best.Epoch
	r.Card.Metrics = map[string]float64{"stop_mpjpe_mm": best.ValMM}
	return best.CopyTo(r.Net)
}

// judge compares the candidate with the serving model, and measures how far off
// its poses are.
func (j *Job) judge(ctx context.Context, r *Result, d *data) error {
	var figures []comparison
	for _, s := range []struct {
		name string
		data *train.Data
	}{{NewSet, d.newJudge}, {OldSet, d.oldJudge}} {
		if s.data == nil {
			continue
		}
		f, err := compare(ctx, s.name, j.Base, r.Net, s.data)
		if err != nil {
			return err
		}
		figures = append(figures, f...)
		r.Card.Metrics[s.name+"_"+r.Net.Config.Modalities+"_mpjpe_mm"] = f[0].AfterMM
	}
	r.Gate = j.Rule.Judge(figures, j.Name, time.Now())
	r.OldJudge = d.oldJudge
	if r.Share < 1 {
		r.Card.Notes = strings.TrimPrefix(fmt.Sprintf("%s; the weights are %g of the trained ones, the rest is the parent's", r.Card.Notes, r.Share), "; ")
	}
	if i := slices.IndexFunc(r.Gate.Figures, func(f registry.Figure) bool { return f.Set == OldSet && f.Group == allSensors }); i >= 0 && j.Card.Envelope != nil {
		if c := r.Gate.Figures[i].ChangePercent(); c <= j.Rule.LimitPercent {
			r.Card.Envelope = j.Card.Envelope // held in those rooms, as far as they were looked at
			r.Card.Notes = strings.TrimPrefix(fmt.Sprintf("%s; the envelope was measured with the parent, from whose error on old recordings its own differs by %+.1f %%", r.Card.Notes, c), "; ")
		}
	}
	all, err := train.Join(d.judges()...)
	if err != nil {
		return err
	}
	r.Card.KnownErrors, err = train.MeasureErrors(ctx, r.Net, all, all.Describe())
	return err
}

// card is the candidate's, but for its name, version and figures. What was
// measured of the serving model is not the candidate's.
func (j *Job) card(d *data) model.Card {
	c := j.Card
	c.Parent, c.Quantization, c.Envelope, c.KnownErrors, c.AngleSDDeg, c.MovementShare = j.Card.SHA256, nil, nil, nil, nil, nil
	c.Data = fmt.Sprintf("%s %s (%s), trained further on %d frames of %s", j.Card.Name, j.Card.Version, j.Card.Data, len(d.all.Samples), d.all.Describe())
	c.Split = "of each new clip three fifths trained on, one stopped by, one judged by"
	c.Notes = strings.Join(j.Provenance, "; ")
	if d.teacher != nil {
		c.Notes = strings.TrimPrefix(fmt.Sprintf("%s; %d frames of %s were labelled by the model itself, as an average over epochs", c.Notes, len(d.teacher.data.Samples), d.teacher.data.Describe()), "; ")
	}
	return c
}

func (j *Job) tell(p Progress) {
	if j.Tell != nil {
		j.Tell(p)
	}
}

func (j *Job) wait(ctx context.Context) {
	if j.Wait != nil {
		j.Wait(ctx)
	}
}
