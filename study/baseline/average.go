package baseline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"posefuse/model"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// average is the mean of the poses of networks of one modality each.
type average struct {
	singles
	weights [modality.Count][]float64 // per coordinate; nil where all weigh the same
	mean    []float32                 // the pose without a sensor
	sum     []float64
	total   []float64
}

// NewAverage makes a row of networks, trained or from checkpoints, of one
// modality each. weights gives each network's weight per coordinate of the
// pose, as ErrorWeights returns them; nil gives all the same. In a coalition
// the weights of its members count alone. mean is the pose of none, metres.
func NewAverage(nets []*model.Network, weights [][]float64, mean []float32) (Predictor, error) {
	if weights != nil && len(weights) != len(nets) {
		return nil, fmt.Errorf("average: %d weights for %d networks", len(weights), len(nets))
	}
	if len(mean) != model.OutputDim {
		return nil, fmt.Errorf("average: a mean pose of %d values, want %d", len(mean), model.OutputDim)
	}
	a := &average{mean: slices.Clone(mean), sum: make([]float64, model.OutputDim), total: make([]float64, model.OutputDim)}
	for i, net := range nets {
		if err := a.add(net, weights, i); err != nil {
			return nil, errors.Join(fmt.Errorf("average: network %d (%s): %w", i, net.Config.Modalities, err), a.Close())
		}
	}
	if a.mask == 0 {
		return nil, errors.New("average: no network given")
	}
	return a, nil
}

func (a *average) add(net *model.Network, weights [][]float64, i int) error {
	m, err := a.place(net)
	if err != nil {
		return err
	}
	if weights != nil {
		for _, w := range weights[i] {
			if !(w > 0) {
				return fmt.Errorf("weight %g: want positive ones", w)
			}
		}
		if len(weights[i]) != model.OutputDim {
			return fmt.Errorf("%d weights, want %d", len(weights[i]), model.OutputDim)
		}
		a.weights[m] = weights[i]
	}
	return a.singles.add(net)
}

// InferBatch implements Predictor.
func (a *average) InferBatch(b *model.Batch, n int, pose []float32) error {
	if err := a.infer(b, n); err != nil {
		return fmt.Errorf("average: %w", err)
	}
	return a.Coalition(a.mask, n, pose)
}

// Coalition implements Predictor.
func (a *average) Coalition(mask modality.Set, n int, pose []float32) error {
	if len(pose) != n*model.OutputDim || n > len(a.present) {
		return fmt.Errorf("average: coalition %s of %d samples into %d values: the last batch held %d", mask, n, len(pose), len(a.present))
	}
	for s := range n {
		a.mix(mask&a.mask&a.present[s], s, pose[s*model.OutputDim:(s+1)*model.OutputDim])
	}
	return nil
}

// mix writes the mean of the members' poses of a sample.
func (a *average) mix(members modality.Set, s int, pose []float32) {
	if members == 0 {
		copy(pose, a.mean)
		return
	}
	clear(a.sum)
	clear(a.total)
	for m := range members.Kinds() {
		for i, v := range a.poses[m][s*model.OutputDim:][:model.OutputDim] {
			w := 1.0
			if a.weights[m] != nil {
				w = a.weights[m][i]
			}
			a.sum[i] += w * float64(v)
			a.total[i] += w
		}
	}
	for i := range pose {
		pose[i] = float32(a.sum[i] / a.total[i])
	}
}

// TrainSingles trains a network of the sizes of cfg for each of its modalities
// alone, with a linear head.
func TrainSingles(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options) ([]*model.Network, error) {
	return trainSingles(ctx, cfg, data, opt, newParts(opt, len(cfg.Modalities)))
}

func trainSingles(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options, parts *parts) ([]*model.Network, error) {
	cfg.Head = model.ConcatHead
	var nets []*model.Network
	for m := range modality.Count {
		alone := modality.Of(m)
		if cfg.Mask()&alone == 0 {
			continue
		}
		one := cfg
		one.Modalities = alone.String()
		view, err := data.Only(alone)
		if err != nil {
			return nil, err
		}
		net, err := trainNetwork(ctx, one, view, parts.next(opt))
		if err != nil {
			return nil, fmt.Errorf("modality %s alone: %w", alone, err)
		}
		nets = append(nets, net)
	}
	return nets, nil
}

// parts divides a row's training among several networks.
type parts struct {
	n, done int
	begin   time.Time
}

func newParts(opt train.Options, n int) *parts { return &parts{n: n, begin: time.Now()} }

// next returns the options of the next network: its share of the limits in
// time, and steps told as shares of the whole.
func (p *parts) next(opt train.Options) train.Options {
	before, n := float64(p.done), float64(p.n)
	p.done++
	opt.TimeLimit /= time.Duration(p.n)
	opt.ScheduleTime /= time.Duration(p.n)
	opt.Validation = nil
	if told := opt.Step; told != nil {
		opt.Step = func(s train.StepInfo) {
			s.Share = (before + s.Share) / n
			s.Elapsed = time.Since(p.begin)
			told(s)
		}
	}
	return opt
}

