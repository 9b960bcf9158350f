package model

import (
	"math"
	"slices"
	"testing"

	"posefuse/model/nn/kernel"
	"posefuse/sensors/modality"
)

// Two steps in float64 end where two of the product do, up to float32's
// rounding: losses, weights and running statistics. The network it starts from
// does not change.
func TestReferenceTrainerFollowsTrainer(t *testing.T) {
	const n, rate, decay = 6, 1e-5, 1e-4
	cfg := small()
	start, err := New(cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	b := randomBatch(cfg, n)
	b.Present = slices.Repeat([]modality.Set{modality.All}, n)
	b.Present[1] = 1<<modality.Camera | 1<<modality.CSI
	net, err := start.Clone()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := NewTrainer(net, n, TrainerOptions{NoDropout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ref, err := NewReferenceTrainer(start, n)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	moments := map[string][2][]float32{}
	for step := 1; step <= 2; step++ {
		var have, want float64
		if have, err = ref.Step(b, rate, decay); err != nil {
			t.Fatal(err)
		}
		if want, err = tr.ForwardBackward(b); err != nil {
			t.Fatal(err)
		}
		if d := math.Abs(have - want); d > 1e-5*want {
			t.Errorf("step %d: loss %.9g, the trainer's is %.9g", step, have, want)
		}
		adam := kernel.AdamStep{LR: rate, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: decay, Step: step}
		for _, p := range net.Parameters() {
			if p.NoGrad {
				continue
			}
			if step == 1 {
				moments[p.Name] = [2][]float32{make([]float32, len(p.Value)), make([]float32, len(p.Value))}
			}
			adam.Apply(p.Value, p.Grad, moments[p.Name][0], moments[p.Name][1])
		}
	}
	got, err := start.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if err := ref.CopyTo(got); err != nil {
		t.Fatal(err)
	}
	var off, moved float64
	before, want := start.Parameters(), net.Parameters()
	for i, p := range got.Parameters() {
		for j, v := range p.Value {
			off += math.Pow(float64(v-want[i].Value[j]), 2)
			moved += math.Pow(float64(v-before[i].Value[j]), 2)
		}
		if p.NoGrad && !slices.Equal(p.Value, before[i].Value) {
			t.Errorf("%s is trained", p.Name)
		}
	}
	// A gradient that is almost 0 may have either sign, and Adam goes by the sign.
	if !(moved > 0 && off < 0.01*moved) {
		t.Errorf("weights moved by %g, %g off the trainer's", math.Sqrt(moved), math.Sqrt(off))
	}
	for i, s := range got.Buffers() {
		w := net.Buffers()[i]
		var d, n float64
		for j, v := range s.Value {
			d += math.Pow(float64(v-w.Value[j]), 2)
			n += math.Pow(float64(w.Value[j]), 2)
		}
		if d > 1e-6*n {
			t.Errorf("%s: off by %g of itself", s.Name, math.Sqrt(d/n))
		}
	}
}

func TestReferenceTrainerRefuses(t *testing.T) {
	net, err := New(small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = NewReferenceTrainer(net, 1); err == nil {
		t.Error("a batch of one sample is accepted")
	}
	ref, err := NewReferenceTrainer(net, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	if _, err = ref.Step(randomBatch(small(), 3), 1e-3, 0); err == nil {
		t.Error("a batch of another size is accepted")
	}
	other := small()
	other.Modalities = "RL"
	fewer, err := New(other, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ref.CopyTo(fewer) == nil {
		t.Error("weights are copied to a network without their tensors")
	}
}
