package train

import (
	"testing"

	"posefuse/model"
	"posefuse/replay/mmfi"
	"posefuse/replay/sim"
)

// BenchmarkLoad measures how fast simulated clips become training samples.
func BenchmarkLoad(b *testing.B) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi"})
	if err != nil {
		b.Fatal(err)
	}
	keys := []mmfi.ClipKey{{Subject: 1, Activity: 12}, {Subject: 20, Activity: 4}}
	frames := 0
	for b.Loop() {
		d, err := Load(b.Context(), ds, keys, model.Edge(), LoadOptions{Window: model.Causal, Stride: 8})
		if err != nil {
			b.Fatal(err)
		}
		frames += len(d.Samples)
	}
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
}
