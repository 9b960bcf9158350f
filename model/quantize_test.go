package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"posefuse/model/nn/kernel"
)

// BenchmarkPrecision times one sample at the paper's size: of the WiFi encoder
// and of all four modalities, per precision and number of threads.
func BenchmarkPrecision(b *testing.B) {
	cfg := Paper()
	net, err := New(cfg, 1)
	if err != nil {
		b.Fatal(err)
	}
	scales := map[string]float32{}
	for _, c := range cfg.lowConvs() {
		scales[c] = 0.05
	}
	in := sample(cfg, randomBatch(cfg, 1), 0)
	saved := kernel.Threads()
	defer kernel.SetThreads(saved)
	for _, p := range []Precision{Float32, BFloat16, Int8} {
		rt, err := NewRuntimeWith(net, RuntimeOptions{Precision: p, InputScales: scales})
		if err != nil {
			b.Fatal(err)
		}
		if rt.Precision() != p {
			b.Fatalf("%s is not available here", p)
		}
		for _, threads := range []int{1, 2} {
			for _, mask := range []Mask{1 << W, AllModalities} {
				b.Run(fmt.Sprintf("%s/%s/%d", p, mask, threads), func(b *testing.B) {
					kernel.SetThreads(threads)
					in.Present = mask
					var out Output
					var ms []float64
					for b.Loop() {
						start := time.Now()
						if err := rt.Infer(in, &out); err != nil {
							b.Fatal(err)
						}
						ms = append(ms, time.Since(start).Seconds()*1e3)
					}
					slices.Sort(ms)
					b.ReportMetric(ms[0], "min-ms")
					b.ReportMetric(ms[len(ms)/2], "median-ms")
					b.ReportMetric(ms[len(ms)*99/100], "p99-ms")
				})
			}
		}
	}
}

var _ = math.Abs
var _ = rand.Float32
