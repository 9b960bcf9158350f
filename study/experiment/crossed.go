package experiment

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// CrossedBootstrap returns the mean difference A - B per frame with its 95 % interval
// by drawing seeds and test subjects anew, both with replacement and each subject
// with all drawn seeds: an interval over new trainings and new people at once. bySeed
// holds the subjects' errors in the same order for each seed. p is the two-sided
// bootstrap p-value of no difference.
func CrossedBootstrap(bySeed [][]SubjectError, seed uint64) (in Interval, p float64) {
	if len(bySeed) == 0 || len(bySeed[0]) == 0 {
		return Interval{Mean: math.NaN(), Low: math.NaN(), High: math.NaN()}, 1
	}
	subjects := len(bySeed[0])
	difference := func(seedAt, subjectAt func(i int) int) float64 {
		frames, sum := 0.0, 0.0
		for i := range bySeed {
			row := bySeed[seedAt(i)]
			for j := range subjects {
				s := row[subjectAt(j)]
				frames += s.Frames
				sum += s.A - s.B
			}
		}
		return sum / frames
	}
	same := func(i int) int { return i }
	mean := difference(same, same)
	if len(bySeed) == 1 || subjects == 1 {
		return Interval{mean, mean, mean, 1}, 1
	}
	rng := rand.New(rand.NewPCG(seed, 0x63726f73))
	draws := make([]float64, bootstrapDraws)
	people := make([]int, subjects)
	below, above := 0, 0
	for k := range draws {
		for j := range people {
			people[j] = rng.IntN(subjects)
		}
		draws[k] = difference(func(int) int { return rng.IntN(len(bySeed)) }, func(j int) int { return people[j] })
		if draws[k] <= 0 {
			below++
		}
		if draws[k] >= 0 {
			above++
		}
	}
	low, high := middleOf(draws)
	p = math.Min(1, 2*float64(1+min(below, above))/float64(1+bootstrapDraws))
	return Interval{mean, low, high, min(len(bySeed), subjects)}, p
}

// holmLevel is the chance that a table without any true difference names one.
const holmLevel = 0.05

// holm corrects the p-values of a table's comparisons for their number (Holm 1979),
// and takes back verdicts that do not stand it.
func holm(table []*Comparison) {
	table = slices.DeleteFunc(slices.Clone(table), func(c *Comparison) bool { return c == nil || c.Crossed.N < 2 })
	slices.SortStableFunc(table, func(a, b *Comparison) int { return cmp.Compare(a.P, b.P) })
	largest := 0.0
	for i, c := range table {
		largest = math.Max(largest, math.Min(1, c.P*float64(len(table)-i)))
		c.PHolm = largest
		if c.PHolm >= holmLevel || !c.Crossed.Excludes(0) {
			c.Verdict = NoDifference
		}
	}
}

// correct corrects each table by itself: the methods with what AWC is compared with,
// the subsets, the grids and the variants.
func (s *Summary) correct() {
	rows := func(list []Row) (out []*Comparison) {
		for i := range list {
			out = append(out, list[i].AgainstPlain)
		}
		return out
	}
	methods := rows(s.Table1)
	for i := range s.AWCAgainst {
		methods = append(methods, &s.AWCAgainst[i].Difference)
	}
	var subsets []*Comparison
	for i := range s.AllAgainst {
		subsets = append(subsets, &s.AllAgainst[i].Difference)
	}
	for _, table := range [][]*Comparison{methods, subsets, rows(s.Table4), rows(s.Figure6), rows(s.Variants)} {
		holm(table)
	}
}
