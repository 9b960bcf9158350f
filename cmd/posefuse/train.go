package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"posefuse/model"
	"posefuse/model/shipped"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/train"
)

type trainCmd struct {
	dataFlags
	methodFlags
	Size           string         `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Window         string         `default:"causal" enum:"causal,centred" help:"Camera window: causal can run live, centred is for comparison with the paper."`
	Recipe         string         `default:"paper" enum:"paper,room" help:"Form of the inputs: paper gives the network each sensor's values in its own frame; room the person, found and brought to one place, for rooms that all differ."`
	Modalities     string         `default:"RLMW" help:"Modalities of the network, letters of RLMW."`
	CameraChannels int            `placeholder:"N" help:"Channels of the camera's encoder, even; those of --size if 0."`
	RadarFrames    int            `default:"1" help:"Radar frames that one sample of --recipe room holds, the newest and those before; with more than one it has twice the points."`
	FoundBy        string         `placeholder:"LETTERS" help:"Prepare samples from these sensors, of which the network sees those of --modalities: one is then trained alone on just what it is given beside the others. --modalities if empty."`
	Begin          []string       `placeholder:"[LETTERS=]DIR" help:"Begin with the weights of this checkpoint, or of it the encoders of these modalities, with their parts of a precision or reprojection head. May be given again, e.g. --begin R=models/camera --begin L=models/lidar."`
	AloneFirst     map[string]int `mapsep:"," placeholder:"LETTER=EPOCHS" help:"Train the encoders of these modalities alone first, for so many epochs each, on the samples that they get beside the others, into OUT/alone; the network begins with them. E.g. --alone-first R=16,L=8."`
	Vary           bool           `help:"Vary each sample of --recipe room anew whenever it is trained on: mirrored or not, keypoints and points moved by a centimetre, up to three in ten points left out, a quarter of them as where sensors stand higher or lower than was told, and without a camera turned about the person."`
	Epochs         int            `default:"50" help:"Epochs."`
	InUse          bool           `help:"Train with running statistics and without dropout, as the network is used: for one of --begin, which is trained already."`
	HeadEpochs     int            `default:"0" help:"Then epochs of the fusion head alone, on what the encoders give in use."`
	Batch          int            `default:"192" help:"Samples per step."`
	LR             float64        `name:"lr" default:"0.001" help:"Learning rate at the start."`
	DecayEvery     int            `default:"30" help:"Epochs after which the learning rate falls to a tenth; 0 for a cosine over the whole training."`
	WeightDecay    float64        `default:"0.0001" help:"Coupled weight decay."`
	DropModal      float64        `name:"modality-dropout" default:"0" help:"Share of samples trained on a random coalition, so that one model serves any set of sensors."`
	MeanStart      bool           `default:"true" negatable:"" help:"Start with the output at the mean training pose."`
	Clips          string         `placeholder:"PATTERN" help:"Train and evaluate on these clips of the split only, e.g. A12 or S05,S06."`
	Stride         int            `default:"1" help:"Train on every n-th frame."`
	ValStride      int            `default:"4" help:"Evaluate on every n-th frame."`
	TimeLimit      time.Duration  `help:"Stop after this time; with --decay-every 0 the cosine is stretched over it."`
	Seed           uint64         `default:"1" help:"Seed of initial weights and sample order."`
	Replicas       int            `default:"2" help:"Copies of the network that share each batch; each gets its share of the cores."`
	Out            string         `required:"" placeholder:"DIR" help:"Folder for the weights, card.json, curve.jsonl and the state to resume from."`
	Name           string         `default:"" help:"Model name for the card; the size if empty."`
	engineFlags
	resumeFlags
}

// Help shows the command's example.
func (trainCmd) Help() string {
	return "Example: a small causal model on simulated sensors in half an hour\n\n" +
		"  posefuse train --size edge --stride 6 --modality-dropout 0.5 --decay-every 0 --time-limit 30m --out models/edge"
}

// Run trains, checkpoints every epoch and evaluates at the end.
func (c trainCmd) Run(ctx context.Context) error {
	mask, err := modality.Parse(c.Modalities)
	if err != nil {
		return err
	}
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return err
	}
	cfg.Modalities = mask.String()
	if model.Recipe(c.Recipe) == model.RecipeRoom {
		cfg = cfg.Room()
	}
	cfg = cfg.WithRadarFrames(c.RadarFrames)
	if c.CameraChannels != 0 {
		cfg.Camera.Channels = c.CameraChannels
	}
	if err = cfg.Validate(); err != nil {
		return err
	}
	opt := train.Options{Epochs: c.Epochs, HeadEpochs: c.HeadEpochs, InUse: c.InUse, Batch: c.Batch, LR: c.LR, DecayEvery: c.DecayEvery, WeightDecay: c.WeightDecay,
		Seed: c.Seed, Replicas: c.Replicas, MeanStart: c.MeanStart, Dropout: c.DropModal, TimeLimit: c.TimeLimit}
	if c.Vary {
		opt.Vary = train.UsualVariation(mask)
		if err = opt.Vary.Check(cfg); err != nil {
			return fmt.Errorf("--vary: %w", err)
		}
	}
	if c.InUse && len(c.Begin) == 0 {
		return errors.New("--in-use: a new network has no statistics to be used with: name a trained one with --begin")
	}
	switch err = c.apply(&opt, c.Out); { // before minutes of loading
	case errors.Is(err, train.ErrFinished):
		fmt.Fprintf(os.Stderr, "nothing to do: %v\n", err)
		return train.FinishCheckpoint(opt.Checkpoint) // a kill may have come before its end
	case err != nil:
		return err
	}
	if opt.Method, err = c.method(); err != nil {
		return err
	}
	first, err := c.aloneFirst()
	if err != nil {
		return err
	}
	cfg.Head = c.Fusion
	if c.Engine == "torch" {
		if err = c.checkTorch(ctx, &cfg); err != nil {
			return err
		}
	}
	model.SetThreads(model.Cores())
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(train.GarbagePercent)
	}
	if c.DecayEvery == 0 {
		opt.ScheduleTime = c.TimeLimit
	}
	split, err := c.choose()
	if err != nil {
		return err
	}
	begin, err := c.begin()
	if err != nil {
		return err
	}
	foundBy, err := c.foundBy(mask)
	if err != nil {
		return err
	}
	if c.Clips != "" {
		split.Name += ", clips " + c.Clips
		for _, s := range []*train.Selection{&split.Train, &split.Validation} {
			match, matchErr := mmfi.Match(s.Data, c.Clips)
			if matchErr != nil {
				return fmt.Errorf("--clips: %w", matchErr)
			}
			s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k recording.Key) bool { return !slices.Contains(match, k) })
			if len(s.Keys) == 0 {
				return fmt.Errorf("--clips %s: no clip of %s is among them both to train and to evaluate on", c.Clips, c.split())
			}
		}
	}
	split.HeldOut = split.Train
	split.Train.Keys, split.HeldOut.Keys = mmfi.HoldOut(split.Train.Keys, c.Holdout)
	job := &train.Job{Config: cfg, FoundBy: foundBy, Begin: begin, Window: model.Window(c.Window), Split: split, Stride: c.Stride, ValStride: c.ValStride,
		Simulated: strings.Contains(split.Validation.Data.Describe(), sim.Statement), // also a folder that the simulator wrote
		Options:   opt, Card: c.card(), Out: c.Out}
	if c.Engine == "torch" {
		return c.torch(ctx, job)
	}
	job.First = first
	if err = job.CheckStart(); err != nil {
		return c.tellStopped(fmt.Errorf("--alone-first: %w", err), 0)
	}
	return c.run(ctx, job)
}

// run does the job and tells how it goes.
func (c trainCmd) run(ctx context.Context, job *train.Job) error {
	loading, loaded := progressOf()
	defer loaded() // after an error; else done below
	var bar *progress
	var samples int64 // bytes
	job.Needs, job.Warn, job.Loading = tellNeeds, warn, loading
	job.Loaded = func(net *model.Network, trainData, valData *train.Data) {
		loaded()
		samples = trainData.Bytes() + valData.Bytes()
		what := c.Size
		if own := net.Config.Mask(); own != job.Config.Mask() {
			what += ", " + own.String() + " alone"
		}
		fmt.Fprintf(os.Stderr, "training %s (%d parameters) on %d frames of %s\n", what, net.NumParameters(), len(trainData.Samples), trainData.Describe())
		if _, card, err := shipped.Load(); err == nil {
			for _, line := range trainData.Doubts(card.Envelope) {
				fmt.Fprintf(os.Stderr, "note: %s\n", line)
			}
		}
		bar = newProgress("training")
	}
	job.Options.Start = func(s train.StartInfo) {
		fmt.Fprintf(os.Stderr, "memory: about %d MiB for a batch of %d, %d MiB for weights, gradients and optimiser, %d MiB for the samples\n",
			s.ActivationBytes>>20, c.Batch, s.StateBytes>>20, samples>>20)
	}
	job.Options.Step = func(s train.StepInfo) {
		bar.show(s.Share, fmt.Sprintf(" · epoch %d · %.1f mm", s.Epoch, s.LossMM))
	}
	job.Options.Resumed = func(r train.ResumeInfo) {
		fmt.Fprintf(os.Stderr, "resuming after epoch %d, %.0f s of training\n", r.Epoch, r.Elapsed.Seconds())
	}
	job.Options.AfterEpoch = func(e train.EpochInfo) error {
		held := ""
		if len(job.Split.HeldOut.Keys) > 0 {
			held = fmt.Sprintf(", held out %.1f mm", e.ValMM)
		}
		fmt.Fprintf(os.Stderr, "epoch %d: %.1f mm%s, %.0f samples/s, %.0f s\n", e.Epoch, e.LossMM, held, e.SamplesPS, e.ElapsedS)
		return nil
	}
	job.Trained = func() { bar.done() }
	twice := false
	job.Evaluating = func(epoch int, best *train.Best) {
		if best != nil {
			fmt.Fprintf(os.Stderr, "epoch %d, the best on held-out clips (%.1f mm):\n", epoch, best.ValMM)
			twice = true
		} else if twice {
			fmt.Fprintf(os.Stderr, "epoch %d, the last:\n", epoch)
		}
	}
	job.Evaluated = printReport
	job.Written = func(dir string, trainData *train.Data) error { return drawCurve(dir, trainData.Describe()) }
	epoch, err := job.Run(ctx)
	if bar == nil {
		return err // it did not come to train
	}
	return c.tellStopped(err, epoch)
}

// card returns what the card says beside the training.
func (c trainCmd) card() model.Card {
	card := model.Card{Name: c.Name}
	if card.Name == "" {
		card.Name = c.Size
	}
	sign(&card)
	return card
}
