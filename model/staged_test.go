package model

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/sensors/modality"
)

// Encoders that start as their inputs arrive give the pose of Infer to the
// bit: for every coalition, in random orders, side by side, with inputs that
// are superseded by later ones.
func TestStagedInferenceEqualsInfer(t *testing.T) {
	net, b := trained(t)
	whole, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	staged, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	cfg := net.Config
	rng := rand.New(rand.NewPCG(1, 2))
	var want, got Output
	check := func(what string, mask modality.Set, in *Input) {
		t.Helper()
		in.Present = mask
		if err := whole.Infer(in, &want); err != nil {
			t.Fatal(err)
		}
		if got.Coalition != mask || got.Pose != want.Pose || got.Features != want.Features {
			t.Errorf("%s: coalition %s gives another pose", what, mask)
		}
		for m := range modality.Count {
			if (got.EncoderTime[m] > 0) != mask.Has(m) {
				t.Errorf("%s: coalition %s states %v for %s", what, mask, got.EncoderTime[m], m.String())
			}
		}
	}
	for mask := modality.Set(0); mask <= modality.All; mask++ {
		for turn := range 4 {
			in, stale := sample(cfg, b, int(mask)%6), sample(cfg, b, (int(mask)+1)%6)
			staged.Begin()
			for _, i := range rng.Perm(int(modality.Count)) {
				m := modality.Kind(i)
				if turn%2 == 1 || !mask.Has(m) { // superseded, or encoded and then left out
					if err := staged.Encode(m, modalityInput(stale, m)); err != nil {
						t.Fatal(err)
					}
				}
				if mask.Has(m) {
					if err := staged.Encode(m, modalityInput(in, m)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := staged.Finish(mask, &got); err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprintf("turn %d", turn), mask, in)
		}
		in := sample(cfg, b, int(mask)%6)
		staged.Begin()
		var wg sync.WaitGroup
		for _, i := range rng.Perm(int(modality.Count)) {
			m := modality.Kind(i)
			if mask.Has(m) {
				wg.Go(func() {
					if err := staged.Encode(m, modalityInput(in, m)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if err := staged.Finish(modality.All, &got); err != nil {
			t.Fatal(err)
		}
		check("side by side", mask, in)
	}
}

// A sample takes nothing over from the one before, and an input of another
// size leaves its modality out.
func TestStagedInferenceForgets(t *testing.T) {
	net, b := trained(t)
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	in := sample(net.Config, b, 0)
	var out Output
	if err := rt.Infer(in, &out); err != nil {
		t.Fatal(err)
	}
	rt.Begin()
	if err := rt.Encode(modality.Camera, in.Camera); err != nil {
		t.Fatal(err)
	}
	if err := rt.Encode(modality.LiDAR, in.LiDAR); err != nil {
		t.Fatal(err)
	}
	if err := rt.Encode(modality.LiDAR, in.LiDAR[1:]); err == nil {
		t.Error("a short input is accepted")
	}
	if err := rt.Encode(modality.Count, nil); err != nil {
		t.Errorf("a modality the network lacks: %v", err)
	}
	if err := rt.Finish(modality.All, &out); err != nil {
		t.Fatal(err)
	}
	if out.Coalition != 1<<modality.Camera {
		t.Errorf("coalition %s, want R", out.Coalition)
	}
}

func TestStagedInferenceAllocatesNothing(t *testing.T) {
	net, b := trained(t)
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	in := sample(net.Config, b, 0)
	var out Output
	if n := testenv.AllocsPerRun(20, func() {
		rt.Begin()
		for m := range modality.Count {
			if err := rt.Encode(modality.Count-1-m, modalityInput(in, modality.Count-1-m)); err != nil {
				t.Fatal(err)
			}
		}
		if err := rt.Finish(modality.All, &out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 && !testenv.Race {
		t.Errorf("%v allocations per inference", n)
	}
}
