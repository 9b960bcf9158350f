package nn

import (
	"math"
	"strconv"
)

// GELU is the exact Gaussian error linear unit x·Φ(x).
func GELU[T Float](x T) T {
	v := float64(x)
	return T(v * 0.5 * math.Erfc(-v/math.Sqrt2))
}

// geluSlope is the derivative of GELU.
func geluSlope[T Float](x T) T {
	v := float64(x)
	return T(0.5*math.Erfc(-v/math.Sqrt2) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi))
}

// step is the slope of a ReLU whose output is y: 0 for 0, 1 above (from 1e-38
// up). It has no branch, which for random signs is several times faster.
func step[T Float](y T) T { return min(y*1e38, 1) }

func itoa(i int) string { return strconv.Itoa(i) }
