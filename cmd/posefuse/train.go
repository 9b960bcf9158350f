package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"posefuse/internal/jsonfile"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/train"
)

type trainCmd struct {
	dataFlags
	methodFlags
	Size        string        `default:"edge" enum:"edge,paper" help:"Network size: ${enum}."`
	Window      string        `default:"causal" enum:"causal,centred" help:"Camera window: causal can run live, centred is for comparison with the paper."`
	Modalities  string        `default:"RLMW" help:"Modalities of the network, letters of RLMW."`
	Epochs      int           `default:"50" help:"Epochs."`
	Batch       int           `default:"192" help:"Samples per step."`
	LR          float64       `name:"lr" default:"0.001" help:"Learning rate at the start."`
	DecayEvery  int           `default:"30" help:"Epochs after which the learning rate falls to a tenth; 0 for a cosine over the whole training."`
	WeightDecay float64       `default:"0.0001" help:"Coupled weight decay."`
	DropModal   float64       `name:"modality-dropout" default:"0" help:"Share of samples trained on a random coalition, so that one model serves any set of sensors."`
	MeanStart   bool          `default:"true" negatable:"" help:"Start with the output at the mean training pose."`
	Stride      int           `default:"1" help:"Train on every n-th frame."`
	ValStride   int           `default:"4" help:"Evaluate on every n-th frame."`
	TimeLimit   time.Duration `help:"Stop after this time; with --decay-every 0 the cosine is stretched over it."`
	Seed        uint64        `default:"1" help:"Seed of initial weights and sample order."`
	Replicas    int           `default:"2" help:"Copies of the network that share each batch; each gets its share of the cores."`
	Out         string        `required:"" placeholder:"DIR" help:"Folder for the weights, card.json, curve.jsonl and the state to resume from."`
	Name        string        `default:"" help:"Model name for the card; the size if empty."`
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
	opt := train.Options{Epochs: c.Epochs, Batch: c.Batch, LR: c.LR, DecayEvery: c.DecayEvery, WeightDecay: c.WeightDecay,
		Seed: c.Seed, Replicas: c.Replicas, MeanStart: c.MeanStart, Dropout: c.DropModal, TimeLimit: c.TimeLimit}
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
	cfg.Head = c.Fusion
	model.SetThreads(max(runtime.NumCPU()/max(c.Replicas, 1), 1))
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(train.GarbagePercent)
	}
	trainSet, valSet, err := c.open()
	if err != nil {
		return err
	}
	trainKeys, valKeys, err := c.keys(trainSet, valSet)
	if err != nil {
		return err
	}
	trainKeys, heldKeys := c.hold(trainKeys)
	trainData, err := loadWithProgress(ctx, "loading training clips  ", trainSet, trainKeys, cfg, train.LoadOptions{Window: model.Window(c.Window), Stride: c.Stride, Part: c.part(forTraining)})
	if err != nil {
		return err
	}
	valData, err := loadWithProgress(ctx, "loading validation clips", valSet, valKeys, cfg, train.LoadOptions{Window: model.Window(c.Window), Stride: c.ValStride, Part: c.part(forValidation)})
	if err != nil {
		return err
	}
	if len(heldKeys) > 0 {
		if opt.Validation, err = loadWithProgress(ctx, "loading held-out clips  ", trainSet, heldKeys, cfg, train.LoadOptions{Window: model.Window(c.Window), Stride: c.ValStride, Part: c.part(forTraining)}); err != nil {
			return err
		}
		opt.Best = &train.Best{}
	}
	net, err := model.New(cfg, c.Seed)
	if err != nil {
		return err
	}
	if err = os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("create output folder: %w", err)
	}
	curve := &curveFile{path: filepath.Join(c.Out, "curve.jsonl")}
	defer curve.close()
	card := c.card(trainSet, len(trainData.Samples))
	fmt.Fprintf(os.Stderr, "training %s (%d parameters) on %d frames of %s\n", c.Size, net.NumParameters(), len(trainData.Samples), trainSet.Describe())
	bar := newProgress("training")
	opt.Curve = curve
	if c.DecayEvery == 0 {
		opt.ScheduleTime = c.TimeLimit
	}
	opt.Start = func(s train.StartInfo) {
		fmt.Fprintf(os.Stderr, "memory: about %d MiB for a batch of %d, %d MiB for weights, gradients and optimiser, %d MiB for the samples\n",
			s.ActivationBytes>>20, c.Batch, s.StateBytes>>20, (trainData.Bytes()+valData.Bytes())>>20)
	}
	opt.Step = func(s train.StepInfo) {
		bar.show(s.Share, fmt.Sprintf(" · epoch %d · %.1f mm", s.Epoch, s.LossMM))
	}
	done := 0
	opt.Resumed = func(r train.ResumeInfo) {
		fmt.Fprintf(os.Stderr, "resuming after epoch %d, %.0f s of training\n", r.Epoch, r.Elapsed.Seconds())
		if done = r.Epoch; done > 0 {
			card.Metrics["train_mpjpe_mm"] = r.History[done-1].LossMM
		}
	}
	opt.AfterEpoch = func(e train.EpochInfo) error {
		held := ""
		if opt.Validation != nil {
			held = fmt.Sprintf(", held out %.1f mm", e.ValMM)
		}
		fmt.Fprintf(os.Stderr, "epoch %d: %.1f mm%s, %.0f samples/s, %.0f s\n", e.Epoch, e.LossMM, held, e.SamplesPS, e.ElapsedS)
		card.Metrics = map[string]float64{"train_mpjpe_mm": e.LossMM}
		if _, saveErr := model.SaveCheckpoint(c.Out, net, card); saveErr != nil {
			return fmt.Errorf("epoch %d: %w: make room and go on from epoch %d with --resume", e.Epoch, saveErr, done)
		}
		done = e.Epoch
		return nil
	}
	err = train.Run(ctx, net, trainData, opt)
	bar.done()
	if err != nil {
		return tellStopped(err, c.Out, done)
	}
	if best := opt.Best; best != nil && best.Epoch > 0 {
		other, cloneErr := net.Clone()
		if cloneErr != nil {
			return cloneErr
		}
		if err = best.CopyTo(other); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "epoch %d, the best on held-out clips (%.1f mm):\n", best.Epoch, best.ValMM)
		bestCard := card
		bestCard.Metrics = map[string]float64{"held_out_mpjpe_mm": best.ValMM}
		bestCard.Notes = fmt.Sprintf("weights after epoch %d, the best on held-out clips", best.Epoch)
		if err = c.evaluate(ctx, other, filepath.Join(c.Out, bestFolder), bestCard, trainData, valData); err != nil {
			return tellStopped(err, c.Out, done)
		}
		card.Notes = "weights after the last epoch; those of the best on held-out clips are in the folder " + bestFolder
		fmt.Fprintf(os.Stderr, "epoch %d, the last:\n", done)
	}
	if err = c.evaluate(ctx, net, c.Out, card, trainData, valData); err != nil {
		return tellStopped(err, c.Out, done)
	}
	if err = drawCurve(c.Out, trainData.Describe()); err != nil {
		return tellStopped(err, c.Out, done)
	}
	// Everything is on the disk: what resuming needs can go.
	return train.FinishCheckpoint(opt.Checkpoint)
}

