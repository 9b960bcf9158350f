package train

import (
	"sync"

	"posefuse/model"
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
}

// newReplicas makes n replicas for batches of a size that Options.Check passed.
func newReplicas(net *model.Network, data *Data, n, batch int, seed uint64) (*replicas, error) {
	r := &replicas{losses: make([]float64, n), errs: make([]error, n)}
	for i := range n {
		own := net
		if i > 0 {
			var err error
			if own, err = net.Clone(); err != nil {
				return nil, err
			}
		}
		t, err := model.NewTrainer(own, batch/n, model.TrainerOptions{Seed: seed + uint64(i)<<32})
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
// and returns the mean loss, metres. fill fills row of the batch it is given
// with sample k of the whole batch; it is called from one goroutine at a time
// per replica.
func (r *replicas) forwardBackward(fill func(b *model.Batch, row, k int)) (float64, error) {
	var wg sync.WaitGroup
	for i := range r.trainers {
		wg.Go(func() {
			b := r.batches[i]
			for row := range b.Present {
				fill(b, row, i*len(b.Present)+row)
			}
			r.losses[i], r.errs[i] = r.trainers[i].ForwardBackward(b)
		})
	}
	wg.Wait()
	loss := 0.0
	for i, err := range r.errs {
		if err != nil {
			return 0, err
		}
		loss += r.losses[i] / float64(len(r.losses))
	}
	if len(r.nets) > 1 {
		r.merge()
	}
	return loss, nil
}

// merge averages gradients and running statistics into the first network.
func (r *replicas) merge() {
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
