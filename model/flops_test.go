package model

import (
	"math"
	"testing"

	"posefuse/sensors/modality"
)

// The wanted figures are those of model.md, part 7, which gives them to the
// digits of tolerance.
func TestFLOPsOfThePaperNetwork(t *testing.T) {
	const head = 4 * FeatureDim * OutputDim
	for _, c := range []struct {
		mask      modality.Set
		macs      float64
		tolerance float64
	}{
		{0, 52_224, 0},
		{1 << modality.Camera, 58.0e6 + head, 0.05e6},
		{1 << modality.LiDAR, 72_695_184 + head, 0},
		{1 << modality.Radar, 60_224_832 + head, 0},
		{1 << modality.CSI, 16_051e6 + head, 0.6e6},
		{1<<modality.Camera | 1<<modality.LiDAR | 1<<modality.Radar, 0.191e9, 0.0005e9},
		{modality.All, 16.24e9, 0.005e9},
	} {
		got := float64(FLOPs(Paper(), c.mask)) / 2
		if math.Abs(got-c.macs) > c.tolerance {
			t.Errorf("%s: %.0f multiply-adds, want %.0f within %.0f", c.mask, got, c.macs, c.tolerance)
		}
	}
}

func TestFLOPsAddUp(t *testing.T) {
	for _, cfg := range []Config{Paper(), Edge()} {
		head, sum := FLOPs(cfg, 0), FLOPs(cfg, 0)
		for m := range modality.Count {
			sum += FLOPs(cfg, 1<<m) - head
		}
		if all := FLOPs(cfg, modality.All); all != sum || all <= head {
			t.Errorf("%s: %d for all, %d added up", cfg.Size, all, sum)
		}
	}
	cfg := Edge()
	cfg.Modalities = "RL"
	if a, b := FLOPs(cfg, modality.All), FLOPs(cfg, 1<<modality.Camera|1<<modality.LiDAR); a != b {
		t.Errorf("modalities that the network lacks count: %d, want %d", a, b)
	}
}
