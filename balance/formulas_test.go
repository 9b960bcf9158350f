package balance

import (
	"math"
	"testing"
)

// The numbers of these tests are the worked values of the reference.

func TestRatio(t *testing.T) {
	score := []float64{0.4, 0.9, 1.7}
	for m, want := range []float64{2.459603111157, 1.161834242728, 0.349937749111} {
		if got := ratio(score, m); math.Abs(got-want) > 1e-10 {
			t.Errorf("modality %d: %v, want %v", m, got, want)
		}
	}
}

// The sums of squares within the clusters of each cut, 6.3.
func TestScatter(t *testing.T) {
	for _, c := range []struct{ score, want []float64 }{
		{[]float64{20, 17, 5, 3}, []float64{114.6666666667, 6.5, 126}},
		{[]float64{30, 14, 12, 2}, []float64{82.6666666667, 178, 194.6666666667}},
		{[]float64{10, 9, 8, 1}, []float64{38, 25, 2}},
		{[]float64{12, 4.5, 4.2, 4}, []float64{0.1266666667, 28.145, 39.06}},
		{[]float64{3, 1}, []float64{0}},
	} {
		order := make([]int, len(c.score))
		for i := range order {
			order[i] = i
		}
		for i, want := range c.want {
			if got := scatter(c.score, order[:i+1]) + scatter(c.score, order[i+1:]); math.Abs(got-want) > 1e-9 {
				t.Errorf("cut %d of %v: %v, want %v", i+1, c.score, got, want)
			}
		}
	}
}
