package balance

import (
	"fmt"
	"math"
)

// Float is the element type of predictions and parameters.
type Float interface{ float32 | float64 }

// smallestVariance is the variance below which a signal counts as constant;
// its correlation is then 0 by definition.
const smallestVariance = 1e-20

// correlation returns Pearson's correlation (Eq 5) of two signals with the given
// covariance and variances, and 0 if one of them is constant.
func correlation(cov, vy, vp float64) float64 {
	if !(vy >= smallestVariance) || !(vp >= smallestVariance) {
		return 0
	}
	return cov / (math.Sqrt(vy) * math.Sqrt(vp))
}

// Scorer computes the profit of coalitions (Eq 4): the sum over coordinates of
// the correlation, along the batch, between target and prediction. It keeps
// its work memory, so that scoring the same size again allocates nothing. It
// is not safe for concurrent use.
type Scorer[T Float] struct {
	dims   int
	y      []float64 // centred target, [B, dims]
	vy     []float64 // its variance per coordinate
	p      []float64 // centred predictions, [n, B, dims]
	mean   []float64
	cov    []float64 // [n, dims]
	gram   []float64 // [n(n+1)/2, dims]
	dotted []float64
	values []float64
}

// NewScorer returns a scorer for predictions of dims coordinates.
func NewScorer[T Float](dims int) *Scorer[T] {
	return &Scorer[T]{dims: dims, mean: make([]float64, dims), vy: make([]float64, dims), dotted: make([]float64, dims)}
}

func growTo(s *[]float64, n int) []float64 {
	if cap(*s) < n {
		*s = make([]float64, n)
	}
	*s = (*s)[:n]
	return *s
}

// centre writes x minus its mean over the batch.
func (s *Scorer[T]) centre(dst []float64, x []T) {
	clear(s.mean)
	for r := 0; r < len(x); r += s.dims {
		for d, v := range x[r : r+s.dims] {
			s.mean[d] += float64(v)
		}
	}
	inv := 1 / float64(len(x)/s.dims)
	for d := range s.mean {
		s.mean[d] *= inv
	}
	for r := 0; r < len(x); r += s.dims {
		row := dst[r : r+s.dims]
		for d, v := range x[r : r+s.dims] {
			row[d] = float64(v) - s.mean[d]
		}
	}
}

// dot writes the mean over the batch of a times b, per coordinate.
func (s *Scorer[T]) dot(dst, a, b []float64) {
	clear(dst)
	for r := 0; r < len(a); r += s.dims {
		x, y := a[r:r+s.dims], b[r:r+s.dims]
		y, o := y[:len(x)], dst[:len(x)]
		for d, v := range x {
			o[d] += v * y[d]
		}
	}
	inv := 1 / float64(len(a)/s.dims)
	for d := range dst {
		dst[d] *= inv
	}
}

// SetTarget takes the batch's target, [B, dims].
func (s *Scorer[T]) SetTarget(y []T) error {
	if len(y) == 0 || len(y)%s.dims != 0 {
		return fmt.Errorf("score: target holds %d values, want a positive multiple of %d", len(y), s.dims)
	}
	s.centre(growTo(&s.y, len(y)), y)
	s.dot(s.vy, s.y, s.y)
	return nil
}

// Score returns the profit of a prediction of the target's shape.
func (s *Scorer[T]) Score(prediction []T) (float64, error) {
	if len(prediction) != len(s.y) {
		return 0, fmt.Errorf("score: prediction holds %d values, want %d", len(prediction), len(s.y))
	}
	p := growTo(&s.p, len(prediction))
	s.centre(p, prediction)
	cov, vp := growTo(&s.cov, s.dims), s.dotted
	s.dot(cov, s.y, p)
	s.dot(vp, p, p)
	sum := 0.0
	for d, c := range cov {
		sum += correlation(c, s.vy[d], vp[d])
	}
	return sum, nil
}
