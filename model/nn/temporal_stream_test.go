package nn

import (
	"errors"
	"testing"

	"posefuse/model/nn/kernel"
)

func TestTemporalStreamNeedsFullPrecision(t *testing.T) {
	s, ctx := NewStore[float32](1), &Context{Mode: Eval}
	stem := NewTemporalStem[float32](s, ctx, "camera", 9, 4, 16, 3, 0)
	blocks := []*TemporalBlock[float32]{NewTemporalBlock[float32](s, ctx, "camera", 0, 3, 16, 3, 0)}
	if _, err := NewTemporalStream(stem, blocks, 1); err != nil {
		t.Fatal(err)
	}
	blocks[0].point.Lin.(*Linear[float32]).lower(kernel.BFloat16, 1)
	if _, err := NewTemporalStream(stem, blocks, 1); !errors.Is(err, ErrLowPrecision) {
		t.Errorf("error %v", err)
	}
}

// Rewind goes back to what was pushed since Restart and no further.
func TestTemporalStreamRewind(t *testing.T) {
	s, ctx := NewStore[float32](1), &Context{Mode: Eval}
	stem := NewTemporalStem[float32](s, ctx, "camera", 9, 1, 16, 3, 0)
	blocks := []*TemporalBlock[float32]{NewTemporalBlock[float32](s, ctx, "camera", 0, 3, 16, 3, 0)}
	stem.Fold()
	blocks[0].Fold()
	stream, err := NewTemporalStream(stem, blocks, 2)
	if err != nil {
		t.Fatal(err)
	}
	stream.Restart([]float32{1})
	if stream.Rewind(1) {
		t.Error("a frame before the start is taken back")
	}
	for _, v := range []float32{2, 3, 4} {
		stream.Push([]float32{v})
	}
	want := append([]float32(nil), stream.Push([]float32{5})...)
	stream.Push([]float32{6})
	if stream.Rewind(3) || stream.Undoable() != 2 || !stream.Rewind(2) {
		t.Fatal("two frames can be taken back, not three")
	}
	for i, v := range stream.Push([]float32{5}) {
		if v != want[i] {
			t.Fatalf("value %d is %v after a rewind, was %v", i, v, want[i])
		}
	}
}
