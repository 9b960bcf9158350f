package model

import (
	"fmt"

	"posefuse/model/nn"
)

// ReferenceTrainer trains a copy of a network in float64 with dropout off: the
// blocks, the graph and the optimiser of training, without float32's rounding.
// Training amplifies rounding, so only here do two implementations of it show
// at the recipe's learning rate whether they are the same. Its products of
// matrices are portable code, many times slower than a Trainer's. It is not
// safe for concurrent use.
type ReferenceTrainer struct {
	trainGraph[float64]
	store *nn.Store[float64]
	adam  []adamMoments
	count int // updates made
}

// adamMoments are a parameter and Adam's running means of its gradient and of
// the gradient's square.
type adamMoments struct {
	param *nn.Tensor[float64]
	m, v  []float64
}

// NewReferenceTrainer copies n's weights and builds the graph for batches of
// the given size. n does not change; CopyTo brings the trained weights back.
func NewReferenceTrainer(n *Network, batch int) (*ReferenceTrainer, error) {
	t := &ReferenceTrainer{store: nn.NewFilledStore(false, func(x *nn.Tensor[float64]) []float64 {
		from := n.store.Lookup(x.Name).Value
		v := make([]float64, len(from))
		convert(v, from)
		return v
	})}
	if err := t.build(n.Config, t.store, batch, TrainerOptions{NoDropout: true}); err != nil {
		return nil, fmt.Errorf("reference trainer: %w", err)
	}
	for _, x := range t.store.All {
		if !x.IsBuffer() && !x.Unused {
			t.adam = append(t.adam, adamMoments{x, make([]float64, len(x.Value)), make([]float64, len(x.Value))})
		}
	}
	return t, nil
}

// Step runs one batch forward and back and updates the weights by Adam
// (moments 0.9 and 0.999, epsilon 1e-8, the weight decay added to the
// gradient). It returns the loss before the update, the mean distance of
// joints, metres; after an error the weights are as before, the running
// statistics may not be.
func (t *ReferenceTrainer) Step(b *Batch, rate, weightDecay float64) (lossM float64, err error) {
	if lossM, err = t.forwardBackward(b); err != nil {
		return lossM, err
	}
	t.count++
	s := adamStep(rate, weightDecay, t.count)
	for _, p := range t.adam {
		s.Apply64(p.param.Value, p.param.Grad, p.m, p.v)
	}
	return lossM, nil
}

// CopyTo rounds weights and running statistics to float32 and stores them in
// n, a network of the same configuration that is not frozen.
func (t *ReferenceTrainer) CopyTo(n *Network) error {
	if n.Frozen() {
		return errFrozen
	}
	for _, x := range t.store.All {
		to := n.store.Lookup(x.Name)
		if to == nil || len(to.Value) != len(x.Value) {
			return fmt.Errorf("copy weights: the network has no tensor %s %v", x.Name, x.Shape)
		}
	}
	for _, x := range t.store.All {
		convert(n.store.Lookup(x.Name).Value, x.Value)
	}
	return nil
}

// Close releases the graph.
func (t *ReferenceTrainer) Close() error { return t.graph.Close() }
