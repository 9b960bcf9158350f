package model

import (
	"runtime"
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

// A daemon that retrains itself makes trainers again and again, so a closed one
// must leave nothing behind.
func TestClosedTrainerIsCollected(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the first one only queues cleanups
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	cfg := Edge()
	cfg.Modalities = "RLM"
	train := func(inspect func()) {
		net, err := New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(net, 8, TrainerOptions{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = tr.ForwardBackward(randomBatch(cfg, 8)); err != nil {
			t.Fatal(err)
		}
		inspect()
		if err = tr.Close(); err != nil {
			t.Fatal(err)
		}
	}
	train(func() {}) // what the package keeps for good is there after one
	before := heap()
	var held int64
	for range 3 {
		train(func() { held = heap() - before })
	}
	left := heap() - before
	for range 100 { // cleanups run beside the test, once they get a core
		if left <= held/10 {
			return
		}
		left = heap() - before
	}
	t.Errorf("a trainer holds %d kB; three closed ones leave %d kB", held>>10, left>>10)
}
