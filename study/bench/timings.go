// Package bench measures the network: how long it takes, alone and beside other
// programs, and whether it computes what the same one in PyTorch does. The
// peers' scripts are in its folders torch and ort. The types with exported
// fields are the subcommands of `posefuse bench`.
package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// timings are milliseconds, one per repetition.
type timings []float64

func (t timings) sorted() timings {
	s := slices.Clone(t)
	slices.Sort(s)
	return s
}

// quantile returns the time below which the share q lies; 0 is the minimum.
func (t timings) quantile(q float64) float64 {
	if len(t) == 0 {
		return 0
	}
	return t.sorted()[min(int(q*float64(len(t))), len(t)-1)]
}

func (t timings) min() float64    { return t.quantile(0) }
func (t timings) median() float64 { return t.quantile(0.5) }
func (t timings) p99() float64    { return t.quantile(0.99) }

// repeat runs f until both the time and the number of runs are reached.
func repeat(atLeast time.Duration, runs int, f func() error) (timings, error) {
	var t timings
	for begin := time.Now(); time.Since(begin) < atLeast || len(t) < runs; {
		start := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		t = append(t, time.Since(start).Seconds()*1000)
	}
	return t, nil
}

// randomInput is one sample of every modality, uniform in 0..1.
func randomInput(cfg model.Config) model.Input {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32()
		}
		return x
	}
	return model.Input{Present: modality.All, Camera: fill(cfg.CameraValues()), LiDAR: fill(cfg.LiDAR.Points * model.LiDARPointDim),
		Radar: fill(cfg.Radar.Points * model.RadarPointDim), CSI: fill(model.CSIValues)}
}

// megabytes prints bytes for people.
func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
