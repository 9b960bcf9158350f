package nn

import "posefuse/model/nn/kernel"

// Branch is one term of a BranchedLoss: the loss of the head's output from some
// of the features, the others zero.
type Branch[T Float] struct {
	Use    []bool // per feature
	Keep   []bool // per sample: whether it counts; nil for all
	Weight T
	Loss   T   // of the last forward pass; 0 if it was left out
	Pose   []T // the head's output, [b, out]; empty if it was left out
}

// BranchedLoss is a fusion head with a weighted sum of losses, one per branch.
// The head runs forward and backward branch after branch in the forward pass,
// so that it needs the activations of one at a time; the backward pass only
// hands the sum of the gradients out. All branches see the same dropout masks.
type BranchedLoss[T Float] struct {
	// Branches are the terms. The first is always predicted; any other costs
	// nothing while its weight is 0.
	Branches []Branch[T]

	head   Head[T]
	params []*Tensor[T]
	loss   MPJPE[T]
	in     [][]T
	zero   []T
	sums   [][]T // gradient of each feature
	parts  [][]T // of each parameter, the sum over the branches done
	grads  [][]T
}

// NewBranchedLoss joins a head, its parameters and the mean distance of joints.
func NewBranchedLoss[T Float](head Head[T], params []*Tensor[T], joints, features, branches int) *BranchedLoss[T] {
	l := &BranchedLoss[T]{Branches: make([]Branch[T], branches), head: head, loss: MPJPE[T]{Joints: joints},
		in: make([][]T, features), sums: make([][]T, features), grads: make([][]T, features+1)}
	for _, p := range params {
		if !p.Unused && p.Grad != nil {
			l.params = append(l.params, p)
		}
	}
	l.parts = make([][]T, len(l.params))
	for i := range l.Branches {
		l.Branches[i].Use = make([]bool, features)
	}
	return l
}

// Forward returns the weighted sum of the branches' losses for b samples.
func (l *BranchedLoss[T]) Forward(features [][]T, target []T, b int) T {
	var total T
	done := 0 // branches whose gradient is in the sums
	grow(&l.zero, len(features[0]))
	for i := range l.Branches {
		br := &l.Branches[i]
		br.Loss, br.Pose = 0, br.Pose[:0]
		if i > 0 && br.Weight == 0 {
			continue
		}
		for m, f := range features {
			if l.in[m] = l.zero; br.Use[m] {
				l.in[m] = f
			}
		}
		br.Pose = append(br.Pose, l.head.Forward(l.in, b)...)
		l.loss.Keep = br.Keep
		br.Loss = l.loss.Forward(br.Pose, target, b)
		if br.Weight == 0 {
			continue
		}
		total += br.Weight * br.Loss
		if done > 0 {
			for k, p := range l.params {
				copy(grow(&l.parts[k], len(p.Grad)), p.Grad)
			}
		}
		l.add(br, l.head.Backward(l.loss.Backward(br.Weight)), done)
		done++
	}
	if done == 0 {
		for i, f := range features {
			clear(grow(&l.sums[i], len(f)))
		}
		for _, p := range l.params {
			clear(p.Grad)
		}
	}
	return total
}

// add joins a branch's gradients with those of the done ones before it.
func (l *BranchedLoss[T]) add(br *Branch[T], grads [][]T, done int) {
	for m, g := range grads {
		s := grow(&l.sums[m], len(g))
		switch {
		case !br.Use[m] && done == 0:
			clear(s)
		case !br.Use[m]:
		case done == 0:
			copy(s, g)
		default:
			kernel.Axpy(1, g, s)
		}
	}
	for i, p := range l.params {
		if done > 0 {
			kernel.Axpy(1, l.parts[i], p.Grad)
		}
	}
}

// Backward returns the gradients of the features, and nil for the target.
func (l *BranchedLoss[T]) Backward(scale T) [][]T {
	for m, s := range l.sums {
		scaleRow(s, scale)
		l.grads[m] = s
	}
	for _, p := range l.params {
		scaleRow(p.Grad, scale)
	}
	return l.grads
}

func scaleRow[T Float](x []T, by T) {
	if by == 1 {
		return
	}
	for i := range x {
		x[i] *= by
	}
}
