package balance

import (
	"math"
	"math/rand/v2"
)

// OGMGE is on-the-fly gradient modulation with generalisation enhancement
// (Peng et al. 2022) for regression: the encoders of the modalities that are
// ahead get smaller gradients, and noise of the gradient's own size.
type OGMGE struct {
	Alpha float64 // strength, 0.1 to 0.8
	Noise bool
}

// Coefficients appends to dst the factor of each modality's gradient. score is
// larger the better the modality predicts alone, for instance one over its
// error; the ratio is to the weakest.
func (o OGMGE) Coefficients(dst, score []float64) []float64 {
	low := math.Inf(1)
	for _, s := range score {
		low = min(low, s)
	}
	for _, s := range score {
		k := 1.0
		if r := s / low; r > 1 {
			k = 1 - math.Tanh(o.Alpha*r)
		}
		dst = append(dst, k)
	}
	return dst
}

// Modulate scales the gradient of one tensor and adds noise with the standard
// deviation of the unscaled gradient.
func (o OGMGE) Modulate(gradient []float32, k float64, rng *rand.Rand) {
	var mean, m2 float64
	for i, g := range gradient {
		d := float64(g) - mean
		mean += d / float64(i+1)
		m2 += d * (float64(g) - mean)
	}
	std := 0.0
	if len(gradient) > 1 {
		std = math.Sqrt(m2 / float64(len(gradient)-1))
	}
	std += 1e-8
	f := float32(k)
	for i := range gradient {
		gradient[i] *= f
		if o.Noise {
			gradient[i] += float32(std * rng.NormFloat64())
		}
	}
}
