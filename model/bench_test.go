package model

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"posefuse/sensors/modality"
)

// cpuTime returns the processor time this process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func randomBatch(cfg Config, n int) *Batch {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32()
		}
		return x
	}
	return &Batch{Camera: fill(n * cfg.CameraValues()), LiDAR: fill(n * cfg.LiDAR.Points * LiDARPointDim),
		Radar: fill(n * cfg.Radar.Points * RadarPointDim), CSI: fill(n * CSIValues), Target: fill(n * OutputDim)}
}

func BenchmarkEdgeTraining(b *testing.B) {
	for _, mods := range []string{"R", "L", "M", "W", "RLMW"} {
		b.Run(mods, func(b *testing.B) {
			const n = 64
			cfg := Edge()
			cfg.Modalities = mods
			net, err := New(cfg, 1)
			if err != nil {
				b.Fatal(err)
			}
			tr, err := NewTrainer(net, n, TrainerOptions{Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer tr.Close()
			batch := randomBatch(cfg, n)
			if _, err := tr.ForwardBackward(batch); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				if _, err := tr.ForwardBackward(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-start).Microseconds())/1e3/float64(n*b.N), "cpu-ms/sample")
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}

func BenchmarkInfer(b *testing.B) {
	for _, cfg := range []Config{Edge(), Paper()} {
		net, err := New(cfg, 1)
		if err != nil {
			b.Fatal(err)
		}
		rt, err := NewRuntime(net)
		if err != nil {
			b.Fatal(err)
		}
		for _, mods := range []string{"R", "L", "M", "W", "RLM", "RLMW"} {
			b.Run(cfg.Size+"/"+mods, func(b *testing.B) { benchmarkInfer(b, rt, mods) })
		}
	}
}

func benchmarkInfer(b *testing.B, rt *Runtime, mods string) {
	cfg := rt.Network().Config
	in := sample(cfg, randomBatch(cfg, 1), 0)
	var err error
	if in.Present, err = modality.Parse(mods); err != nil {
		b.Fatal(err)
	}
	var out Output
	if err := rt.Infer(in, &out); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	start := cpuTime()
	for b.Loop() {
		if err := rt.Infer(in, &out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime()-start).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
	for m, d := range out.EncoderTime {
		if d > 0 {
			b.ReportMetric(float64(d.Microseconds())/1e3, modality.Kind(m).String()+"-ms")
		}
	}
}
