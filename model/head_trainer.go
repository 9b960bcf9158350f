package model

import (
	"fmt"

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// HeadTrainer computes losses and gradients of a network's fusion head alone, on
// features that are given: for a network whose encoders stay as they are in use. It is
// a Gorgonia graph like a Trainer's, and not safe for concurrent use.
type HeadTrainer struct {
	batch  int
	slots  []modality.Kind
	graph  *nn.Graph[float32]
	feats  [][]float32 // per slot, batch x FeatureDim
	target []float32
	loss   *nn.Node
}

// NewHeadTrainer builds the graph of n's head for batches of the given size.
// dropoutSeed is that of dropout within the head, where it has one.
func NewHeadTrainer(n *Network, batch int, dropoutSeed uint64) (*HeadTrainer, error) {
	if n.Frozen() {
		return nil, fmt.Errorf("head trainer: %w", errFrozen)
	}
	if batch < 1 {
		return nil, fmt.Errorf("head trainer: batch of %d: want at least 1", batch)
	}
	n.building.Lock()
	defer n.building.Unlock()
	t := &HeadTrainer{batch: batch, graph: nn.NewGraph[float32](batch), target: make([]float32, batch*OutputDim)}
	var head nn.Head[float32]
	ctx := &nn.Context{Mode: nn.Train, Seed: dropoutSeed}
	params := n.store.Collect(func() { head = newHead(n.Config.Head, n.store, ctx, n.Config.Mask()) })
	var features []*nn.Node
	for m := range n.Config.Mask().Kinds() {
		f := make([]float32, batch*FeatureDim)
		t.slots, t.feats = append(t.slots, m), append(t.feats, f)
		features = append(features, t.graph.Input(m.String(), f))
	}
	pose, err := t.graph.Head("head", head, params, OutputDim, features...)
	if err != nil {
		return nil, err
	}
	if t.loss, err = t.graph.Loss(&nn.MPJPE[float32]{Joints: NumJoints}, pose, t.graph.Input("target", t.target)); err != nil {
		return nil, err
	}
	return t, t.graph.Compile(t.loss)
}

// ForwardBackward runs one batch of features, zero where a sample lacks a modality,
// as Runtime.Features gives them, and leaves the gradients in the head's parameters.
// It returns the mean distance of joints, metres.
func (t *HeadTrainer) ForwardBackward(features *[modality.Count][]float32, target []float32) (lossM float64, err error) {
	if len(target) != len(t.target) {
		return 0, fmt.Errorf("head training: target holds %d values, want %d for %d samples", len(target), len(t.target), t.batch)
	}
	for i, m := range t.slots {
		if len(features[m]) != len(t.feats[i]) {
			return 0, fmt.Errorf("head training: features of %s hold %d values, want %d for %d samples", m.String(), len(features[m]), len(t.feats[i]), t.batch)
		}
		copy(t.feats[i], features[m])
	}
	copy(t.target, target)
	if err = t.graph.Run(); err != nil {
		return 0, fmt.Errorf("head training: %w", err)
	}
	l, err := nn.Value[float32](t.loss)
	if err != nil {
		return 0, err
	}
	if lossM = float64(l[0]); !finite(lossM) {
		return lossM, ErrNotFinite
	}
	return lossM, nil
}

// Close releases the graph.
func (t *HeadTrainer) Close() error { return t.graph.Close() }
