package retrain

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"posefuse/model/registry"
)

// level is the chance of a wrong word that a one-sided bound allows, and that all
// words "worse" of a gate together allow.
const level = 0.05

// paired is the error of both models on what is independent of the rest: one
// person's frames, or one clip. Sums over frames, millimetres.
type paired struct{ before, after float64 }

// comparison is a figure with what is known of its chance.
type comparison struct {
	registry.Figure
	se float64 // standard error of the change, per cent
	df float64 // degrees of freedom of it; 0: nothing is known
}

// ratio is the sum of the errors after, as a share of those before.
func ratio(units []paired) float64 {
	var a, b float64
	for _, u := range units {
		a, b = a+u.after, b+u.before
	}
	if b == 0 {
		return 1
	}
	return a / b
}

// spread returns the standard error of the ratio, per cent, by linearisation: a
// unit differs from the others by after - ratio·before. Student's t with the few
// people of a room keeps its level where a bootstrap of them would not.
func spread(units []paired) (se, df float64) {
	n := float64(len(units))
	if n < 2 {
		return 0, 0
	}
	r := ratio(units)
	var square, before float64
	for _, u := range units {
		e := u.after - r*u.before
		square, before = square+e*e, before+u.before
	}
	if before == 0 {
		return 0, 0
	}
	return 100 * math.Sqrt(n/(n-1)*square) / before, n - 1
}

// ownSpread is how many clips of an activity must be there before their own spread
// is taken; fewer take that of all activities.
const ownSpread = 8

// leastWithin is the least degrees of freedom of the spread within activities;
// with fewer, clips are compared with all others, which differ more.
const leastWithin = 4

// pooled returns the standard deviation of a clip's change, per cent, over all
// activities of a set.
func pooled(activities [][]paired) (sd, df float64) {
	within, around := 0.0, 0.0
	n, groups := 0.0, 0.0
	all := ratio(slices.Concat(activities...))
	for _, clips := range activities {
		own := ratio(clips)
		groups++
		for _, c := range clips {
			if c.before == 0 {
				continue
			}
			n++
			within += (c.after/c.before - own) * (c.after/c.before - own)
			around += (c.after/c.before - all) * (c.after/c.before - all)
		}
	}
	switch {
	case n-groups >= leastWithin:
		return 100 * math.Sqrt(within/(n-groups)), n - groups
	case n >= 2:
		return 100 * math.Sqrt(around/(n-1)), n - 1
	}
	return 0, 0
}

// interval sets the bounds of a figure: the change lies above the lower one, and
// below the upper one, but for a chance of level each.
func (c *comparison) interval() {
	if c.df < 1 {
		return
	}
	half := c.se * distuv.StudentsT{Sigma: 1, Nu: c.df}.Quantile(1-level)
	c.Interval = &registry.ChangeInterval{LowPercent: max(c.ChangePercent()-half, -100), HighPercent: c.ChangePercent() + half}
}

// above is the chance of a change like this, or a larger one, if the true one were
// limit, per cent; 1 where nothing is known.
func (c *comparison) above(limit float64) float64 {
	d := c.ChangePercent() - limit
	switch {
	case c.df < 1:
		return 1
	case c.se == 0 && d > 0:
		return 0
	case c.se == 0:
		return 1
	}
	return 1 - distuv.StudentsT{Sigma: 1, Nu: c.df}.CDF(d/c.se)
}

// holm says which of the chances are too small to be chance, with a chance of
// level that any of them is wrong.
func holm(chances []float64) []bool {
	order := make([]int, len(chances))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case chances[a] < chances[b]:
			return -1
		case chances[a] > chances[b]:
			return 1
		}
		return 0
	})
	out := make([]bool, len(chances))
	for k, i := range order {
		if chances[i] > level/float64(len(chances)-k) {
			break
		}
		out[i] = true
	}
	return out
}
