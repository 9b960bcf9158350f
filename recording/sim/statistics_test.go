package sim

import (
	"math"
	"slices"
	"testing"
)

// wantQuantiles checks quantiles of v against intervals. It sorts v.
func wantQuantiles(t *testing.T, what string, v []float64, want map[float64][2]float64) {
	t.Helper()
	slices.Sort(v)
	for q, in := range want {
		got := v[int(q*float64(len(v)-1))]
		if got < in[0] || got > in[1] {
			t.Errorf("%s: %g %% quantile %.4g, want %g..%g", what, 100*q, got, in[0], in[1])
		}
	}
}

// correlation returns Pearson's coefficient.
func correlation(x, y []float64) float64 {
	var sx, sy, sxx, syy, sxy float64
	n := float64(len(x))
	for i := range x {
		sx += x[i]
		sy += y[i]
		sxx += x[i] * x[i]
		syy += y[i] * y[i]
		sxy += x[i] * y[i]
	}
	return (sxy/n - sx*sy/n/n) / math.Sqrt((sxx/n-sx*sx/n/n)*(syy/n-sy*sy/n/n))
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// deviation returns the standard deviation.
func deviation(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(len(v)))
}
