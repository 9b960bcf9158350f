package balance

import "math"

// AGM is adaptive gradient modulation (Li et al. 2023) for regression: the
// gradient that flows into a modality's own part of the prediction is scaled
// by how far the modality is ahead of where its past says it should be.
type AGM struct {
	Alpha float64

	mean []float64 // running means of the scores
	t    int
}

// Coefficients appends to dst the factor of each modality's gradient. score is
// a loss: smaller is better. Ratios of about e are meant, so errors should be
// given in units that make their differences of order one.
func (a *AGM) Coefficients(dst, score []float64) []float64 {
	n := len(score)
	if len(a.mean) != n {
		a.mean, a.t = make([]float64, n), 0
	}
	for m := range n {
		k := a.Alpha * min(ratio(a.mean, m)-ratio(score, m), 7)
		dst = append(dst, math.Exp(k))
	}
	a.t++
	for m, s := range score {
		a.mean[m] = a.mean[m]*float64(a.t-1)/float64(a.t) + s/float64(a.t)
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
