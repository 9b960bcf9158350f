package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"posefuse/model"
)

// trainHead trains the fusion head of a trained network for o.HeadEpochs more, on what
// its encoders give in use: with running statistics and without dropout, which in the
// epochs before made every feature noisier than the head ever meets. Samples, their
// variation and the coalitions are drawn as before; encoders stay as they are, no
// method balances. What it leaves depends on the network, the data and the options
// alone.
func trainHead(ctx context.Context, net *model.Network, data *Data, o Options) error {
	encoders, err := model.NewRuntime(net)
	if err != nil {
		return err
	}
	head, err := model.NewHeadTrainer(net, o.Batch, o.Seed)
	if err != nil {
		return err
	}
	defer head.Close()
	var params []*model.Parameter
	for _, p := range net.Parameters() {
		if p.Modality < 0 {
			params = append(params, p)
		}
	}
	h := &headEpochs{o: o, net: net, data: data, encoders: encoders, head: head, adam: model.NewAdam(params, o.WeightDecay),
		batch: data.NewBatch(o.Batch), poses: make([]float32, o.Batch*model.OutputDim), begin: time.Now()}
	for e := range o.HeadEpochs {
		if err := h.epoch(ctx, e); err != nil {
			return fmt.Errorf("epoch %d of the head: %w", e+1, err)
		}
	}
	return nil
}

type headEpochs struct {
	o        Options
	net      *model.Network
	data     *Data
	encoders *model.Runtime
	head     *model.HeadTrainer
	adam     *model.Adam
	batch    *model.Batch
	poses    []float32
	begin    time.Time
}

func (h *headEpochs) epoch(ctx context.Context, e int) error {
	o := h.o
	rng := rand.New(rand.NewPCG(o.Seed, word("head")+uint64(e)<<32))
	order := rng.Perm(len(h.data.Samples))
	steps, sum, begin := len(order)/o.Batch, 0.0, time.Now()
	if steps == 0 {
		return fmt.Errorf("%d samples make no batch of %d", len(order), o.Batch)
	}
	share := func(step int) float64 {
		return (float64(e) + float64(step)/float64(steps)) / float64(o.HeadEpochs)
	}
	o.DecayEvery = 0
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		lossM, err := h.step(rng, order[step*o.Batch:(step+1)*o.Batch], uint64(e*steps+step))
		if err != nil {
			return fmt.Errorf("step %d: %w", step+1, err)
		}
		h.adam.Step(o.rate(share(step), 0))
		sum += lossM
		if o.Step != nil {
			o.Step(StepInfo{Epoch: o.Epochs + e + 1, Step: step + 1, StepsPerEpoch: steps, LossMM: 1000 * lossM, Elapsed: time.Since(h.begin), Share: share(step + 1)})
		}
	}
	info := EpochInfo{Epoch: o.Epochs + e + 1, HeadAlone: true, LossMM: 1000 * sum / float64(steps), LR: o.rate(share(steps), 0),
		ElapsedS: time.Since(h.begin).Seconds(), SamplesPS: float64(steps*o.Batch) / time.Since(begin).Seconds()}
	if err := writeCurve(o.Curve, info); err != nil {
		return err
	}
	if o.AfterEpoch != nil {
		return o.AfterEpoch(info)
	}
	return nil
}

// step leaves the gradients of a batch in the head's parameters.
func (h *headEpochs) step(rng *rand.Rand, samples []int, number uint64) (lossM float64, err error) {
	b, full := h.batch, h.net.Config.Mask()
	for row, at := range samples {
		h.data.Fill(b, row, h.data.Samples[at])
		drawn := dropModalities(rng, full, h.o.Dropout)
		if !h.data.teach(b, row, h.data.Samples[at], drawn) {
			n := number*uint64(len(samples)) + uint64(row)
			h.data.augment(h.o.Augment, b, row, h.o.Seed+headStream, n)
			h.data.vary(h.o.Vary, b, row, h.o.Seed+headStream, n)
		}
		if left := b.Present[row] & drawn; left != 0 {
			b.Present[row] = left
		}
	}
	if err = h.encoders.InferBatch(b, h.o.Batch, h.poses); err != nil {
		return 0, err
	}
	features := h.encoders.Features()
	return h.head.ForwardBackward(&features, b.Target)
}

// headStream separates the variations of the head's epochs from those before.
const headStream = 0x68656164
