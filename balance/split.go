package balance

import "slices"

// Split divides modalities by their scores into two clusters by K-Means with
// k = 2 and returns the mask of the superior one. In one dimension the best
// clusters are found by trying every cut of the sorted scores; of equally good
// cuts the one with the smaller superior cluster wins. If all scores are equal,
// or there is only one, none is superior.
func Split(score []float64) uint8 {
	n := len(score)
	var order [MaxModalities]int
	for i := range n {
		order[i] = i
	}
	slices.SortStableFunc(order[:n], func(a, b int) int {
		switch {
		case score[a] > score[b]:
			return -1
		case score[a] < score[b]:
			return 1
		}
		return 0
	})
	if n < 2 || score[order[0]] == score[order[n-1]] {
		return 0
	}
	best, least := 1, 0.0
	for cut := 1; cut < n; cut++ {
		ss := scatter(score, order[:cut]) + scatter(score, order[cut:n])
		if cut == 1 || ss < least {
			best, least = cut, ss
		}
	}
	var mask uint8
	for _, m := range order[:best] {
		mask |= 1 << m
	}
	return mask
}

// scatter is the sum of squared distances from the mean.
func scatter(score []float64, which []int) float64 {
	mean := 0.0
	for _, i := range which {
		mean += score[i]
	}
	mean /= float64(len(which))
	sum := 0.0
	for _, i := range which {
		sum += (score[i] - mean) * (score[i] - mean)
	}
	return sum
}

// Smoothing says which contributions the split of a batch is made from.
type Smoothing string

// The ways of smoothing.
const (
	ByBatch         Smoothing = "batch"          // the batch's own
	ByEpochMean     Smoothing = "epoch-mean"     // the mean over this epoch's batches so far
	ByPreviousEpoch Smoothing = "previous-epoch" // the mean over the epoch before; in the first epoch as epoch-mean
)

// Smoother smooths the contributions of batches. The zero value is ready.
type Smoother struct {
	Previous []float64 // means over the epoch before
	mean     []float64
	batches  int
}

// Add takes the contributions of one batch.
func (c *Smoother) Add(phi []float64) {
	if c.batches == 0 {
		c.mean = append(c.mean[:0], phi...)
	} else {
		for m, v := range phi {
			c.mean[m] += (v - c.mean[m]) / float64(c.batches+1)
		}
	}
	c.batches++
}

// EndEpoch closes the epoch; the next Add starts a new mean.
func (c *Smoother) EndEpoch() {
	if c.batches > 0 {
		c.Previous = append(c.Previous[:0], c.mean...)
	}
	c.batches = 0
}

// Mean returns the mean over this epoch's batches so far, or over the epoch
// before when none has come yet; nil at the very start.
func (c *Smoother) Mean() []float64 {
	if c.batches == 0 {
		return c.Previous
	}
	return c.mean
}

// Smoothed returns what the split is to be made from after a batch with phi.
func (c *Smoother) Smoothed(how Smoothing, phi []float64) []float64 {
	switch {
	case how == ByBatch:
		return phi
	case how == ByPreviousEpoch && len(c.Previous) > 0:
		return c.Previous
	}
	return c.Mean()
}
