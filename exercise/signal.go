package exercise

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// quantity is an entry of the vocabulary that definitions choose signals from.
type quantity struct {
	unit   string // "deg", "m" or "" for a ratio
	sided  bool
	margin float64 // 90 % error on fused poses (exercises.md 5), in the unit
	// nominal is the value of a healthy person who stands, for angles; a
	// calibrated neutral that is off by more than 5 degrees moves the rules.
	nominal float64
	// lead: 0 in standing, so that a model which shows less of a movement shows
	// less of the signal.
	lead  bool
	value func(b body, side Side) (float64, bool)
}

func unsided(f func(body) (float64, bool)) func(body, Side) (float64, bool) {
	return func(b body, _ Side) (float64, bool) { return f(b) }
}

func difference(f func(body, Side) (float64, bool)) func(body, Side) (float64, bool) {
	return func(b body, _ Side) (float64, bool) {
		l, ok1 := f(b, Left)
		r, ok2 := f(b, Right)
		return math.Abs(l - r), ok1 && ok2
	}
}

// quantities is the vocabulary. Angles are in degrees, defined in
// exercises.md 1; margins of quantities it gives no figure for are derived
// from the angles they are made of.
var quantities = map[string]quantity{
	"kneeFlexion":       {"deg", true, 15, 0, false, body.kneeFlexion},
	"hipFlexion":        {"deg", true, 11, 0, false, body.hipFlexion},
	"thighElevation":    {"deg", true, 9, 0, false, body.thighElevation},
	"elbowFlexion":      {"deg", true, 19, 10, false, body.elbowFlexion},
	"shoulderElevation": {"deg", true, 13, 12, false, body.shoulderElevation},
	"armPlane":          {"deg", true, 20, 0, false, body.armPlane},
	"armExtension":      {"", true, 0.1, 0, false, body.armExtension},
	"ankleLead":         {"", true, 0.1, 0, true, body.ankleLead},
	"ankleLift":         {"", true, 0.1, 0, true, body.ankleLift},
	"thighLead":         {"deg", true, 12, 0, true, body.thighLead},
	"kneeLead":          {"deg", true, 15, 0, true, body.kneeLead},
	"pelvisTravel":      {"", true, 0.06, 0, true, body.pelvisTravel},
	"pelvisOut":         {"", true, 0.06, 0, false, body.pelvisOut},
	"pelvisAside":       {"", false, 0.06, 0, true, unsided(body.pelvisAside)},
	"wristHeight":       {"", true, 0.15, 0, false, body.wristHeight},
	"wristDistance":     {"", false, 0.15, 0, false, unsided(body.wristDistance)},
	"ankleOut":          {"", false, 0.08, 0, false, unsided(body.ankleOut)},
	"stepAngle":         {"deg", false, 10, 0, false, unsided(body.stepAngle)},
	"ankleHeight":       {"", false, 0.06, 0, true, unsided(body.ankleHeight)},
	"trunkLean":         {"deg", false, 6, 3, false, unsided(body.trunkLean)},
	"trunkSide":         {"deg", false, 5, 0, false, unsided(body.trunkSide)},
	"shoulderTilt": {"deg", false, 6, 0, false, func(b body, _ Side) (float64, bool) {
		return b.tilt(jLShoulder, jRShoulder)
	}},
	"pelvisTilt": {"deg", false, 8, 0, false, func(b body, _ Side) (float64, bool) {
		return b.tilt(jLHip, jRHip)
	}},
	"trunkTwist":          {"deg", false, 30, 0, false, unsided(body.trunkTwist)},
	"pelvisDrop":          {"", false, 0.06, 0, true, unsided(body.pelvisDrop)},
	"pelvisShift":         {"m", false, 0.05, 0, false, unsided(body.pelvisShift)},
	"kneeAnkleRatio":      {"", false, 0.2, 0, false, unsided(body.kneeAnkleRatio)},
	"kneeDifference":      {"deg", false, 15, 0, false, difference(body.kneeFlexion)},
	"elevationDifference": {"deg", false, 13, 0, false, difference(body.shoulderElevation)},
	"thighDifference":     {"deg", false, 9, 0, false, difference(body.thighElevation)},
}

// Signal chooses one number per pose: a named quantity and, for quantities of
// a limb, whose.
type Signal struct {
	Name string `yaml:"signal"`
	// Side is "left", "right", "own" or "other" (of the definition's side),
	// "mean", "min" or "max" of both. Empty for quantities without a side.
	Side string `yaml:"side,omitempty"`
}

var sideWords = []string{"left", "right", "own", "other", "mean", "min", "max"}

func (g Signal) check(own Side) error {
	q, ok := quantities[g.Name]
	switch {
	case !ok:
		names := make([]string, 0, len(quantities))
		for n := range quantities {
			names = append(names, n)
		}
		slices.Sort(names)
		return fmt.Errorf("unknown signal %q, choose one of %s", g.Name, strings.Join(names, ", "))
	case !q.sided && g.Side != "":
		return fmt.Errorf("signal %q has no sides, leave out side %q", g.Name, g.Side)
	case q.sided && !slices.Contains(sideWords, g.Side):
		return fmt.Errorf("signal %q: side is %q, choose one of %s", g.Name, g.Side, strings.Join(sideWords, ", "))
	case (g.Side == "own" || g.Side == "other") && own == "":
		return fmt.Errorf("signal %q: side %q needs a definition with a side", g.Name, g.Side)
	}
	return nil
}

func (g Signal) unit() string { return quantities[g.Name].unit }

// value returns the signal of a body for a definition of side own, false if
// the joints do not allow it: a joint that is not known makes a value that is
// no number.
func (g Signal) value(b body, own Side) (float64, bool) {
	v, ok := g.raw(b, own)
	return v, ok && !math.IsNaN(v)
}

func (g Signal) raw(b body, own Side) (float64, bool) {
	q := quantities[g.Name]
	switch g.Side {
	case "left":
		return q.value(b, Left)
	case "right":
		return q.value(b, Right)
	case "own":
		return q.value(b, own)
	case "other":
		return q.value(b, own.Other())
	case "":
		return q.value(b, Left)
	}
	l, ok1 := q.value(b, Left)
	r, ok2 := q.value(b, Right)
	if !ok1 || !ok2 {
		return 0, false
	}
	switch g.Side {
	case "min":
		return min(l, r), true
	case "max":
		return max(l, r), true
	}
	return (l + r) / 2, true
}
