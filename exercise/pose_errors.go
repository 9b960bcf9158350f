package exercise

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// PoseErrors compares what this package reads from estimated poses with what it
// reads from the true ones: a model's Figures.
type PoseErrors struct {
	defs    []*Definition
	squared map[string]*errorSum // by angle
	shares  map[string][]float64 // by activity, a clip each
	deepest map[string]*errorSum // by activity, of its range's angle
}

// errorSum is of errors in degrees.
type errorSum struct{ n, sum, squares float64 }

func (s *errorSum) add(e float64) {
	s.n++
	s.sum += e
	s.squares += e * e
}

// NewPoseErrors returns an empty comparison by the exercises of defs.
func NewPoseErrors(defs []*Definition) *PoseErrors {
	e := &PoseErrors{defs: defs, squared: map[string]*errorSum{}, shares: map[string][]float64{}, deepest: map[string]*errorSum{}}
	for name, q := range quantities {
		if q.unit == "deg" {
			e.squared[name] = &errorSum{}
		}
	}
	return e
}

// Clip compares the poses of a clip of an activity with the true ones, frame by
// frame, in the order of time. Angles that need a calibrated standing pose are
// left out.
func (e *PoseErrors) Clip(activity string, truth, poses []Skeleton) {
	cal := &calibration{}
	for i := range truth {
		t, p := body{&truth[i], cal}, body{&poses[i], cal}
		for name, sum := range e.squared {
			q := quantities[name]
			sides := []Side{Left, Right}
			if !q.sided {
				sides = sides[:1]
			}
			for _, side := range sides {
				want, ok1 := q.value(t, side)
				got, ok2 := q.value(p, side)
				if ok1 && ok2 {
					sum.add(turn(got - want))
				}
			}
		}
	}
	for _, d := range e.defs {
		if d.Activity == activity {
			e.movement(d, truth, poses)
		}
	}
}

// turn brings a difference of angles to -180..180 degrees.
func turn(a float64) float64 { return a - 360*math.Round(a/360) }

// deepShare of the way to the clip's deepest pose is deep.
const deepShare = 0.9

// movement compares how much of the exercise's movement the poses show.
func (e *PoseErrors) movement(d *Definition, truth, poses []Skeleton) {
	cal := &calibration{}
	side := d.firstSide()
	var real, shown []float64
	var angles [][2]float64 // of the range's signal: true, shown
	for i := range truth {
		t, p := body{&truth[i], cal}, body{&poses[i], cal}
		a, ok1 := d.share(t, side)
		b, ok2 := d.share(p, side)
		if !ok1 || !ok2 {
			continue
		}
		real, shown = append(real, a), append(shown, b)
		x, ok1 := d.Range.value(t, side)
		y, ok2 := d.Range.value(p, side)
		if !ok1 || !ok2 || d.Range.unit() != "deg" {
			x, y = math.NaN(), math.NaN()
		}
		angles = append(angles, [2]float64{x, y})
	}
	low, high := spread(real)
	if high-low < 0.3 { // the clip does not show the exercise
		return
	}
	least, most := spread(shown)
	e.shares[d.Activity] = append(e.shares[d.Activity], (most-least)/(high-low))
	for i, a := range angles {
		if real[i] < low+deepShare*(high-low) || math.IsNaN(a[0]+a[1]) {
			continue
		}
		if e.deepest[d.Activity] == nil {
			e.deepest[d.Activity] = &errorSum{}
		}
		e.deepest[d.Activity].add(turn(a[1] - a[0]))
	}
}

// spread returns the values between which nine tenths of x lie.
func spread(x []float64) (low, high float64) {
	if len(x) == 0 {
		return 0, 0
	}
	s := slices.Sorted(slices.Values(x))
	return s[len(s)/20], s[len(s)-1-len(s)/20]
}

// Figures returns what was found: of angles the root of the mean squared error, so
// that a bias counts, and of each activity the median share of the movement.
func (e *PoseErrors) Figures() Figures {
	f := Figures{AngleSDDeg: map[string]float64{}, MovementShare: map[string]float64{}}
	for name, s := range e.squared {
		if s.n > 0 {
			f.AngleSDDeg[name] = math.Round(100*math.Sqrt(s.squares/s.n)) / 100
		}
	}
	for activity, shares := range e.shares {
		slices.Sort(shares)
		f.MovementShare[activity] = math.Round(1000*shares[len(shares)/2]) / 1000
	}
	return f
}

// DeepestError is the error of an exercise's angle where the movement is deepest.
type DeepestError struct {
	Activity string  `json:"activity"`
	Name     string  `json:"name"`
	Angle    string  `json:"angle"`
	Frames   int     `json:"frames"`
	BiasDeg  float64 `json:"bias_deg"` // mean of the pose's angle less the true one
	SDDeg    float64 `json:"sd_deg"`   // about that mean
}

// Deepest returns the errors at the deepest, by activity.
func (e *PoseErrors) Deepest() []DeepestError {
	var out []DeepestError
	for _, activity := range slices.SortedFunc(maps.Keys(e.deepest), cmp.Compare[string]) {
		s := e.deepest[activity]
		i := slices.IndexFunc(e.defs, func(d *Definition) bool { return d.Activity == activity })
		mean := s.sum / s.n
		out = append(out, DeepestError{activity, e.defs[i].Name, e.defs[i].Range.Name, int(s.n),
			math.Round(100*mean) / 100, math.Round(100*math.Sqrt(max(0, s.squares/s.n-mean*mean))) / 100})
	}
	return out
}
