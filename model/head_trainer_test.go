package model

import (
	"math"
	"strings"
	"testing"

	"posefuse/sensors/modality"
)

// The head alone has, on what the encoders give in use, the error of the whole network
// in use, for samples that lack modalities too.
func TestHeadTrainerHasTheNetworksError(t *testing.T) {
	const n = 6
	for _, head := range []string{ConcatHead, MLPHead, PrecisionHead, ReprojectionHead} {
		cfg := tiny(head).Room()
		net := mustNew(t, cfg, 4)
		run, err := NewRuntime(net)
		if err != nil {
			t.Fatal(err)
		}
		b, poses := randomBatch(cfg, n), make([]float32, n*OutputDim)
		b.Present = []modality.Set{modality.All, 1, 2, 4 | 8, modality.All, 1 | 4}
		if err = run.InferBatch(b, n, poses); err != nil {
			t.Fatal(err)
		}
		want := 0.0
		for s := range n {
			want += MPJPE(poses[s*OutputDim:(s+1)*OutputDim], b.Target[s*OutputDim:(s+1)*OutputDim]) / n
		}
		h, err := NewHeadTrainer(net, n, 1)
		if err != nil {
			t.Fatal(err)
		}
		features := run.Features()
		got, err := h.ForwardBackward(&features, b.Target)
		if err != nil || math.Abs(got-want) > 1e-5*want {
			t.Errorf("%s: %g m, the network has %g; error %v", head, got, want, err)
		}
		moved := false
		for _, p := range net.Parameters() {
			for _, g := range p.Grad {
				moved = moved || p.Modality < 0 && g != 0
				if p.Modality >= 0 && g != 0 {
					t.Fatalf("%s: the encoders' %s has a gradient", head, p.Name)
				}
			}
		}
		if !moved {
			t.Errorf("%s: the head has no gradient", head)
		}
		if _, err = h.ForwardBackward(&features, b.Target[1:]); err == nil || !strings.Contains(err.Error(), "target holds") {
			t.Errorf("%s: a short target: %v", head, err)
		}
		features[modality.LiDAR] = features[modality.LiDAR][1:]
		if _, err = h.ForwardBackward(&features, b.Target); err == nil || !strings.Contains(err.Error(), "features of lidar") {
			t.Errorf("%s: short features: %v", head, err)
		}
		if err = h.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := NewHeadTrainer(mustNew(t, tiny(ConcatHead), 1), 0, 1); err == nil {
		t.Error("a batch of nothing is accepted")
	}
}
