package train

import (
	"sync"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// replicas trains several copies of a network side by side, each on its part
// of every batch, and adds their gradients, as data-parallel training on
// several GPUs does. Batch normalisation sees the part, not the whole batch.
type replicas struct {
	nets     []*model.Network // the first is the caller's
	trainers []*model.Trainer
	batches  []*model.Batch
	losses   []float64
	errs     []error
	params   [][]*model.Parameter // of each network
	buffers  [][]*model.Buffer

	frozenStats bool
}

// newReplicas makes n replicas for batches of a size that Options.Check passed.
func newReplicas(net *model.Network, data *Data, n, batch int, opt model.TrainerOptions, branched bool) (*replicas, error) {
	r := &replicas{losses: make([]float64, n), errs: make([]error, n)}
	for m := range modality.Count {
		if branched && net.Config.Mask().Has(m) {
			opt.Branches = append(opt.Branches, 1<<m) // each modality alone
		}
	}
	for i := range n {
		own := net
		if i > 0 {
			var err error
			if own, err = net.Clone(); err != nil {
				return nil, err
			}
		}
		of := opt
		of.Seed += uint64(i) << 32
		t, err := model.NewTrainer(own, batch/n, of)
		if err != nil {
			return nil, err
		}
		r.nets, r.trainers, r.batches = append(r.nets, own), append(r.trainers, t), append(r.batches, data.NewBatch(batch/n))
		r.params, r.buffers = append(r.params, own.Parameters()), append(r.buffers, own.Buffers())
	}
	return r, nil
}

// memory returns what training takes, see model.Trainer.ActivationBytes.
func (r *replicas) memory() (StartInfo, error) {
	each, err := r.trainers[0].ActivationBytes()
	if err != nil {
		return StartInfo{}, err
	}
	n, params := int64(len(r.nets)), r.nets[0].NumParameters()
	return StartInfo{ActivationBytes: n * each,
		// Only the first network has an optimiser.
		StateBytes: model.StateBytes(params) + (n-1)*model.StateBytes(params)/2}, nil
}

// forwardBackward leaves the mean gradient in the first network's parameters
// and returns the mean error of the whole network, metres, whatever the weights
// of its branches. fill fills row of the batch it is given
// with sample k of the whole batch; it is called from one goroutine at a time
// per replica.
// step numbers the dropout masks.
func (r *replicas) forwardBackward(step uint64, fill func(b *model.Batch, row, k int)) (float64, error) {
	var wg sync.WaitGroup
	for i := range r.trainers {
		wg.Go(func() {
			defer model.Occupy()()
			b := r.batches[i]
			for row := range b.Present {
				fill(b, row, i*len(b.Present)+row)
			}
			r.trainers[i].SetStep(step)
			r.losses[i], r.errs[i] = r.trainers[i].ForwardBackward(b)
			if joint, _ := r.trainers[i].BranchLosses(); r.errs[i] == nil {
				r.losses[i] = joint // without the branches' own
			}
		})
	}
	wg.Wait()
	loss := 0.0
	for _, l := range r.losses {
		loss += l / float64(len(r.losses))
	}
	for _, err := range r.errs {
		if err != nil {
			return loss, err
		}
	}
	if len(r.nets) > 1 {
		r.mergeGradients()
		if !r.frozenStats {
			r.mergeBuffers()
		}
	}
	return loss, nil
}

// setLossWeights sets the weights of the whole network's loss and of each
// modality's own.
func (r *replicas) setLossWeights(joint float64, alone []float64) error {
	for _, t := range r.trainers {
		if err := t.SetBranchWeights(float32(joint), narrow(alone)); err != nil {
			return err
		}
	}
	return nil
}

// backward replaces the gradients of the last batch by those of other weights.
func (r *replicas) backward(joint float64, alone []float64) error {
	var wg sync.WaitGroup
	for i, t := range r.trainers {
		wg.Go(func() {
			defer model.Occupy()()
			r.errs[i] = t.Backward(float32(joint), narrow(alone))
		})
	}
	wg.Wait()
	for _, err := range r.errs {
		if err != nil {
			return err
		}
	}
	if len(r.nets) > 1 {
		r.mergeGradients()
	}
	return nil
}

func narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

// batchStatsOnly makes batches run without dropout and without changing the
// running statistics.
func (r *replicas) batchStatsOnly(on bool) {
	r.frozenStats = on
	for _, t := range r.trainers {
		t.SetBatchStatsOnly(on)
	}
}

// mergeGradients averages the gradients into the first network.
func (r *replicas) mergeGradients() {
	share := 1 / float32(len(r.nets))
	for i, p := range r.params[0] {
		if p.NoGrad {
			continue
		}
		for _, other := range r.params[1:] {
			addTo(p.Grad, other[i].Grad)
		}
		scale(p.Grad, share)
	}
}

// mergeBuffers averages the running statistics into the first network.
func (r *replicas) mergeBuffers() {
	share := 1 / float32(len(r.nets))
	for i, b := range r.buffers[0] {
		for _, other := range r.buffers[1:] {
			addTo(b.Value, other[i].Value)
		}
		scale(b.Value, share)
	}
}

// spread copies the first network's parameters and statistics to the others.
func (r *replicas) spread() error {
	for _, n := range r.nets[1:] {
		if err := n.CopyFrom(r.nets[0]); err != nil {
			return err
		}
	}
	return nil
}

func (r *replicas) close() {
	for _, t := range r.trainers {
		_ = t.Close() // releases memory only
	}
}

func addTo(dst, src []float32) {
	for i, v := range src {
		dst[i] += v
	}
}

func scale(x []float32, by float32) {
	for i := range x {
		x[i] *= by
	}
}
