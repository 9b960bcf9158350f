package nn

import (
	"reflect"
	"testing"
)

// A backward pass may follow another on the activations of one forward pass:
// with the same gradient it gives the same again.
func TestBackwardRepeats(t *testing.T) {
	for _, c := range gradientCases(t) {
		t.Run(c.name, func(t *testing.T) {
			s, ctx := NewStore[float64](1), &Context{Mode: Train, Seed: 3}
			blocks := c.make(s, ctx)
			y, batch := randomValues(3*c.in), 3
			for _, b := range blocks {
				y = b.Forward(y, batch)
			}
			seed := randomValues(len(y))
			var first [][]float64
			for run := range 3 {
				dy := append([]float64(nil), seed...)
				for i := len(blocks) - 1; i >= 0; i-- {
					dy = blocks[i].Backward(dy)
				}
				got := [][]float64{append([]float64(nil), dy...)}
				for _, p := range s.All {
					got = append(got, append([]float64(nil), p.Grad...))
				}
				if run == 0 {
					first = got
				}
				for i, g := range got {
					for k, v := range g {
						if v != first[i][k] {
							name := "input"
							if i > 0 {
								name = s.All[i-1].Name
							}
							t.Errorf("pass %d: %s[%d] is %v, was %v", run+1, name, k, v, first[i][k])
							break
						}
					}
				}
			}
		})
	}
}

// The trunk's backward pass works in the memory of the layers after it, and
// gives the gradients it gives in memory of its own.
func TestTrunkBorrowsMemory(t *testing.T) {
	step := func(borrow bool) (grads [][]float64, borrowed int) {
		s, ctx := NewStore[float64](1), &Context{Mode: Train, Seed: 3}
		stem, block := NewImageStem(s, ctx, "w", 3, 6, 4, 5, 4, 2), NewBasicBlock(s, ctx, "w.0", 3, 2, 2, 1, 5, 4)
		last := NewChannelTransformer(s, ctx, "w.t", 18, 4, 3, 12, 0.2)
		if !borrow {
			last.trunk = new(trunkWork[float64])
		}
		blocks := []Block[float64]{stem, block, NewBasicBlock(s, ctx, "w.1", 3, 2, 4, 2, 5, 4), NewTokenJoin(s, ctx, "w", 3, 3, 2, 4, 0.2), last}
		for range 2 {
			y := randomValues(2 * 3 * 6 * 4)
			for _, b := range blocks {
				y = b.Forward(y, 2)
			}
			dy := randomValues(len(y))
			for i := len(blocks) - 1; i >= 0; i-- {
				dy = blocks[i].Backward(dy)
			}
		}
		for _, p := range s.All {
			grads = append(grads, p.Grad)
		}
		for _, b := range block.work.bufs {
			for i := range last.memory {
				if len(b) > 0 && &b[0] == &last.memory[i] {
					borrowed++
				}
			}
		}
		return grads, borrowed
	}
	got, n := step(true)
	if n != 3 {
		t.Errorf("%d buffers of the trunk are in the transformer's memory, want 3", n)
	}
	want, n := step(false)
	if n != 0 {
		t.Errorf("%d buffers of the trunk are in the memory of a transformer that lends none", n)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("the gradients are others than in memory of its own")
	}
}
