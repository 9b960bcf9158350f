package train

import (
	"errors"
	"fmt"
	"time"

	"posefuse/balance"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// BatchContribution computes the contribution of each modality to a training batch
// (Eqs 1-5): the features are the batch's own, only the fusion head runs
// again. A batch may come in parts, one per replica; correlations are along
// the whole batch. It reads the network's weights at each call, allocates
// nothing after the first batch of a size, and is not safe for concurrent use.
type BatchContribution struct {
	head   *model.HeadScorer
	scorer *balance.Scorer[float32]
	linear bool
	max    int // samples

	rows    int         // samples added
	target  []float32   // max x OutputDim
	poses   [][]float32 // per coalition, or per modality of a linear head; max x OutputDim
	whole   [][]float32 // poses of the rows added
	predict func(mask uint8) ([]float32, error)
	phi     []float64
	alone   []float64
	times   ContributionTimes
}

// ContributionTimes is what the contribution to one batch took, in the columns
// of the paper's Table 2.
type ContributionTimes struct {
	Pose        time.Duration // the coalitions' predictions
	Correlation time.Duration // Eqs 4 and 5
	Score       time.Duration // Eq 1
}

// NewBatchContribution makes the memory for batches of up to maxBatch samples.
func NewBatchContribution(net *model.Network, maxBatch int) (*BatchContribution, error) {
	h, err := model.NewHeadScorer(net, maxBatch)
	if err != nil {
		return nil, fmt.Errorf("contribution: %w", err)
	}
	c := &BatchContribution{head: h, linear: h.Linear(), max: maxBatch,
		scorer: balance.NewScorer[float32](model.OutputDim), target: make([]float32, maxBatch*model.OutputDim)}
	n := len(h.Modalities())
	series := 1 << n
	if c.linear {
		series = n
	}
	c.poses, c.whole = make([][]float32, series), make([][]float32, series)
	for i := range c.poses {
		c.poses[i] = make([]float32, maxBatch*model.OutputDim)
	}
	c.predict = func(mask uint8) ([]float32, error) { return c.whole[mask], nil }
	return c, nil
}

// Modalities returns the network's modalities, the order of Phi. The result
// must not be changed.
func (c *BatchContribution) Modalities() []modality.Kind { return c.head.Modalities() }

// Linear reports whether the head is linear, so that the shortcut of Eq 3
// applies.
func (c *BatchContribution) Linear() bool { return c.linear }

// Reset begins another batch.
func (c *BatchContribution) Reset() { c.rows, c.times = 0, ContributionTimes{} }

// Add takes the features of a part of the batch, B x model.FeatureDim per
// modality, and its target, B x model.OutputDim, metres.
func (c *BatchContribution) Add(features [modality.Count][]float32, target []float32) error {
	begin := time.Now()
	b := len(target) / model.OutputDim
	if b == 0 || len(target)%model.OutputDim != 0 || c.rows+b > c.max {
		return fmt.Errorf("contribution: target holds %d values: want a positive multiple of %d, for at most %d samples besides the %d there are",
			len(target), model.OutputDim, c.max-c.rows, c.rows)
	}
	from, to := c.rows*model.OutputDim, (c.rows+b)*model.OutputDim
	if c.linear {
		for i, m := range c.head.Modalities() {
			if err := c.head.Partial(features, b, m, c.poses[i][from:to]); err != nil {
				return err
			}
		}
	} else {
		poses, err := c.head.Coalitions(features, b)
		if err != nil {
			return err
		}
		for s, p := range poses {
			copy(c.poses[s][from:to], p)
		}
	}
	copy(c.target[from:to], target)
	c.rows += b
	c.times.Pose += time.Since(begin)
	return nil
}

// Phi returns the contribution of each of Modalities to the parts added since
// Reset. They add up to the score of the whole network. The result is valid
// until the next call.
func (c *BatchContribution) Phi() ([]float64, error) {
	if c.rows < 2 {
		return nil, errors.New("contribution: a correlation needs at least 2 samples")
	}
	begin := time.Now()
	size := c.rows * model.OutputDim
	for i, p := range c.poses {
		c.whole[i] = p[:size]
	}
	var scores []float64
	var err error
	if c.linear {
		scores, err = c.scorer.LinearCoalitionScores(c.target[:size], c.whole)
	} else {
		scores, err = c.scorer.CoalitionScores(len(c.head.Modalities()), c.target[:size], c.predict)
	}
	if err != nil {
		return nil, fmt.Errorf("contribution: %w", err)
	}
	scored := time.Now()
	c.alone = c.alone[:0]
	for i := range c.head.Modalities() {
		c.alone = append(c.alone, scores[1<<i])
	}
	c.phi = balance.AppendShapley(c.phi[:0], len(c.head.Modalities()), scores)
	c.times.Correlation, c.times.Score = scored.Sub(begin), time.Since(scored)
	return c.phi, nil
}

// Alone returns the profit of each modality by itself on the batch of the last
// Phi (Eq 4). It is valid until the next call.
func (c *BatchContribution) Alone() []float64 { return c.alone }

// Times returns what the last batch took.
func (c *BatchContribution) Times() ContributionTimes { return c.times }
