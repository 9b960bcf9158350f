package model

import (
	"fmt"
	"reflect"
	"slices"

	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// ActivationBytes returns how much memory the trainer's activations, their
// gradients and work buffers take: what they do take after a step, and before
// the first one what they will take. The latter is found by running two steps
// of a few samples on one thread: up to a third too high, since some work
// buffers stop growing with the batch, and too low by what further threads
// hold, a few per cent each; the steps overwrite the network's
// gradients and nothing else. Weights, gradients and an
// optimiser's moments come on top, see StateBytes.
func (t *Trainer) ActivationBytes() (int64, error) {
	if t.stepped {
		return t.heldBytes(), nil
	}
	// How many workers a few samples occupy is chance, and what they hold would
	// be taken for the samples' own.
	defer kernel.SetThreads(kernel.Threads())
	kernel.SetThreads(1)
	few, many := min(t.batch, 2), min(t.batch, 4)
	a, err := t.net.probeBytes(few)
	if err != nil || many == few {
		return a, err
	}
	b, err := t.net.probeBytes(many)
	if err != nil {
		return 0, err
	}
	return a + (b-a)/int64(many-few)*int64(t.batch-few), nil
}

// StateBytes returns what a network with n trainable values holds while Adam
// trains it: each value, its gradient and two moments.
func StateBytes(n int) int64 { return 4 * 4 * int64(n) }

// heldBytes sums up the trainer's buffers without the network's tensors.
func (t *Trainer) heldBytes() int64 {
	t.net.building.Lock()
	defer t.net.building.Unlock()
	var found arrays
	found.add(reflect.ValueOf(t.net.store.All)) // not the trainer's
	return found.add(reflect.ValueOf([]any{t.inst, &t.inputs, t.target, t.branched}))
}

// probeBytes runs a step of b samples of zeros and returns what it held.
func (n *Network) probeBytes(b int) (int64, error) {
	t, err := NewTrainer(n, b, TrainerOptions{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = t.Close() }() // releases memory only
	var saved [][]float32
	for _, s := range n.Buffers() {
		saved = append(saved, slices.Clone(s.Value))
	}
	defer func() {
		for i, s := range n.Buffers() {
			copy(s.Value, saved[i])
		}
	}()
	batch := Batch{Target: make([]float32, b*OutputDim), Camera: t.inputs[modality.Camera], LiDAR: t.inputs[modality.LiDAR],
		Radar: t.inputs[modality.Radar], CSI: t.inputs[modality.CSI]}
	if _, err := t.ForwardBackward(&batch); err != nil {
		return 0, fmt.Errorf("probe the memory of a training step: %w", err)
	}
	return t.heldBytes(), nil
}
