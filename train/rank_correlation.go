package train

import (
	"cmp"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
)

// Interval is a figure with its 95 % confidence interval. A figure that is not
// defined is not a number, in JSON null.
type Interval struct {
	Value, Low, High float64
}

// MarshalJSON writes {"value", "low", "high"}.
func (i Interval) MarshalJSON() ([]byte, error) {
	number := func(v float64) *float64 {
		if math.IsNaN(v) {
			return nil
		}
		return &v
	}
	return json.Marshal(struct {
		Value *float64 `json:"value"`
		Low   *float64 `json:"low"`
		High  *float64 `json:"high"`
	}{number(i.Value), number(i.Low), number(i.High)})
}

// bootstrapDraws is how often subjects are drawn anew for an interval.
const bootstrapDraws = 500

// bootstrap returns the statistic of all subjects, and its interval over draws
// of as many subjects with replacement: the 2.5 and 97.5 percentiles.
// statistic gets how often each of n subjects counts; where it is not a number
// the draw is left out. The same seed gives the same interval.
func bootstrap(n int, seed uint64, statistic func(weight []float64) float64) Interval {
	weight := make([]float64, n)
	for i := range weight {
		weight[i] = 1
	}
	out := Interval{Value: statistic(weight)}
	rng := rand.New(rand.NewPCG(seed, 0x5ead))
	var draws []float64
	for range bootstrapDraws {
		clear(weight)
		for range n {
			weight[rng.IntN(n)]++
		}
		if v := statistic(weight); !math.IsNaN(v) {
			draws = append(draws, v)
		}
	}
	if len(draws) == 0 {
		out.Low, out.High = math.NaN(), math.NaN()
		return out
	}
	slices.Sort(draws)
	at := func(q float64) float64 { return draws[int(math.Round(q*float64(len(draws)-1)))] }
	out.Low, out.High = at(0.025), at(0.975)
	return out
}

// ranking is a variable sorted once, so that its ranks under any weights are
// one pass away.
type ranking struct {
	order []int32 // observations, by value
	last  []bool  // the value changes after this place of order
	rank  []float64
}

func newRanking(x []float32) *ranking {
	r := &ranking{order: make([]int32, len(x)), last: make([]bool, len(x)), rank: make([]float64, len(x))}
	for i := range r.order {
		r.order[i] = int32(i)
	}
	slices.SortFunc(r.order, func(a, b int32) int { return cmp.Or(cmp.Compare(x[a], x[b]), cmp.Compare(a, b)) })
	for i := range r.order {
		r.last[i] = i+1 == len(x) || x[r.order[i]] != x[r.order[i+1]]
	}
	return r
}

// weigh sets the ranks under the weight of each observation's subject; equal
// values share the middle of their ranks.
func (r *ranking) weigh(subject []int32, weight []float64) {
	var below, tied float64
	first := 0
	for i, o := range r.order {
		tied += weight[subject[o]]
		if r.last[i] {
			for _, t := range r.order[first : i+1] {
				r.rank[t] = below + tied/2
			}
			below += tied
			tied, first = 0, i+1
		}
	}
}

// spearman returns the rank correlation of two variables whose observations
// count as often as their subject; not a number if one of them is constant.
func spearman(x, y *ranking, subject []int32, weight []float64) float64 {
	x.weigh(subject, weight)
	y.weigh(subject, weight)
	var total float64
	for _, s := range subject {
		total += weight[s]
	}
	middle := total / 2 // the mean of ranks counted from the middle of each
	var xx, yy, xy float64
	for i, s := range subject {
		w, a, b := weight[s], x.rank[i]-middle, y.rank[i]-middle
		xx += w * a * a
		yy += w * b * b
		xy += w * a * b
	}
	if xx == 0 || yy == 0 {
		return math.NaN()
	}
	return xy / math.Sqrt(xx*yy)
}
