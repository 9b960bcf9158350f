package model

import (
	"fmt"

	"posefuse/model/nn"
)

// idleBlock is a block of an encoder that rests while no loss with a weight
// reads its features, as in G-Blending's trials of single modalities: the
// values are zeros, which the branches leave out, the parameters' gradients are
// zero, and running statistics stay.
type idleBlock[T nn.Float] struct {
	nn.Block[T]
	idle   *bool
	params []*nn.Tensor[T]
	out    []T
	dx     []T // nil for the first block of an encoder
	first  bool
}

func (b *idleBlock[T]) Forward(x []T, n int) []T {
	if !*b.idle {
		return b.Block.Forward(x, n)
	}
	if b.out == nil {
		width := 1
		for _, d := range b.OutShape() {
			width *= d
		}
		b.out = make([]T, n*width)
		if !b.first {
			b.dx = make([]T, len(x))
		}
	}
	clear(b.out)
	return b.out
}

func (b *idleBlock[T]) Backward(dy []T) []T {
	if !*b.idle {
		return b.Block.Backward(dy)
	}
	for _, p := range b.params {
		clear(p.Grad)
	}
	clear(b.dx)
	return b.dx
}

// rest marks the encoders that no loss with a weight reads.
func (t *trainGraph[T]) rest() {
	if t.branched == nil {
		return
	}
	for k, m := range t.inst.slots {
		t.idle[m] = true
		for _, b := range t.branched.Branches {
			if b.Weight != 0 && b.Use[k] {
				t.idle[m] = false
			}
		}
	}
}

// needsNoneIdle is the error for weights of another backward pass that read an
// encoder the step left out.
func (t *trainGraph[T]) needsNoneIdle() error {
	rested := t.idle
	t.rest()
	needed := t.idle
	t.idle = rested
	for _, m := range t.inst.slots {
		if rested[m] && !needed[m] {
			return fmt.Errorf("the %s encoder did not run in the last step", m.String())
		}
	}
	return nil
}
