package train

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// Overhead is what scoring the modalities costs beside a training step, a row
// of the paper's Table 2. Times are medians over the rounds, milliseconds.
type Overhead struct {
	Params        int     `json:"params"`
	ForwardMS     float64 `json:"forward_ms"`
	BackwardMS    float64 `json:"backward_ms"`
	PoseMS        float64 `json:"pose_ms"`        // predictions of the coalitions
	CorrelationMS float64 `json:"correlation_ms"` // Eqs 4 and 5
	ScoreMS       float64 `json:"score_ms"`       // Eq 1
	// Percent is the sum of the last three in percent of the first two's.
	Percent float64 `json:"percent"`
}

// MeasureOverhead trains a fresh network on noise for some rounds, each a step
// of one batch and the contribution of every modality to it, after one round
// that does not count. The weights stay as they are, the optimiser's step is
// not part of it. It takes the memory of a training step at this batch size.
func MeasureOverhead(cfg model.Config, batch, rounds int) (Overhead, error) {
	if rounds < 1 {
		return Overhead{}, fmt.Errorf("measure the overhead: %d rounds: want at least 1", rounds)
	}
	net, err := model.New(cfg, 1)
	if err != nil {
		return Overhead{}, fmt.Errorf("measure the overhead: %w", err)
	}
	t, err := model.NewTrainer(net, batch, model.TrainerOptions{Seed: 1})
	if err != nil {
		return Overhead{}, fmt.Errorf("measure the overhead: %w", err)
	}
	defer func() { _ = t.Close() }() // releases memory only
	c, err := NewBatchContribution(net, batch)
	if err != nil {
		return Overhead{}, fmt.Errorf("measure the overhead: %w", err)
	}
	b := noise(cfg, batch)
	var columns [5][]float64
	for round := range rounds + 1 {
		if _, err = t.ForwardBackward(b); err != nil {
			return Overhead{}, fmt.Errorf("measure the overhead, round %d: %w", round, err)
		}
		c.Reset()
		if err = c.Add(t.Features(), b.Target); err != nil {
			return Overhead{}, fmt.Errorf("measure the overhead, round %d: %w", round, err)
		}
		if _, err = c.Phi(); err != nil {
			return Overhead{}, fmt.Errorf("measure the overhead, round %d: %w", round, err)
		}
		if round == 0 {
			continue
		}
		forward, backward := t.PassTimes()
		for i, d := range [5]time.Duration{forward, backward, c.Times().Pose, c.Times().Correlation, c.Times().Score} {
			columns[i] = append(columns[i], d.Seconds()*1e3)
		}
	}
	o := Overhead{Params: net.NumParameters(), ForwardMS: middle(columns[0]), BackwardMS: middle(columns[1]),
		PoseMS: middle(columns[2]), CorrelationMS: middle(columns[3]), ScoreMS: middle(columns[4])}
	o.Percent = 100 * (o.PoseMS + o.CorrelationMS + o.ScoreMS) / (o.ForwardMS + o.BackwardMS)
	return o, nil
}

// middle is the median; it sorts x.
func middle(x []float64) float64 {
	slices.Sort(x)
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}

// noise is a batch of evenly spread values.
func noise(cfg model.Config, batch int) *model.Batch {
	rng := rand.New(rand.NewPCG(1, word("noise")))
	fill := func(perSample int) []float32 {
		x := make([]float32, batch*perSample)
		for i := range x {
			x[i] = 2*rng.Float32() - 1
		}
		return x
	}
	b := &model.Batch{Target: fill(model.OutputDim)}
	perSample := [modality.Count]int{cfg.CameraValues(), cfg.LiDAR.Points * model.LiDARPointDim,
		cfg.Radar.Points * model.RadarPointDim, model.CSIValues}
	for m := range cfg.Mask().Kinds() {
		*[modality.Count]*[]float32{&b.Camera, &b.LiDAR, &b.Radar, &b.CSI}[m] = fill(perSample[m])
	}
	return b
}
