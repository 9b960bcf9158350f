package retrain

import (
	"context"
	"errors"
	"fmt"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/train"
)

// data is what a job loads.
type data struct {
	all      *train.Data // to train on: new, taught and old
	old      int         // samples of all that are old
	stop     *train.Data // to stop by
	oldStop  *train.Data // nil without old recordings
	newJudge *train.Data
	oldJudge *train.Data // nil without old recordings
	teacher  *teacher    // nil without unlabelled recordings
}

func (d *data) judges() []*train.Data {
	if d.oldJudge == nil {
		return []*train.Data{d.newJudge}
	}
	return []*train.Data{d.newJudge, d.oldJudge}
}

func (d *data) bytes() int64 {
	n := d.all.Bytes() + d.stop.Bytes()
	if d.oldStop != nil {
		n += d.oldStop.Bytes()
	}
	for _, j := range d.judges() {
		n += j.Bytes()
	}
	return n
}

// load prepares all recordings of the job.
func (j *Job) load(ctx context.Context) (*data, error) {
	d := &data{}
	training, err := j.loadAll(ctx, j.Labelled, train.TrainPart)
	if err != nil {
		return nil, err
	}
	if len(j.Unlabelled) > 0 {
		u, loadErr := j.loadUnlabelled(ctx)
		if loadErr != nil {
			return nil, loadErr
		}
		if d.teacher, err = newTeacher(ctx, j.Base, j.Card, u, j.SureShare, j.Work); err != nil {
			return nil, err
		}
		training = append(training, u)
	}
	if len(j.Old.Keys) > 0 {
		old, loadErr := j.loadOne(ctx, j.Old, j.Old.Part, j.OldStride, false)
		if loadErr != nil {
			return nil, loadErr
		}
		if len(j.Labelled) > 0 { // without labels the old truth is all that is known
			if err = j.teachOld(ctx, old); err != nil {
				return nil, err
			}
		}
		d.old = len(old.Samples)
		training = append(training, old)
	}
	if d.all, err = train.Join(training...); err != nil {
		return nil, fmt.Errorf("retrain: %w", err)
	}
	return d, j.loadJudges(ctx, d)
}

// teachOld makes the serving model's own poses what is learned from old recordings.
// Their truth it has learned already: what is left of the error there would only draw
// the candidate away from what it can.
func (j *Job) teachOld(ctx context.Context, old *train.Data) error {
	run, err := model.NewRuntime(j.Base)
	if err != nil {
		return fmt.Errorf("retrain: %w", err)
	}
	defer func() { _ = run.Close() }() // gives memory back only
	if err = old.Teach(ctx, run); err != nil {
		return fmt.Errorf("retrain: %w", err)
	}
	return nil
}

// loadJudges prepares what the training is stopped by and judged by, which share
// no frame.
func (j *Job) loadJudges(ctx context.Context, d *data) error {
	stop, err := j.loadAll(ctx, j.Labelled, train.ValPart)
	if err != nil {
		return err
	}
	judge, err := j.loadAll(ctx, j.Labelled, train.TestPart)
	if err != nil {
		return err
	}
	for _, s := range j.Judge {
		l, loadErr := j.loadOne(ctx, s, s.Part, j.Stride, false)
		if loadErr != nil {
			return loadErr
		}
		judge = append(judge, l)
	}
	old := j.OldJudge
	if len(stop) == 0 { // without new labels, half of the old clips stop the training
		half := old
		half.Keys, old.Keys = alternate(old.Keys)
		if len(half.Keys) == 0 {
			return errors.New("retrain: no labelled recordings to stop by: give old ones")
		}
		l, loadErr := j.loadOne(ctx, half, half.Part, j.OldStride, false)
		if loadErr != nil {
			return loadErr
		}
		stop = append(stop, l)
	}
	if len(j.OldStop.Keys) > 0 && len(j.Labelled) > 0 {
		if d.oldStop, err = j.loadOne(ctx, j.OldStop, j.OldStop.Part, j.OldStride, false); err != nil {
			return err
		}
	}
	if len(old.Keys) > 0 {
		if d.oldJudge, err = j.loadOne(ctx, old, old.Part, j.OldStride, false); err != nil {
			return err
		}
	}
	if d.newJudge, err = train.Join(judge...); err == nil {
		d.stop, err = train.Join(stop...)
	}
	return err
}

// alternate deals the clips out in turn.
func alternate(keys []recording.Key) (a, b []recording.Key) {
	for i, k := range keys {
		if i%2 == 0 {
			a = append(a, k)
		} else {
			b = append(b, k)
		}
	}
	return a, b
}

// loadAll prepares one part of each clip.
func (j *Job) loadAll(ctx context.Context, from []train.Selection, part train.Part) (out []*train.Data, err error) {
	for _, s := range from {
		stride := j.Stride
		if part == train.TestPart {
			stride = 1
		}
		l, err := j.loadOne(ctx, s, part, stride, false)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (j *Job) loadUnlabelled(ctx context.Context) (*train.Data, error) {
	var all []*train.Data
	for _, s := range j.Unlabelled {
		l, err := j.loadOne(ctx, s, s.Part, j.Stride, true)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return train.Join(all...)
}

func (j *Job) loadOne(ctx context.Context, s train.Selection, part train.Part, stride int, unlabelled bool) (*train.Data, error) {
	l, err := train.Load(ctx, s.Data, s.Keys, j.Base.Config, train.LoadOptions{Window: j.Card.Window, Stride: stride, Part: part, Unlabelled: unlabelled,
		Progress: func(done, total int) {
			j.tell(Progress{Stage: Loading, Share: float64(done) / float64(total)})
			j.wait(ctx)
		}})
	if err != nil {
		return nil, fmt.Errorf("retrain: %w", err)
	}
	return l, nil
}
