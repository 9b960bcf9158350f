package train

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// Files and folders in a job's output folder, beside the checkpoint.
const (
	CurveFile      = "curve.jsonl"
	EvaluationFile = "evaluation.json"
	BestFolder     = "best" // the weights of the best epoch on held-out clips
)

// Job is a training from recordings to a checkpoint and its evaluation.
type Job struct {
	Config model.Config
	Window model.Window
	Split  Split // if it holds clips out, the best epoch on them is kept too
	// FoundBy are the sensors that samples are prepared from and the person is found
	// by; those of Config if 0. With more of them a sensor is trained alone on just
	// what it is given beside the others.
	FoundBy   modality.Set
	Begin     []Begin      // where the weights come from besides the seed
	First     []AloneFirst // encoders that are trained before
	Stride    int          // every n-th frame to train on
	ValStride int          // every n-th frame of the others
	Simulated bool         // the sensors are, and the card's figures are named so

	// Options is the recipe. The job sets Validation, Best and Curve and calls
	// Resumed and AfterEpoch before its own part of them.
	Options Options
	// Card is what is known beforehand: name, version, command. The rest of it
	// is filled in.
	Card model.Card
	Out  string // folder of the checkpoint

	// What follows may be nil.
	Needs      func(frames int, bytes int64)     // before loading, about what it will take
	Warn       func(line string)                 // of what was loaded
	Loading    func(label string, share float64) // called from several goroutines
	Loaded     func(net *model.Network, trainData, valData *Data)
	Trained    func()                                  // after the last step, or on an error
	Evaluating func(epoch int, best *Best)             // best is nil for the last epoch
	Evaluated  func(rep *Report)                       // its file is written
	Written    func(dir string, trainData *Data) error // all files of a folder are; the state to resume from is removed next
}

// SaveError says that an epoch's checkpoint could not be written.
type SaveError struct {
	Epoch int // whose checkpoint it is
	Last  int // the last one whose checkpoint is written
	Err   error
}

func (e *SaveError) Error() string { return fmt.Sprintf("epoch %d: %v", e.Epoch, e.Err) }

// Unwrap returns the cause.
func (e *SaveError) Unwrap() error { return e.Err }

// Run loads the recordings, trains, writes the checkpoint after each epoch, and
// at the end its evaluation, for the best epoch on held-out clips too. It
// returns the last epoch whose checkpoint is written, also with an error. What is to
// be trained alone first comes before, on the same samples.
func (j *Job) Run(ctx context.Context) (epoch int, err error) {
	opt := j.Options
	trainData, valData, err := j.load(ctx, &opt)
	if err != nil {
		return 0, err
	}
	with := *j
	if with.Begin, err = j.trainFirst(ctx, trainData, valData, opt.Validation); err != nil {
		return 0, err
	}
	return with.train(ctx, opt, trainData, valData)
}

// train is Run on data that is loaded.
func (j *Job) train(ctx context.Context, opt Options, trainData, valData *Data) (epoch int, err error) {
	net, err := j.network(&opt)
	if err != nil {
		return 0, err
	}
	if err = os.MkdirAll(j.Out, 0o755); err != nil {
		return 0, fmt.Errorf("create output folder: %w", err)
	}
	curve := &curveFile{path: filepath.Join(j.Out, CurveFile)}
	defer curve.close()
	opt.Curve = curve
	card := j.Card
	j.begun(&card)
	card.Window, card.Split, card.Metrics = j.Window, j.Split.Name, map[string]float64{}
	card.Data = fmt.Sprintf("%s; %d training frames", j.Split.Train.Data.Describe(), len(trainData.Samples))
	if j.Loaded != nil {
		j.Loaded(net, trainData, valData)
	}
	opt.Resumed = func(r ResumeInfo) {
		if j.Options.Resumed != nil {
			j.Options.Resumed(r)
		}
		if epoch = r.Epoch; epoch > 0 {
			card.Metrics["train_mpjpe_mm"] = r.History[epoch-1].LossMM
		}
	}
	opt.AfterEpoch = func(e EpochInfo) error {
		if j.Options.AfterEpoch != nil {
			if told := j.Options.AfterEpoch(e); told != nil {
				return told
			}
		}
		card.Metrics = map[string]float64{"train_mpjpe_mm": e.LossMM}
		if _, saveErr := model.SaveCheckpoint(j.Out, net, card); saveErr != nil {
			return &SaveError{Epoch: e.Epoch, Last: epoch, Err: saveErr}
		}
		epoch = e.Epoch
		return nil
	}
	if err = Run(ctx, net, trainData, opt); err == nil && opt.HeadEpochs > 0 {
		err = trainHead(ctx, net, trainData, opt)
	}
	if j.Trained != nil {
		j.Trained()
	}
	if err != nil {
		return epoch, err
	}
	if best := opt.Best; best != nil && best.Epoch > 0 {
		if err = j.evaluateBest(ctx, net, best, card, trainData, valData); err != nil {
			return epoch, err
		}
		card.Notes = "weights after the last epoch; those of the best on held-out clips are in the folder " + BestFolder
	}
	if j.Evaluating != nil {
		j.Evaluating(epoch, nil)
	}
	if err = j.evaluate(ctx, net, j.Out, card, trainData, valData); err != nil {
		return epoch, err
	}
	if j.Written != nil {
		if err = j.Written(j.Out, trainData); err != nil {
			return epoch, err
		}
	}
	// Everything is on the disk: what resuming needs can go.
	return epoch, FinishCheckpoint(opt.Checkpoint)
}

