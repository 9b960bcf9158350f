package train

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"posefuse/model"
	"posefuse/model/nn/kernel"
	"posefuse/replay/mmfi"
)

// Options is the training recipe. The zero value is not usable; see
// PaperRecipe.
type Options struct {
	Epochs       int
	Batch        int
	LR           float64
	DecayEvery   int     // epochs after which the learning rate falls to a tenth
	WeightDecay  float64 // coupled, as in the paper's Adam
	Seed         uint64
	Replicas     int     // copies that share each batch, see replicas; 1 if 0
	Dropout      float64 // share of samples in which a random coalition replaces the full one, 0..1
	MeanStart    bool    // begin with the head's bias at the mean training pose
	TimeLimit    time.Duration
	Curve        io.Writer             // JSON lines, one per epoch; may be nil
	Start        func(StartInfo)       // called before the first step; may be nil
	Step         func(StepInfo)        // called after each step; may be nil
	AfterEpoch   func(EpochInfo) error // e.g. evaluate and checkpoint; may be nil
	ScheduleTime time.Duration         // if set, the schedule follows elapsed time instead of epochs
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
	case o.Epochs < 1:
		return fmt.Errorf("%d epochs: train for at least 1", o.Epochs)
	case !(o.LR > 0) || math.IsInf(o.LR, 0):
		return fmt.Errorf("learning rate %g: use a positive number such as 0.001", o.LR)
	case !(o.Dropout >= 0 && o.Dropout <= 1):
		return fmt.Errorf("modality dropout %g: use a share from 0 to 1", o.Dropout)
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
type EpochInfo struct {
	Epoch     int     `json:"epoch"` // 1-based
	LossMM    float64 `json:"train_mpjpe_mm"`
	LR        float64 `json:"lr"`
	ElapsedS  float64 `json:"elapsed_s"`
	SamplesPS float64 `json:"samples_per_s"`
}

// Run trains net on data. It ends after the last epoch, when the time limit is
// reached (at an epoch's end or within it) or when ctx ends.
func Run(ctx context.Context, net *model.Network, data *Data, opt Options) error {
	if err := opt.Check(); err != nil {
		return err
	}
	if opt.Batch > len(data.Samples) {
		return fmt.Errorf("a batch of %d is more than the %d frames there are: use a smaller batch, more clips or a smaller stride", opt.Batch, len(data.Samples))
	}
	if opt.MeanStart {
		startAtMeanPose(net, data)
	}
	reps, err := newReplicas(net, data, max(opt.Replicas, 1), opt.Batch, opt.Seed)
	if err != nil {
		return err
	}
	defer reps.close()
	if opt.Start != nil {
		info, err := reps.memory()
		if err != nil {
			return err
		}
		opt.Start(info)
	}
	present := make([]model.Mask, opt.Batch)
	adam := newAdam(net, opt)
	rng := rand.New(rand.NewPCG(opt.Seed, 0x7261696e))
	order := make([]SampleRef, len(data.Samples))
	steps := len(order) / opt.Batch
	begin := time.Now()
	for epoch := range opt.Epochs {
		copy(order, data.Samples)
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		epochBegin, sum, done := time.Now(), 0.0, 0
		for step := range steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			elapsed := time.Since(begin)
			if opt.TimeLimit > 0 && elapsed >= opt.TimeLimit {
				break
			}
			share := opt.share(epoch, step, steps, elapsed)
			for i := range present {
				present[i] = dropModalities(rng, net.Config.Mask(), opt.Dropout)
			}
			lossM, err := reps.forwardBackward(func(b *model.Batch, row, k int) {
				data.Fill(b, row, order[step*opt.Batch+k])
				b.Present[row] = present[k]
			})
			if err != nil {
				return fmt.Errorf("epoch %d step %d: %w", epoch+1, step+1, err)
			}
			adam.step(opt.rate(share, epoch))
			if err := reps.spread(); err != nil {
				return err
			}
			sum += lossM
			done++
			if opt.Step != nil {
				opt.Step(StepInfo{epoch + 1, step + 1, steps, lossM * 1000, time.Since(begin), opt.share(epoch, step+1, steps, time.Since(begin))})
			}
		}
		if done == 0 {
			return nil
		}
		info := EpochInfo{Epoch: epoch + 1, LossMM: 1000 * sum / float64(done), LR: opt.rate(opt.share(epoch, done, steps, time.Since(begin)), epoch),
			ElapsedS: time.Since(begin).Seconds(), SamplesPS: float64(done*opt.Batch) / time.Since(epochBegin).Seconds()}
		if opt.Curve != nil {
			if err := json.NewEncoder(opt.Curve).Encode(info); err != nil {
				return fmt.Errorf("write training curve: %w", err)
			}
		}
		if opt.AfterEpoch != nil {
			if err := opt.AfterEpoch(info); err != nil {
				return err
			}
		}
		if done < steps {
			return nil
		}
	}
	return nil
}

// startAtMeanPose sets the head's bias to the mean training pose, so that the
// first epochs need not learn how far away people stand.
func startAtMeanPose(net *model.Network, data *Data) {
	mean := meanPoses(data, func(mmfi.ClipKey) int { return 0 })[0]
	for _, p := range net.Parameters() {
		if p.Modality < 0 && len(p.Shape) == 1 && len(p.Value) == len(mean) {
			copy(p.Value, mean)
		}
	}
}

// share returns how much of the whole training is done, 0..1.
func (o Options) share(epoch, step, steps int, elapsed time.Duration) float64 {
	if o.ScheduleTime > 0 {
		return min(float64(elapsed)/float64(o.ScheduleTime), 1)
	}
	return (float64(epoch) + float64(step)/float64(steps)) / float64(o.Epochs)
}

// rate returns the learning rate: the paper's steps, or with DecayEvery 0 a
// warm-up over the first 2 % and a half cosine to 1 % of LR.
func (o Options) rate(share float64, epoch int) float64 {
	if o.DecayEvery > 0 {
		return o.LR * math.Pow(0.1, float64(epoch/o.DecayEvery))
	}
	if share < 0.02 {
		return o.LR * (0.05 + 0.95*share/0.02)
	}
	return o.LR * (0.01 + 0.99*(1+math.Cos(math.Pi*share))/2)
}

// dropModalities replaces the coalition, with probability p, by a random
// non-empty one of its subsets, so that one model serves every coalition live.
func dropModalities(rng *rand.Rand, full model.Mask, p float64) model.Mask {
	if p == 0 || rng.Float64() >= p {
		return full
	}
	for {
		if m := model.Mask(rng.IntN(int(model.AllModalities)+1)) & full; m != 0 {
			return m
		}
	}
}

// adam is the optimiser's state over all parameters of a network.
type adam struct {
	params []*model.Parameter
	m, v   [][]float32
	opt    Options
	count  int
}

func newAdam(net *model.Network, opt Options) *adam {
	a := &adam{params: net.Parameters(), opt: opt}
	for _, p := range a.params {
		a.m = append(a.m, make([]float32, len(p.Value)))
		a.v = append(a.v, make([]float32, len(p.Value)))
	}
	return a
}

// step applies one update with the gradients of the last backward pass.
func (a *adam) step(lr float64) {
	a.count++
	s := kernel.AdamStep{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: a.opt.WeightDecay, Step: a.count}
	for i, p := range a.params {
		if p.NoGrad {
			continue
		}
		s.Apply(p.Value, p.Grad, a.m[i], a.v[i])
	}
}
