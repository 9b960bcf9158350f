package model

import (
	"errors"
	"fmt"

	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// branch makes the loss of the network and of the coalitions.
func (t *trainGraph[T]) branch(cfg Config, coalitions []modality.Set, target *nn.Node, features []*nn.Node) error {
	l := nn.NewBranchedLoss(t.inst.head, t.inst.headParams, NumJoints, len(features), 1+len(coalitions))
	for i, mask := range append([]modality.Set{cfg.Mask()}, coalitions...) {
		if mask == 0 || mask&^cfg.Mask() != 0 {
			return fmt.Errorf("branch %d: coalition %s: want some of the network's modalities, %s", i-1, mask, cfg.Mask())
		}
		for k, m := range t.inst.slots {
			l.Branches[i].Use[k] = mask.Has(m)
		}
	}
	l.Branches[0].Weight = 1
	t.branched = l
	var err error
	t.loss, err = t.graph.BranchedLoss("branches", l, t.inst.headParams, target, features...)
	return err
}

// keepSamples tells each branch which samples have one of its modalities. The
// whole network counts all.
func (t *trainGraph[T]) keepSamples(present []modality.Set) {
	if t.branched == nil {
		return
	}
	for i := range t.branched.Branches[1:] {
		br := &t.branched.Branches[1+i]
		if present == nil {
			br.Keep = nil
			continue
		}
		if br.Keep == nil {
			br.Keep = make([]bool, t.batch)
		}
		for s, p := range present {
			br.Keep[s] = false
			for k, m := range t.inst.slots {
				br.Keep[s] = br.Keep[s] || br.Use[k] && p.Has(m)
			}
		}
	}
}

// ErrNoBranches is returned where a trainer without branches is asked for them.
var ErrNoBranches = errors.New("the trainer has no branches: give TrainerOptions.Branches")

// SetBranchWeights sets what the next steps minimise: joint times the loss of
// the whole network plus, for each of TrainerOptions.Branches, its weight times
// the loss of the head's output with the features of all other modalities zero.
// An encoder runs once, or not at all while no loss with a weight reads it: its
// gradients are then 0 and its running statistics stay. The head runs once for
// the network and once for each branch whose weight is not 0. Batch.Present holds
// in the branches, too; a sample that has none of a branch's modalities does
// not count in its mean. A trainer starts with joint 1 and weights 0, which
// give the gradients of a trainer without branches exactly.
func (t *Trainer) SetBranchWeights(joint float32, weights []float32) error {
	return t.setBranchWeights(joint, weights)
}

func (t *trainGraph[T]) setBranchWeights(joint float32, weights []float32) error {
	if t.branched == nil {
		return ErrNoBranches
	}
	if len(weights) != len(t.branched.Branches)-1 {
		return fmt.Errorf("%d branch weights, want %d", len(weights), len(t.branched.Branches)-1)
	}
	if !finite(joint) {
		return fmt.Errorf("weight of the whole network is %g: want a finite number", joint)
	}
	for i, w := range weights {
		if !finite(w) {
			return fmt.Errorf("weight of branch %d is %g: want a finite number", i, w)
		}
	}
	t.branched.Branches[0].Weight = T(joint)
	for i, w := range weights {
		t.branched.Branches[1+i].Weight = T(w)
	}
	return nil
}

// BranchLosses returns the mean distances of joints, metres, of the last step,
// without their weights: the whole network's and those of the branches, of
// which any whose weight was 0 is 0. The slice is valid until the next call.
func (t *Trainer) BranchLosses() (joint float64, branches []float64) { return t.branchLosses() }

func (t *trainGraph[T]) branchLosses() (joint float64, branches []float64) {
	if t.branched == nil {
		return t.lossM, nil
	}
	t.losses = t.losses[:0]
	for _, b := range t.branched.Branches {
		t.losses = append(t.losses, float64(b.Loss))
	}
	return t.losses[0], t.losses[1:]
}

// BranchPredictions returns the B x OutputDim poses of branch b in the last
// step, metres, nil if its weight was 0. They are valid until the next step.
func (t *Trainer) BranchPredictions(b int) []float32 {
	if t.branched == nil || b < 0 || b >= len(t.branched.Branches)-1 {
		return nil
	}
	if p := t.branched.Branches[1+b].Pose; len(p) > 0 {
		return p
	}
	return nil
}

// Backward overwrites the parameters' gradients with those of another weighting
// of the last ForwardBackward's losses, on its batch, activations and dropout
// masks; running statistics stay as they are, and so do the weights set for the
// next step. The parameters must not have changed since. It costs one backward
// pass, about two thirds of a step, and the head's passes. Losses and
// predictions are then those of these weights. Encoders that rested in the step
// have nothing to go back through, and weights that need one are an error.
func (t *Trainer) Backward(joint float32, weights []float32) error { return t.backward(joint, weights) }

func (t *trainGraph[T]) backward(joint float32, weights []float32) error {
	if !t.stepped {
		return errors.New("backward pass: no forward pass has run")
	}
	t.weights = t.weights[:0]
	if t.branched != nil {
		for _, b := range t.branched.Branches {
			t.weights = append(t.weights, b.Weight)
		}
	}
	if err := t.setBranchWeights(joint, weights); err != nil {
		return fmt.Errorf("backward pass: %w", err)
	}
	if err := t.needsNoneIdle(); err != nil {
		t.keepWeights()
		return fmt.Errorf("backward pass: %w", err)
	}
	ctx := t.inst.ctx
	mode, step := ctx.Mode, ctx.Step
	ctx.Mode, ctx.Step = t.ranMode, t.ranStep // the masks are a function of them
	err := t.graph.RunBackward()
	ctx.Mode, ctx.Step = mode, step
	t.keepWeights()
	if err != nil {
		return fmt.Errorf("backward pass: %w", err)
	}
	return nil
}

// keepWeights sets the weights that the next step had before a backward pass
// with others.
func (t *trainGraph[T]) keepWeights() {
	for i, w := range t.weights {
		t.branched.Branches[i].Weight = w
	}
}