// trainWeighted trains the row whose weights come from validation data: that
// of the options, or else a fifth of the training subjects, on which networks
// trained on the others show their errors; the networks of the row itself are
// trained on all.
func trainWeighted(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options) (Predictor, error) {
	n := len(cfg.Modalities)
	if opt.Validation == nil {
		n *= 2
	}
	parts := newParts(opt, n)
	nets, err := trainSingles(ctx, cfg, data, opt, parts)
	if err != nil {
		return nil, err
	}
	judged, val := nets, opt.Validation
	if val == nil {
		var fit *train.Data
		if fit, val, err = HoldOut(data); err != nil {
			return nil, err
		}
		if len(fit.Samples) < opt.Batch {
			return nil, fmt.Errorf("a batch of %d is more than the %d frames left beside the validation part: use a smaller batch or more clips", opt.Batch, len(fit.Samples))
		}
		if judged, err = trainSingles(ctx, cfg, fit, opt, parts); err != nil {
			return nil, fmt.Errorf("without the validation part: %w", err)
		}
	}
	weights, err := ErrorWeights(ctx, judged, val)
	if err != nil {
		return nil, err
	}
	return NewAverage(nets, weights, MeanPose(data))
}

// HoldOut divides data into a part to fit and a part to judge by: every fifth
// of its subjects in order, at least one, is judged by. With a single subject
// it is every fifth clip, at least one. The parts share the data's memory.
func HoldOut(data *train.Data) (fit, val *train.Data, err error) {
	if len(data.Clips) < 2 {
		return nil, nil, fmt.Errorf("%d clip: a validation part needs at least 2", len(data.Clips))
	}
	var subjects []int
	for _, c := range data.Clips {
		if !slices.Contains(subjects, c.Key.Subject) {
			subjects = append(subjects, c.Key.Subject)
		}
	}
	slices.Sort(subjects)
	held := func(i, n int) bool { return i%5 == min(4, n-1) }
	fit, val = part(data, nil), part(data, nil)
	for i := range data.Clips {
		to := fit
		if len(subjects) > 1 && held(slices.Index(subjects, data.Clips[i].Key.Subject), len(subjects)) || len(subjects) == 1 && held(i, len(data.Clips)) {
			to = val
		}
		to.Clips = append(to.Clips, data.Clips[i])
	}
	number(fit, data)
	number(val, data)
	return fit, val, nil
}

// part returns data with other clips and no samples.
func part(data *train.Data, clips []*train.ClipData) *train.Data {
	p := *data
	p.Clips, p.Samples = clips, nil
	return &p
}

// number gives a part the samples of its clips.
func number(p, data *train.Data) {
	for _, s := range data.Samples {
		if i := slices.Index(p.Clips, data.Clips[s.Clip]); i >= 0 {
			p.Samples = append(p.Samples, train.SampleRef{Clip: i, Row: s.Row})
		}
	}
}

// leastError keeps a weight finite: a tenth of a millimetre.
const leastError = 1e-4

// ErrorWeights returns for each network, one per modality, the inverse of its
// mean squared error on data for each coordinate of the pose, 1/m². If the
// errors of the networks were independent and without bias, the mean with
// these weights would have the least variance.
func ErrorWeights(ctx context.Context, nets []*model.Network, data *train.Data) ([][]float64, error) {
	var weights [][]float64
	for _, net := range nets {
		w := make([]float64, model.OutputDim)
		if err := squaredErrors(ctx, net, data, w); err != nil {
			return nil, fmt.Errorf("weights of modality %s: %w", net.Config.Modalities, err)
		}
		for i, v := range w {
			w[i] = 1 / max(v, leastError*leastError)
		}
		weights = append(weights, w)
	}
	return weights, nil
}

// squaredErrors writes the mean squared error of each coordinate, m².
func squaredErrors(ctx context.Context, net *model.Network, data *train.Data, dst []float64) error {
	data, err := data.Only(net.Config.Mask())
	if err != nil {
		return err
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	const size = 32
	b, poses := data.NewBatch(size), make([]float32, size*model.OutputDim)
	for at := 0; at < len(data.Samples); at += size {
		if err = ctx.Err(); err != nil {
			return err
		}
		n := min(size, len(data.Samples)-at)
		for row := range size {
			data.Fill(b, row, data.Samples[at+min(row, n-1)])
		}
		if err = run.InferBatch(b, size, poses); err != nil {
			return err
		}
		for i, v := range poses[:n*model.OutputDim] {
			e := float64(v) - float64(b.Target[i])
			dst[i%model.OutputDim] += e * e / float64(len(data.Samples))
		}
	}
	return nil
}
