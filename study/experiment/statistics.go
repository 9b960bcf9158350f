package experiment

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a mean with its 95 % confidence interval. With a single value
// there is none: Low and High are equal to the mean and N is 1.
type Interval struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	N    int     `json:"n"` // values, e.g. seeds
}

// Excludes reports whether the interval has all of its values on one side of
// v. One value shows nothing.
func (i Interval) Excludes(v float64) bool { return i.N > 1 && (i.Low > v || i.High < v) }

// MeanInterval returns the mean of values, e.g. over seeds, with its 95 %
// interval by Student's t.
func MeanInterval(values []float64) Interval {
	n := len(values)
	if n == 0 {
		return Interval{Mean: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	if n == 1 {
		return Interval{values[0], values[0], values[0], 1}
	}
	mean, sd := stat.MeanStdDev(values, nil)
	half := distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975) * sd / math.Sqrt(float64(n))
	return Interval{mean, mean - half, mean + half, n}
}

// SubjectError is the error of two methods on one test subject: sums over its
// frames, so that subjects with more frames weigh more, as in the mean over
// all frames.
type SubjectError struct {
	Frames float64
	A, B   float64 // sums of errors, mm
}

// bootstrapDraws is how many sets of test subjects are drawn.
const bootstrapDraws = 2000

// BootstrapSubjects returns the mean difference A - B per frame with its 95 %
// interval by drawing the test subjects anew with replacement: frames of one
// subject are not independent, subjects are.
func BootstrapSubjects(subjects []SubjectError, seed uint64) Interval {
	difference := func(pick func(i int) SubjectError) float64 {
		frames, sum := 0.0, 0.0
		for i := range subjects {
			s := pick(i)
			frames += s.Frames
			sum += s.A - s.B
		}
		return sum / frames
	}
	if len(subjects) == 0 {
		return Interval{Mean: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	mean := difference(func(i int) SubjectError { return subjects[i] })
	if len(subjects) == 1 {
		return Interval{mean, mean, mean, 1}
	}
	rng := rand.New(rand.NewPCG(seed, 0x626f6f74))
	draws := make([]float64, bootstrapDraws)
	for k := range draws {
		draws[k] = difference(func(int) SubjectError { return subjects[rng.IntN(len(subjects))] })
	}
	low, high := middleOf(draws)
	return Interval{mean, low, high, len(subjects)}
}

// middleOf returns what bounds the middle 95 % of bootstrap draws, which it sorts. The
// quantile above is that below of the draws' negatives, so that exchanging the two
// that are compared exchanges the verdicts, also where an interval all but touches
// zero: gonum's quantiles interpolate from below at both ends.
func middleOf(draws []float64) (low, high float64) {
	slices.Sort(draws)
	low = stat.Quantile(0.025, stat.LinInterp, draws, nil)
	slices.Reverse(draws)
	for i, d := range draws {
		draws[i] = -d
	}
	return low, -stat.Quantile(0.025, stat.LinInterp, draws, nil)
}

// The verdicts on a comparison.
const (
	Better       = "better"
	Worse        = "worse"
	NoDifference = "no difference shown"
)

// Comparison is the paired difference of two methods, mm: positive if the
// first has the larger error.
type Comparison struct {
	OverSeeds    Interval `json:"over_seeds"`
	OverSubjects Interval `json:"over_subjects"`
	// Crossed is over seeds and subjects at once, P its p-value and PHolm that
	// corrected for the number of comparisons in the table.
	Crossed Interval `json:"over_seeds_and_subjects"`
	P       float64  `json:"p"`
	PHolm   float64  `json:"p_holm"`
	Verdict string   `json:"verdict"` // about the first
}

// Compare judges the paired differences over seeds and over test subjects.
// "Better" or "worse" is written only if both intervals exclude zero on the
// same side.
func Compare(seedDifferences []float64, subjects []SubjectError, seed uint64) Comparison {
	c := Comparison{OverSeeds: MeanInterval(seedDifferences), OverSubjects: BootstrapSubjects(subjects, seed), Verdict: NoDifference}
	if c.OverSeeds.Excludes(0) && c.OverSubjects.Excludes(0) {
		switch {
		case c.OverSeeds.Mean < 0 && c.OverSubjects.Mean < 0:
			c.Verdict = Better
		case c.OverSeeds.Mean > 0 && c.OverSubjects.Mean > 0:
			c.Verdict = Worse
		}
	}
	return c
}