// load prepares the clips and gives the options those held out.
func (j *Job) load(ctx context.Context, opt *Options) (trainData, valData *Data, err error) {
	mask, prepared := j.Config.Mask(), j.Config
	if j.FoundBy != 0 {
		prepared.Modalities = (j.FoundBy | mask).String()
	}
	load := func(label string, s Selection, stride int) (*Data, error) {
		d, loadErr := s.Load(ctx, prepared, j.Window, stride, func(done, total int) {
			if j.Loading != nil {
				j.Loading(label, float64(done)/float64(total))
			}
		})
		if loadErr == nil && j.Warn != nil {
			for _, line := range d.Warnings() {
				j.Warn(line)
			}
		}
		if loadErr != nil || j.FoundBy == 0 {
			return d, loadErr
		}
		return d.Only(mask)
	}
	if j.Needs != nil {
		frames, bytes := j.Split.Train.Needs(prepared, j.Stride)
		for _, s := range []Selection{j.Split.Validation, j.Split.HeldOut} {
			f, b := s.Needs(prepared, j.ValStride)
			frames, bytes = frames+f, bytes+b
		}
		j.Needs(frames, bytes)
	}
	if trainData, err = load("loading training clips  ", j.Split.Train, j.Stride); err != nil {
		return nil, nil, err
	}
	if valData, err = load("loading validation clips", j.Split.Validation, j.ValStride); err != nil {
		return nil, nil, err
	}
	if len(j.Split.HeldOut.Keys) > 0 {
		if opt.Validation, err = load("loading held-out clips  ", j.Split.HeldOut, j.ValStride); err != nil {
			return nil, nil, err
		}
		opt.Best = &Best{}
	}
	return trainData, valData, nil
}

// evaluateBest writes and evaluates the best epoch in a folder of its own.
func (j *Job) evaluateBest(ctx context.Context, net *model.Network, best *Best, card model.Card, trainData, valData *Data) error {
	other, err := net.Clone()
	if err != nil {
		return err
	}
	if err = best.CopyTo(other); err != nil {
		return err
	}
	if j.Evaluating != nil {
		j.Evaluating(best.Epoch, best)
	}
	card.Metrics = map[string]float64{"held_out_mpjpe_mm": best.ValMM}
	card.Notes = fmt.Sprintf("weights after epoch %d, the best on held-out clips", best.Epoch)
	return j.evaluate(ctx, other, filepath.Join(j.Out, BestFolder), card, trainData, valData)
}

// evaluate writes the network with its evaluation to dir.
func (j *Job) evaluate(ctx context.Context, net *model.Network, dir string, card model.Card, trainData, valData *Data) error {
	mask := net.Config.Mask()
	rep, err := Evaluate(ctx, net, valData, trainData, mask.Subsets(), valData.Describe(), nil)
	if err != nil {
		return err
	}
	rep.About.Of(&card, net.Config, j.Split.Name, j.Split.Missing)
	card.Metrics = maps.Clone(card.Metrics)
	full := rep.Coalitions[mask.String()]
	prefix := "val_"
	if j.Simulated {
		prefix = "sim_val_"
	}
	for name, s := range rep.Coalitions {
		card.Metrics[prefix+name+"_mpjpe_mm"] = s.MPJPEMM
	}
	if err = j.alone(ctx, valData, card.Metrics, prefix); err != nil {
		return err
	}
	card.Metrics[prefix+"pa_mpjpe_mm"] = full.PAMPJPEMM
	card.Metrics[prefix+"mean_pose_mpjpe_mm"] = rep.Baselines[MeanPose].MPJPEMM
	if _, err := model.SaveCheckpoint(dir, net, card); err != nil {
		return err
	}
	if err := jsonfile.Write(filepath.Join(dir, EvaluationFile), rep); err != nil {
		return err
	}
	if j.Evaluated != nil {
		j.Evaluated(rep)
	}
	return nil
}

// curveFile is the training curve. It is made with its first line, so that a
// training that cannot start leaves an older curve alone.
type curveFile struct {
	path string
	file *os.File
}

func (c *curveFile) Write(b []byte) (int, error) {
	if c.file == nil {
		f, err := os.Create(c.path)
		if err != nil {
			return 0, err
		}
		c.file = f
	}
	return c.file.Write(b)
}

func (c *curveFile) close() {
	if c.file != nil {
		_ = c.file.Close() // every line was checked when written
	}
}
