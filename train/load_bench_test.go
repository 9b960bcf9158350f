package train

import (
	"testing"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// BenchmarkLoad measures how fast simulated clips become training samples.
func BenchmarkLoad(b *testing.B) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi"})
	if err != nil {
		b.Fatal(err)
	}
	keys := []recording.Key{{Subject: 1, Activity: 12}, {Subject: 20, Activity: 4}}
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

// BenchmarkFill measures what a sample costs the training loop besides the
// network: copying it into the batch, and varying it.
func BenchmarkFill(b *testing.B) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi"})
	if err != nil {
		b.Fatal(err)
	}
	all, err := Load(b.Context(), ds, []recording.Key{{Subject: 1, Activity: 12}}, model.Edge(), LoadOptions{Window: model.Causal})
	if err != nil {
		b.Fatal(err)
	}
	radar, err := all.Only(1 << modality.Radar)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		data *Data
		vary *Augment
	}{{"RLMW", all, nil}, {"M", radar, nil}, {"M, varied", radar, &Augment{RotateDeg: 5, ShiftM: 0.03, Mirror: true, DropPoints: 0.3}}} {
		b.Run(c.name, func(b *testing.B) {
			batch, n := c.data.NewBatch(64), 0
			b.ReportAllocs()
			for b.Loop() {
				c.data.Fill(batch, n%64, c.data.Samples[n%len(c.data.Samples)])
				c.data.augment(c.vary, batch, n%64, 1, uint64(n))
				n++
			}
		})
	}
}
