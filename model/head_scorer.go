package model

import (
	"errors"
	"fmt"

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// HeadScorer runs a network's fusion head alone on given features, dropout off
// and without gradients, for any coalition of modalities. It reads the weights
// the network has at each call, allocates nothing after the first of a size,
// and is not safe for concurrent use.
type HeadScorer struct {
	slots []modality.Kind // modality of each of the head's inputs
	max   int             // largest batch
	head  nn.Head[float32]

	in    [][]float32
	zero  []float32
	masks []uint8
	memo  []float32   // of the coalitions' poses
	poses [][]float32 // per coalition
}

// NewHeadScorer makes a scorer for batches of up to maxBatch samples.
func NewHeadScorer(n *Network, maxBatch int) (*HeadScorer, error) {
	if maxBatch < 1 {
		return nil, fmt.Errorf("head scorer: batches of up to %d samples: want at least 1", maxBatch)
	}
	h := &HeadScorer{max: maxBatch}
	full := n.Config.Mask()
	for m := range modality.Count {
		if full.Has(m) {
			h.slots = append(h.slots, m)
		}
	}
	n.building.Lock()
	defer n.building.Unlock()
	h.head = newHead(n.Config.Head, n.store, &nn.Context{Mode: nn.Eval}, full)
	h.in = make([][]float32, len(h.slots))
	h.zero = make([]float32, maxBatch*FeatureDim)
	for s := 1; s < 1<<len(h.slots); s++ {
		h.masks = append(h.masks, uint8(s))
	}
	h.poses = make([][]float32, 1<<len(h.slots))
	return h, nil
}

// Modalities returns those of the network in order. The result must not be
// changed.
func (h *HeadScorer) Modalities() []modality.Kind { return h.slots }

// take puts the features of the modalities of mask in h.in, zeros for others.
func (h *HeadScorer) take(features *[modality.Count][]float32, batch int, mask modality.Set) error {
	if batch < 1 || batch > h.max {
		return fmt.Errorf("head scorer: %d samples, want 1 to %d", batch, h.max)
	}
	for i, m := range h.slots {
		if !mask.Has(m) {
			h.in[i] = h.zero
			continue
		}
		if len(features[m]) < batch*FeatureDim {
			return fmt.Errorf("head scorer: features of %s hold %d values, want %d for %d samples", m.String(), len(features[m]), batch*FeatureDim, batch)
		}
		h.in[i] = features[m][:batch*FeatureDim]
	}
	return nil
}

// Predict writes the poses, metres, of the first batch samples of features to
// dst, batch x OutputDim. The features of modalities outside mask count as
// zero and need not be given.
func (h *HeadScorer) Predict(features [modality.Count][]float32, batch int, mask modality.Set, dst []float32) error {
	if len(dst) != batch*OutputDim {
		return fmt.Errorf("head scorer: room for %d values, want %d for %d samples", len(dst), batch*OutputDim, batch)
	}
	if err := h.take(&features, batch, mask); err != nil {
		return err
	}
	copy(dst, h.head.Forward(h.in, batch))
	return nil
}

// Coalitions returns the poses of all coalitions of the network's modalities,
// batch x OutputDim each: in entry s those of the modalities whose places in
// Modalities are the bits of s. Entry 0 is nil. They are valid until the next
// call.
func (h *HeadScorer) Coalitions(features [modality.Count][]float32, batch int) ([][]float32, error) {
	if err := h.take(&features, batch, modality.All); err != nil {
		return nil, err
	}
	size := batch * OutputDim
	if len(h.memo) < size*len(h.masks) {
		h.memo = make([]float32, size*len(h.masks))
	}
	for i := range h.masks {
		h.poses[i+1] = h.memo[i*size : (i+1)*size]
	}
	if c, ok := h.head.(nn.CoalitionHead[float32]); ok {
		c.Coalitions(h.in, batch, h.masks, h.poses[1:])
		return h.poses, nil
	}
	for _, s := range h.masks {
		var mask modality.Set
		for i, m := range h.slots {
			mask |= modality.Set(s>>i&1) << m
		}
		if err := h.Predict(features, batch, mask, h.poses[s]); err != nil {
			return nil, err
		}
	}
	return h.poses, nil
}

// Linear reports whether the head has partial predictions.
func (h *HeadScorer) Linear() bool {
	_, ok := h.head.(nn.LinearHead[float32])
	return ok
}

var errNotLinear = errors.New("head scorer: the fusion head is not linear, it has no partial predictions")

// Partial writes what modality m alone adds to a linear head's poses, W^m f^m
// without the bias (Eq 3), to dst, batch x OutputDim.
func (h *HeadScorer) Partial(features [modality.Count][]float32, batch int, m modality.Kind, dst []float32) error {
	l, ok := h.head.(nn.LinearHead[float32])
	if !ok {
		return errNotLinear
	}
	if len(dst) != batch*OutputDim {
		return fmt.Errorf("head scorer: room for %d values, want %d for %d samples", len(dst), batch*OutputDim, batch)
	}
	if err := h.take(&features, batch, 1<<m); err != nil {
		return err
	}
	for i, s := range h.slots {
		if s == m {
			l.Partial(h.in[i], batch, i, dst)
			return nil
		}
	}
	return fmt.Errorf("head scorer: the network has no modality %d", m)
}
