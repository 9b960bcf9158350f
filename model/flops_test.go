package model

import (
	"math"
	"testing"
)

// The wanted figures are those of model.md, part 7, which gives them to the
// digits of tolerance.
func TestFLOPsOfThePaperNetwork(t *testing.T) {
	const head = NumModalities * FeatureDim * OutputDim
	for _, c := range []struct {
		mask      Mask
		macs      float64
		tolerance float64
	}{
		{0, 52_224, 0},
		{1 << R, 58.0e6 + head, 0.05e6},
		{1 << L, 72_695_184 + head, 0},
		{1 << M, 60_224_832 + head, 0},
		{1 << W, 16_051e6 + head, 0.6e6},
		{1<<R | 1<<L | 1<<M, 0.191e9, 0.0005e9},
		{AllModalities, 16.24e9, 0.005e9},
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
		for m := range NumModalities {
			sum += FLOPs(cfg, 1<<m) - head
		}
		if all := FLOPs(cfg, AllModalities); all != sum || all <= head {
			t.Errorf("%s: %d for all, %d added up", cfg.Size, all, sum)
		}
	}
	cfg := Edge()
	cfg.Modalities = "RL"
	if a, b := FLOPs(cfg, AllModalities), FLOPs(cfg, 1<<R|1<<L); a != b {
		t.Errorf("modalities that the network lacks count: %d, want %d", a, b)
	}
}
