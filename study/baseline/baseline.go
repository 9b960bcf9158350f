// Package baseline holds the comparison rows that stand beside the fusion
// methods: networks and rules of others, trained on the same data.
//
//	hpe-li           a WiFi-only selective-kernel network in the manner of HPE-Li
//	xfi              fusion of tokens by cross-attention in the manner of X-Fi, on the encoders of package model
//	xfi-tokens       what X-Fi calls its first baseline: the mean of the tokens of frozen networks of one modality each
//	average          the mean of the poses of networks trained on one modality each
//	average-variance the same, weighted by the inverse of their squared errors
//
// A row is trained by Train with the data, seed and options of the methods it
// is compared with, and scored by Evaluate, which gives the report that
// train.Evaluate gives for a network:
//
//	p, err := baseline.Train(ctx, "hpe-li", cfg, data, opt)
//	...
//	defer p.Close()
//	report, err := baseline.Evaluate(ctx, p, test, data, masks, test.Describe(), visit)
//
// Only the modalities p.Modalities() count: masks are cut to them, and a
// coalition without any of them gets the mean training pose. cfg gives the
// sizes of the encoders and the modalities; its Head is not read. data must
// have been loaded for cfg.
//
// Of the options, Epochs, Batch, Seed, MeanStart and the calls back count for
// every row, LR, DecayEvery, WeightDecay, Dropout and Replicas for all but
// hpe-li, whose recipe is its own (see HPELi). Method must be nil: a row is
// trained plainly. The rows that train several networks call back for one after
// the other (Step with the share of the whole) and divide the limits in time
// among them. The same options, data and configuration give the same row bit
// for bit, whatever the number of threads.
package baseline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// The names of the rows.
const (
	HPELiRow           = "hpe-li"
	XFiRow             = "xfi"
	XFiTokensRow       = "xfi-tokens"
	AverageRow         = "average"
	AverageVarianceRow = "average-variance"
)

// Names lists the rows, in the order of a table.
func Names() []string {
	return []string{HPELiRow, XFiRow, XFiTokensRow, AverageRow, AverageVarianceRow}
}

// Title returns the row's name for a table, and what it is in a few words.
func Title(name string) (title, note string) {
	switch name {
	case HPELiRow:
		return "HPE-Li (style)", "WiFi only, selective kernels"
	case XFiRow:
		return "X-Fi (style)", "fusion of tokens by cross-attention"
	case XFiTokensRow:
		return "X-Fi's baseline 1 (style)", "mean of the tokens of frozen single modalities"
	case AverageRow:
		return "Average", "mean of the poses of single modalities"
	case AverageVarianceRow:
		return "Average, weighted", "mean weighted by the inverse squared error on held-out subjects"
	}
	return name, ""
}

// Predictor is a trained row. It is not safe for concurrent use.
type Predictor interface {
	// InferBatch computes n samples with all modalities of the row; b.Target is
	// not read. pose takes n x model.OutputDim metres. Modalities that
	// b.Present leaves out of a sample do not take part in its pose.
	InferBatch(b *model.Batch, n int, pose []float32) error
	// Coalition gives the poses of the last InferBatch's n samples with only
	// the modalities of mask.
	Coalition(mask modality.Set, n int, pose []float32) error
	// Modalities returns those the row can use.
	Modalities() modality.Set
	// NumParameters returns how many values were trained, of all its networks.
	NumParameters() int
	// Close gives memory back; the row must not be used after.
	Close() error
}

// Train trains the named row.
func Train(ctx context.Context, name string, cfg model.Config, data *train.Data, opt train.Options) (Predictor, error) {
	p, err := trainRow(ctx, name, cfg, data, opt)
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", name, err)
	}
	return p, nil
}

func trainRow(ctx context.Context, name string, cfg model.Config, data *train.Data, opt train.Options) (Predictor, error) {
	if err := check(cfg, data, opt); err != nil {
		return nil, err
	}
	switch name {
	case HPELiRow:
		return TrainHPELi(ctx, cfg, data, opt)
	case XFiRow:
		return trainXFi(ctx, cfg, data, opt)
	case XFiTokensRow:
		return trainTokens(ctx, cfg, data, opt)
	case AverageRow:
		nets, err := TrainSingles(ctx, cfg, data, opt)
		if err != nil {
			return nil, err
		}
		return NewAverage(nets, nil, MeanPose(data))
	case AverageVarianceRow:
		return trainWeighted(ctx, cfg, data, opt)
	}
	return nil, fmt.Errorf("unknown row: use one of %s", strings.Join(Names(), ", "))
}

// check refuses, before anything is trained, what no row can work with.
func check(cfg model.Config, data *train.Data, opt train.Options) error {
	if opt.Method != nil {
		return errors.New("a comparison row is trained plainly: leave the balancing method out")
	}
	if err := opt.Check(); err != nil {
		return err
	}
	if opt.Batch > len(data.Samples) {
		return fmt.Errorf("a batch of %d is more than the %d frames there are: use a smaller batch, more clips or a smaller stride", opt.Batch, len(data.Samples))
	}
	return data.CheckFits(cfg)
}

// Evaluate scores a row on every sample of data, as train.Evaluate scores a
// network. Coalitions are cut to the row's modalities.
func Evaluate(ctx context.Context, p Predictor, data, trained *train.Data, coalitions []modality.Set, describe string, visit func(recording.Key, int, *[model.OutputDim]float32)) (*train.Report, error) {
	full := p.Modalities()
	masks := []modality.Set{full}
	for _, m := range coalitions {
		if m &= full; m != 0 && !slices.Contains(masks, m) {
			masks = append(masks, m)
		}
	}
	return train.EvaluatePoser(ctx, p, full, data, trained, masks, describe, visit)
}

// MeanPose returns the mean pose of the data's samples, metres.
func MeanPose(data *train.Data) []float32 {
	sums := make([]float64, model.OutputDim)
	for _, s := range data.Samples {
		for i, v := range truth(data, s) {
			sums[i] += float64(v)
		}
	}
	out := make([]float32, model.OutputDim)
	for i, v := range sums {
		out[i] = float32(v / float64(max(len(data.Samples), 1)))
	}
	return out
}

// truth returns the true pose of a sample.
func truth(data *train.Data, s train.SampleRef) []float32 {
	return data.Clips[s.Clip].Truth[s.Row*model.OutputDim:][:model.OutputDim]
}

// network is a row that is a model.Network.
type network struct {
	*model.Runtime
	net *model.Network
}

// trainXFi trains the encoders of cfg with the XFiHead.
func trainXFi(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options) (Predictor, error) {
	cfg.Head = model.XFiHead
	net, err := trainNetwork(ctx, cfg, data, opt)
	if err != nil {
		return nil, err
	}
	return NewNetwork(net)
}

// NewNetwork makes a row of a network, such as one of a checkpoint.
func NewNetwork(net *model.Network) (Predictor, error) {
	r, err := model.NewRuntime(net)
	if err != nil {
		return nil, err
	}
	return &network{r, net}, nil
}

// trainNetwork trains a fresh network of the configuration.
func trainNetwork(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options) (*model.Network, error) {
	net, err := model.New(cfg, opt.Seed)
	if err != nil {
		return nil, err
	}
	return net, train.Run(ctx, net, data, opt)
}

// Modalities implements Predictor.
func (n *network) Modalities() modality.Set { return n.net.Config.Mask() }

// NumParameters implements Predictor.
func (n *network) NumParameters() int { return n.net.NumParameters() }