// bestFolder holds the weights of the best epoch on held-out clips, in the
// output folder.
const bestFolder = "best"

// evaluate writes the network with its evaluation to dir and prints it.
func (c trainCmd) evaluate(ctx context.Context, net *model.Network, dir string, card model.Card, trainData, valData *train.Data) error {
	mask := net.Config.Mask()
	rep, err := train.Evaluate(ctx, net, valData, trainData, mask.Subsets(), valData.Describe(), nil)
	if err != nil {
		return err
	}
	card.Metrics = maps.Clone(card.Metrics)
	full := rep.Coalitions[mask.String()]
	prefix := "val_"
	if strings.Contains(valData.Describe(), sim.Statement) { // also a folder that the simulator wrote
		prefix = "sim_val_"
	}
	for name, s := range rep.Coalitions {
		card.Metrics[prefix+name+"_mpjpe_mm"] = s.MPJPEMM
	}
	card.Metrics[prefix+"pa_mpjpe_mm"] = full.PAMPJPEMM
	card.Metrics[prefix+"mean_pose_mpjpe_mm"] = rep.Baselines[train.MeanPose].MPJPEMM
	if _, err := model.SaveCheckpoint(dir, net, card); err != nil {
		return err
	}
	if err := jsonfile.Write(filepath.Join(dir, "evaluation.json"), rep); err != nil {
		return err
	}
	printReport(rep)
	return nil
}

func (c trainCmd) card(ds recording.Dataset, frames int) model.Card {
	name := c.Name
	if name == "" {
		name = c.Size
	}
	return model.Card{
		Name: name, Version: time.Now().UTC().Format("20060102T150405Z"),
		Window: model.Window(c.Window), Created: time.Now().UTC().Format(time.RFC3339),
		Data:    fmt.Sprintf("%s; %d training frames", ds.Describe(), frames),
		Split:   c.split(),
		Command: "posefuse " + strings.Join(os.Args[1:], " "),
		Metrics: map[string]float64{},
	}
}

func loadWithProgress(ctx context.Context, label string, ds recording.Dataset, keys []recording.Key, cfg model.Config, opt train.LoadOptions) (*train.Data, error) {
	bar := newProgress(label)
	defer bar.done()
	opt.Progress = func(done, total int) { bar.show(float64(done)/float64(total), "") }
	return train.Load(ctx, ds, keys, cfg, opt)
}
