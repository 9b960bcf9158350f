package model

import (
	"slices"
	"testing"
)

// The memory stated before training is what training takes, and stating it
// changes no running statistic.
func TestActivationBytesBeforeAndAfterAStep(t *testing.T) {
	for _, mods := range []string{"R", "LM", "W"} {
		cfg := Edge()
		cfg.Modalities = mods
		net, err := New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		const n = 24
		tr, err := NewTrainer(net, n, TrainerOptions{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		var before [][]float32
		for _, b := range net.Buffers() {
			before = append(before, slices.Clone(b.Value))
		}
		planned, err := tr.ActivationBytes()
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range net.Buffers() {
			if !slices.Equal(b.Value, before[i]) {
				t.Fatalf("%s: %s changed", mods, b.Name)
			}
		}
		if _, err = tr.ForwardBackward(randomBatch(cfg, n)); err != nil {
			t.Fatal(err)
		}
		held, err := tr.ActivationBytes()
		if err != nil {
			t.Fatal(err)
		}
		if held < int64(n)*1000 || float64(planned) < 0.85*float64(held) || float64(planned) > 1.35*float64(held) {
			t.Errorf("%s: planned %d bytes, held %d", mods, planned, held)
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
