package balance

import "math"

// AGM is adaptive gradient modulation (Li et al. 2023) for regression: the
// gradient that flows into a modality's own part of the prediction is scaled
// by how far the modality is ahead of where its past says it should be.
type AGM struct {
	Alpha float64

	// What it remembers: the running means of the scores and of how many.
	Mean  []float64
	Count int
}

// Coefficients appends to dst the factor of each modality's gradient. score is
// a loss: smaller is better. Ratios of about e are meant, so errors should be
// given in units that make their differences of order one.
func (a *AGM) Coefficients(dst, score []float64) []float64 {
	n := len(score)
	if len(a.Mean) != n {
		a.Mean, a.Count = make([]float64, n), 0
	}
	for m := range n {
		k := a.Alpha * min(ratio(a.Mean, m)-ratio(score, m), 7)
		dst = append(dst, math.Exp(k))
	}
	a.Count++
	for m, s := range score {
		a.Mean[m] = a.Mean[m]*float64(a.Count-1)/float64(a.Count) + s/float64(a.Count)
	}
	return dst
}

// ratio is how far modality m is ahead of the mean, 1 for equal scores.
func ratio(score []float64, m int) float64 {
	n := float64(len(score))
	if n < 2 {
		return 1
	}
	mean := 0.0
	for _, s := range score {
		mean += s
	}
	return math.Exp((mean/n - score[m]) * n / (n - 1))
}
