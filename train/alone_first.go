package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// AloneFolder holds, in a job's output folder, the encoders that were trained alone
// first, each in a folder named by its letter.
const AloneFolder = "alone"

// AloneFirst is an encoder that a job trains alone, plainly, before the network that
// begins with it, on the samples that it will see there.
type AloneFirst struct {
	Modality modality.Kind
	Epochs   int
}

// AloneError says in which of those trainings an error came up.
type AloneError struct {
	Modality modality.Kind
	Epoch    int    // the last one whose checkpoint is written
	Out      string // its folder
	Err      error
}

func (e *AloneError) Error() string {
	return fmt.Sprintf("%s alone: %v", modality.Of(e.Modality), e.Err)
}

// Unwrap returns the cause.
func (e *AloneError) Unwrap() error { return e.Err }

// CheckStart reports options and folders that contradict each other, before any
// data is loaded. ErrFinished is none: such an encoder is taken as it is.
func (j *Job) CheckStart() error {
	for i, a := range j.First {
		mask := modality.Of(a.Modality)
		switch {
		case a.Epochs < 1:
			return fmt.Errorf("%s alone: %d epochs: want 1 or more", mask, a.Epochs)
		case !j.Config.Mask().Has(a.Modality) || j.Config.Mask() == mask:
			return fmt.Errorf("%s alone: the network is of %s", mask, j.Config.Mask())
		}
		for _, b := range j.First[:i] {
			if b.Modality == a.Modality {
				return fmt.Errorf("%s alone: comes twice", mask)
			}
		}
		sub, err := j.alonePart(a)
		if err != nil {
			return err
		}
		if err = sub.Options.CheckStart(); err != nil && !errors.Is(err, ErrFinished) {
			return &AloneError{Modality: a.Modality, Out: sub.Out, Err: err}
		}
	}
	return nil
}

// alonePart is the job of one encoder. What only the whole network has, the method
// and absent modalities, and what follows the clock is not for it.
func (j *Job) alonePart(a AloneFirst) (*Job, error) {
	mask := modality.Of(a.Modality)
	sub := *j
	sub.First, sub.Begin = nil, nil
	for _, b := range j.Begin {
		if b.which() == mask {
			sub.Begin = append(sub.Begin, b)
		}
	}
	sub.Config.Modalities = mask.String()
	sub.Out = filepath.Join(j.Out, AloneFolder, mask.String())
	sub.Card.Name = j.Card.Name + ", " + mask.String() + " alone"
	o := &sub.Options
	o.Epochs, o.HeadEpochs, o.Method, o.Dropout, o.TimeLimit, o.ScheduleTime, o.ResumeLR = a.Epochs, 0, nil, 0, 0, 0, 0
	if o.Checkpoint != "" {
		o.Checkpoint = filepath.Join(sub.Out, filepath.Base(o.Checkpoint))
	}
	if o.Vary != nil { // without a camera a sample can be turned, too
		own := *o.Vary
		own.TurnDeg = UsualVariation(mask).TurnDeg
		o.Vary = &own
	}
	return &sub, o.Vary.Check(sub.Config)
}

// trainFirst trains the encoders that come first, or takes those that are finished,
// and returns what the network begins with: they beside j.Begin.
func (j *Job) trainFirst(ctx context.Context, trainData, valData, heldOut *Data) ([]Begin, error) {
	begin := slices.Clone(j.Begin)
	for _, a := range j.First {
		sub, err := j.alonePart(a)
		if err != nil {
			return nil, err
		}
		mask, epoch := sub.Config.Mask(), 0
		if !errors.Is(sub.Options.CheckStart(), ErrFinished) {
			if epoch, err = sub.runOn(ctx, mask, trainData, valData, heldOut); err != nil {
				return nil, &AloneError{Modality: a.Modality, Epoch: epoch, Out: sub.Out, Err: err}
			}
		}
		b := Begin{Modalities: mask}
		if b.From, b.Card, err = model.LoadCheckpoint(sub.Out); err != nil {
			return nil, &AloneError{Modality: a.Modality, Out: sub.Out, Err: err}
		}
		begin = append(begin, b)
	}
	return begin, nil
}

// runOn is Run on the samples of some of the sensors that were loaded.
func (j *Job) runOn(ctx context.Context, mask modality.Set, trainData, valData, heldOut *Data) (epoch int, err error) {
	seen := [...]*Data{trainData, valData, heldOut}
	for i, d := range seen {
		if d != nil {
			if seen[i], err = d.Only(mask); err != nil {
				return 0, err
			}
		}
	}
	opt := j.Options
	if opt.Validation = seen[2]; opt.Validation != nil {
		opt.Best = &Best{}
	}
	return j.train(ctx, opt, seen[0], seen[1])
}
