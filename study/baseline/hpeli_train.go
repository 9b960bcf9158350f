package baseline

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"posefuse/model"
	"posefuse/model/nn"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// hpeLiRate is the learning rate of HPE-Li's recipe.
const hpeLiRate = 1e-3

// HPELi is a WiFi-only pose network in the manner of HPE-Li (Dang Toan et al.
// 2024), with the constants of its public source: see hpeLiUnits. It differs
// from that source where the source looks like a slip: there the branches'
// maps are read back with the axes of channels and subcarriers mixed, here not;
// layers that are built there but never run are left out.
//
// Its recipe: Adam with rate 1e-3 for the first two fifths of the epochs, then
// falling linearly to 0 at their end; mean squared error of the coordinates in
// metres; dropout 0.1 in the regression; no weight decay. A batch takes about 6 MB per
// sample.
type HPELi struct {
	net  *hpeLi[float32]
	mean []float32 // the pose without the sensor
	pose []float32 // of the last InferBatch
	has  []bool    // per sample of it: WiFi is present
}

// TrainHPELi trains the row on the WiFi channel of data.
func TrainHPELi(ctx context.Context, cfg model.Config, data *train.Data, opt train.Options) (*HPELi, error) {
	if !cfg.Mask().Has(modality.CSI) {
		return nil, fmt.Errorf("the modalities %s lack W: it reads WiFi only", cfg.Mask())
	}
	data, err := data.Only(1 << modality.CSI)
	if err != nil {
		return nil, err
	}
	p := &HPELi{net: newHPELi[float32](opt.Seed), mean: MeanPose(data)}
	if opt.MeanStart {
		copy(p.net.last.OutBias().Value, p.mean)
	}
	t := newHPELiTraining(p.net, data, opt)
	for t.epoch < opt.Epochs {
		whole, err := t.run(ctx)
		if err != nil {
			return nil, err
		}
		if !whole {
			break
		}
	}
	p.net.ctx.Mode = nn.Eval
	return p, nil
}

// hpeLiTraining is the state of one training.
type hpeLiTraining struct {
	net   *hpeLi[float32]
	data  *train.Data
	opt   train.Options
	adam  *model.Adam
	batch *model.Batch
	loss  nn.MeanSquare[float32]
	epoch int
	begin time.Time
}

func newHPELiTraining(net *hpeLi[float32], data *train.Data, opt train.Options) *hpeLiTraining {
	t := &hpeLiTraining{net: net, data: data, opt: opt, batch: data.NewBatch(opt.Batch), begin: time.Now()}
	var params []*model.Parameter
	for _, p := range net.store.All {
		if !p.IsBuffer() {
			params = append(params, &model.Parameter{Value: p.Value, Grad: p.Grad})
		}
	}
	t.adam = model.NewAdam(params, 0)
	return t
}

// rate returns the learning rate of an epoch.
func (t *hpeLiTraining) rate() float64 {
	share := float64(t.epoch) / float64(t.opt.Epochs)
	return hpeLiRate * min(1, (1-share)/0.6)
}

// run trains one epoch and reports whether it was a whole one.
func (t *hpeLiTraining) run(ctx context.Context) (whole bool, err error) {
	rng := rand.New(rand.NewPCG(t.opt.Seed, 0x6870656c+uint64(t.epoch)<<32))
	order := rng.Perm(len(t.data.Samples))
	steps := len(order) / t.opt.Batch
	begin, sum, done := time.Now(), 0.0, 0
	for step := range steps {
		if err = ctx.Err(); err != nil {
			return false, err
		}
		if t.opt.TimeLimit > 0 && time.Since(t.begin) >= t.opt.TimeLimit {
			break
		}
		for row := range t.opt.Batch {
			t.data.Fill(t.batch, row, t.data.Samples[order[step*t.opt.Batch+row]])
		}
		errorM, err := t.step()
		if err != nil {
			return false, fmt.Errorf("epoch %d step %d: %w", t.epoch+1, step+1, err)
		}
		sum += errorM
		done++
		if t.opt.Step != nil {
			share := (float64(t.epoch) + float64(step+1)/float64(steps)) / float64(t.opt.Epochs)
			t.opt.Step(train.StepInfo{Epoch: t.epoch + 1, Step: step + 1, StepsPerEpoch: steps, LossMM: 1000 * errorM, Elapsed: time.Since(t.begin), Share: share})
		}
	}
	if done == 0 {
		return false, nil
	}
	info := train.EpochInfo{Epoch: t.epoch + 1, LossMM: 1000 * sum / float64(done), LR: t.rate(),
		ElapsedS: time.Since(t.begin).Seconds(), SamplesPS: float64(done*t.opt.Batch) / time.Since(begin).Seconds()}
	t.epoch++
	if t.opt.Curve != nil {
		if err := json.NewEncoder(t.opt.Curve).Encode(info); err != nil {
			return false, fmt.Errorf("write training curve: %w", err)
		}
	}
	if t.opt.AfterEpoch != nil {
		if err := t.opt.AfterEpoch(info); err != nil {
			return false, err
		}
	}
	return done == steps, nil
}

// step trains on the batch and returns its mean distance of joints, metres.
func (t *hpeLiTraining) step() (errorM float64, err error) {
	pose := t.net.forward(t.batch.CSI, t.opt.Batch)
	loss := float64(t.loss.Forward(pose, t.batch.Target))
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("modality W: %w", model.ErrNotFinite)
	}
	errorM = model.MPJPE(pose, t.batch.Target)
	t.net.backward(t.loss.Backward())
	t.net.ctx.Step++
	t.adam.Step(t.rate())
	return errorM, nil
}

// InferBatch implements Predictor.
func (p *HPELi) InferBatch(b *model.Batch, n int, pose []float32) error {
	if len(pose) != n*model.OutputDim || len(b.CSI) != n*model.CSIValues {
		return fmt.Errorf("hpe-li: %d samples with %d CSI values and room for %d pose values, want %d and %d", n, len(b.CSI), len(pose), n*model.CSIValues, n*model.OutputDim)
	}
	if b.Present != nil && len(b.Present) != n {
		return fmt.Errorf("hpe-li: presence given for %d samples, want %d", len(b.Present), n)
	}
	p.pose = append(p.pose[:0], p.net.forward(b.CSI, n)...)
	p.has = p.has[:0]
	for s := range n {
		p.has = append(p.has, b.Present == nil || b.Present[s].Has(modality.CSI))
	}
	return p.Coalition(1<<modality.CSI, n, pose)
}

// Coalition implements Predictor: without WiFi the mean training pose.
func (p *HPELi) Coalition(mask modality.Set, n int, pose []float32) error {
	if len(pose) != n*model.OutputDim || n > len(p.has) {
		return fmt.Errorf("hpe-li: coalition %s of %d samples into %d values: the last batch held %d", mask, n, len(pose), len(p.has))
	}
	for s := range n {
		to := pose[s*model.OutputDim : (s+1)*model.OutputDim]
		if copy(to, p.mean); mask.Has(modality.CSI) && p.has[s] {
			copy(to, p.pose[s*model.OutputDim:])
		}
	}
	return nil
}

// Modalities implements Predictor.
func (p *HPELi) Modalities() modality.Set { return 1 << modality.CSI }

// NumParameters implements Predictor.
func (p *HPELi) NumParameters() int { return p.net.parameters() }

// Close implements Predictor; there is nothing to give back.
func (p *HPELi) Close() error { return nil }
