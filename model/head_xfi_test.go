package model

import (
	"math"
	"testing"

	"posefuse/sensors/modality"
)

// The head's parameters: per modality a projector to 4 tokens of 256; 4 learned
// tokens; per layer the query's, key's and value's and output's projection, two
// norms and 256 → 512 → 256; at the end a norm and 256 → 51.
func TestXFiHeadParameters(t *testing.T) {
	const c = 256
	layer := 4*(c*c+c) + 2*2*c + (c*512 + 512) + (512*c + c)
	for _, modalities := range []string{"W", "RL", "RLMW"} {
		cfg := Edge()
		cfg.Modalities = modalities
		concat, err := New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Head = XFiHead
		n, err := New(cfg, 1)
		if err != nil {
			t.Fatal(err)
		}
		m := len(modalities)
		want := m*(FeatureDim*4*c+4*c) + 4*c + 4*layer + 2*c + c*OutputDim + OutputDim
		encoders := concat.NumParameters() - (m*FeatureDim+1)*OutputDim
		if got := n.NumParameters() - encoders; got != want {
			t.Errorf("%s: %d parameters of the head, want %d", modalities, got, want)
		} else if modalities == "RLMW" && got != 3175731 {
			t.Errorf("%d parameters of the head of four modalities, want 3175731", got)
		}
	}
}

// The head trains, runs and is saved as the others; a runtime's coalition
// equals the pose of samples that lack the other modalities.
func TestXFiHeadServesTrainerRuntimeAndCheckpoint(t *testing.T) {
	cfg := small()
	cfg.Head = XFiHead
	net, err := New(cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	const n = 4
	b := randomBatch(cfg, n)
	b.Present = make([]modality.Set, n)
	for i := range b.Present {
		b.Present[i] = modality.All
	}
	tr, err := NewTrainer(net, n, TrainerOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if _, err = tr.ForwardBackward(b); err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Parameters() {
		var sum float64
		for _, g := range p.Grad {
			sum += math.Abs(float64(g))
		}
		if p.Modality < 0 && sum == 0 {
			t.Errorf("%s: no gradient", p.Name)
		}
	}
	dir := t.TempDir()
	if _, err = SaveCheckpoint(dir, net, Card{Window: Causal}); err != nil {
		t.Fatal(err)
	}
	loaded, _, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	poses := func(net *Network, present modality.Set, coalition modality.Set) []float32 {
		r, err := NewRuntime(net)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i := range b.Present {
			b.Present[i] = present
		}
		p := make([]float32, n*OutputDim)
		if err := r.InferBatch(b, n, p); err != nil {
			t.Fatal(err)
		}
		if err := r.Coalition(coalition, n, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	want, all := poses(net, modality.All, 1<<modality.LiDAR|1<<modality.CSI), poses(net, modality.All, modality.All)
	for name, got := range map[string][]float32{"absent in the batch": poses(net, 1<<modality.LiDAR|1<<modality.CSI, modality.All), "loaded": poses(loaded, modality.All, 1<<modality.LiDAR|1<<modality.CSI)} {
		same := true
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: value %d is %g, want %g", name, i, got[i], want[i])
			}
			same = same && got[i] == all[i]
		}
		if same {
			t.Errorf("%s: a coalition of two gives the pose of all", name)
		}
	}
}
