package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"posefuse/model"
)

// Files of a training elsewhere, in a folder of their own below the job's.
const (
	ElsewhereFolder = "elsewhere"
	startFolder     = "start"
	samplesFolder   = "samples"
)

// Elsewhere is a training by another program: from the checkpoint in the folder Start
// on the samples in the folder Samples it makes the file Weights, safetensors.
type Elsewhere struct{ Start, Samples, Weights string }

// RunElsewhere prepares the samples and the network to begin with, lets another
// program train it, and takes the weights back and evaluates them as Run does. What
// is prepared is kept, so that a program that can go on does. Held-out clips and
// balancing methods are not for it.
func (j *Job) RunElsewhere(ctx context.Context, train func(context.Context, Elsewhere) error) error {
	opt := j.Options
	trainData, valData, err := j.load(ctx, &opt)
	if err != nil {
		return err
	}
	net, err := j.network(&opt)
	if err != nil {
		return err
	}
	defer func() { _ = net.Close() }() // gives memory back only
	if opt.MeanStart {
		startAtMeanPose(net, trainData)
	}
	card := j.Card
	j.begun(&card)
	card.Window, card.Split, card.Metrics = j.Window, j.Split.Name, map[string]float64{}
	card.Data = fmt.Sprintf("%s; %d training frames", j.Split.Train.Data.Describe(), len(trainData.Samples))
	if j.Loaded != nil {
		j.Loaded(net, trainData, valData)
	}
	dir := filepath.Join(j.Out, ElsewhereFolder)
	e := Elsewhere{filepath.Join(dir, startFolder), filepath.Join(dir, samplesFolder), filepath.Join(dir, "trained.safetensors")}
	if err := j.handOver(ctx, e, net, card); err != nil {
		return err
	}
	if err := train(ctx, e); err != nil {
		return err
	}
	if _, _, err := net.ReadWeightsFile(e.Weights); err != nil {
		return fmt.Errorf("take the weights back: %w", err)
	}
	card.Notes = "trained by another program"
	return j.evaluate(ctx, net, j.Out, card, trainData, valData)
}

// handOver writes what the other program needs, unless a run before did.
func (j *Job) handOver(ctx context.Context, e Elsewhere, net *model.Network, card model.Card) error {
	if _, err := os.Stat(filepath.Join(e.Samples, SamplesFile)); errors.Is(err, fs.ErrNotExist) {
		opt := SampleOptions{Window: j.Window, Stride: j.Stride, ValStride: j.ValStride, Progress: j.Loading}
		if _, writeErr := WriteSamples(ctx, e.Samples, j.Split, j.Config, opt); writeErr != nil {
			return writeErr
		}
	} else if err != nil {
		return fmt.Errorf("look for samples: %w", err)
	}
	if _, err := os.Stat(filepath.Join(e.Start, model.CardFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := model.SaveCheckpoint(e.Start, net, card)
	return err
}
