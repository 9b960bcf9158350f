package train

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// GarbagePercent bounds garbage while training. Samples, activations and
// weights hold no pointers: collecting beside them is cheap, and memory is what
// bounds the batch.
const GarbagePercent = 10

// Options is the training recipe. The zero value is not usable; see
// PaperRecipe.
type Options struct {
	Epochs       int
	HeadEpochs   int // epochs of the fusion head alone after them, see trainHead
	Batch        int
	LR           float64
	DecayEvery   int     // epochs after which the learning rate falls to a tenth
	WeightDecay  float64 // coupled, as in the paper's Adam
	Seed         uint64
	Replicas     int      // copies that share each batch, see replicas; 1 if 0
	Dropout      float64  // share of samples in which a random coalition replaces the full one, 0..1
	InUse        bool     // see model.TrainerOptions
	MeanStart    bool     // begin with the head's bias at the mean training pose
	Begun        []string // checkpoints that the weights came from, for the state to resume from
	TimeLimit    time.Duration
	ScheduleTime time.Duration // if set, the schedule follows elapsed time instead of epochs

	// Method balances the modalities; nil trains plainly. It belongs to one
	// training.
	Method Method
	// Validation is scored after each epoch, and what G-Blending measures
	// overfitting on. It is never trained on; may be nil.
	Validation *Data
	// Augment varies the radar samples trained on; nil leaves them as they are.
	Augment *Augment
	// Vary varies the samples trained on of a network for any room; nil leaves
	// them as they are.
	Vary *Variation

	// Checkpoint is a folder of the training's own into which its state is
	// written at the start and after each epoch: weights, optimiser, method
	// and curve, on the disk for sure and switched by one rename, so that
	// whatever ends the process leaves a whole one. It keeps two states, each
	// three times the weights, four with Best. A folder that holds a checkpoint is refused with
	// ErrCheckpointExists. Empty means none.
	Checkpoint string
	// Resume goes on from the checkpoint in the folder, or starts if there is
	// none. Everything the weights depend on must be as it was. They are then,
	// bit for bit, those of a training without interruption, except under
	// ScheduleTime or TimeLimit, for no two runs take the same time, and on
	// another kind of CPU. A finished training is ErrFinished.
	Resume bool
	// ResumeLR replaces LR from the checkpoint on, and in later resumes; 0
	// keeps what was in force. LR stays what training began with.
	ResumeLR float64
	// Best, if set, keeps the weights of the best epoch on Validation.
	Best *Best

	Resumed func(ResumeInfo) // called when a checkpoint was taken; may be nil
	Warn    func(string)     // may be nil

	// Curve gets JSON lines, one per epoch; may be nil. Resumed training begins
	// with those of the epochs before, so an empty file is to be given.
	Curve      io.Writer
	Start      func(StartInfo)       // called before the first step; may be nil
	Step       func(StepInfo)        // called after each step; may be nil
	AfterEpoch func(EpochInfo) error // e.g. evaluate and checkpoint; may be nil
}

// PaperRecipe is the recipe of the paper's section on training: Adam, 50
// epochs, batch 192, learning rate 1e-3 falling to a tenth every 30 epochs,
// coupled weight decay 1e-4.
func PaperRecipe() Options {
	return Options{Epochs: 50, Batch: 192, LR: 1e-3, DecayEvery: 30, WeightDecay: 1e-4}
}

// Check reports a recipe that cannot work, whatever the data.
func (o Options) Check() error {
	n := max(o.Replicas, 1)
	switch {
	case o.Epochs < 1 && (o.Epochs < 0 || o.HeadEpochs == 0):
		return fmt.Errorf("%d epochs: train for at least 1", o.Epochs)
	case o.HeadEpochs < 0:
		return fmt.Errorf("%d epochs of the head: use 0 or more", o.HeadEpochs)
	case o.HeadEpochs > 0 && o.Best != nil:
		return errors.New("epochs of the head alone: they follow the last epoch, not the best on held-out clips: train without those")
	case !(o.LR > 0) || math.IsInf(o.LR, 0):
		return fmt.Errorf("learning rate %g: use a positive number such as 0.001", o.LR)
	case !(o.Dropout >= 0 && o.Dropout <= 1):
		return fmt.Errorf("modality dropout %g: use a share from 0 to 1", o.Dropout)
	case !(o.ResumeLR >= 0) || math.IsInf(o.ResumeLR, 0):
		return fmt.Errorf("learning rate %g to resume with: use a positive number, or 0 to keep it", o.ResumeLR)
	case o.ResumeLR > 0 && !o.Resume:
		return fmt.Errorf("learning rate %g to resume with: nothing is to be resumed", o.ResumeLR)
	case !(o.WeightDecay >= 0):
		return fmt.Errorf("weight decay %g: use 0 or more", o.WeightDecay)
	case o.Batch%n != 0 || o.Batch/n < 2:
		return fmt.Errorf("%d replicas cannot share a batch of %d: each needs the same number of samples, at least 2", n, o.Batch)
	}
	return nil
}

// StartInfo tells what a training is about to take.
type StartInfo struct {
	// StateBytes are the weights, gradients and the optimiser's moments, of all
	// replicas together; ActivationBytes what a step takes besides.
	StateBytes, ActivationBytes int64
}

// StepInfo tells about one optimiser step.
type StepInfo struct {
	Epoch, Step, StepsPerEpoch int
	LossMM                     float64
	Elapsed                    time.Duration
	Share                      float64 // of the whole training done, 0..1
}

// EpochInfo tells about one finished epoch; it is a line of the curve file.
// Where the data is simulated, so are its errors.
type EpochInfo struct {
	Epoch     int     `json:"epoch"`                // 1-based
	HeadAlone bool    `json:"head_alone,omitempty"` // only the fusion head was trained
	LossMM    float64 `json:"train_mpjpe_mm"`
	ValMM     float64 `json:"val_mpjpe_mm,omitempty"` // without validation data 0
	LR        float64 `json:"lr"`
	ElapsedS  float64 `json:"elapsed_s"`
	SamplesPS float64 `json:"samples_per_s"`
	// Shapley is each modality's contribution, the mean over the epoch's
	// batches (Eq 1, sums to at most 51); Alone the profit of the modality by
	// itself. Both by letter, absent with fewer than two modalities.
	Shapley map[string]float64 `json:"shapley,omitempty"`
	Alone   map[string]float64 `json:"shapley_alone,omitempty"`
	// Method holds what the balancing method did, means over the epoch: for AWC
	// "ratio R" is the norm of the constraint's gradient over the loss's.
	Method map[string]float64 `json:"method,omitempty"`
}
