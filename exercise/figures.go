package exercise

// Figures are what is known of the model that makes the poses.
type Figures struct {
	// AngleSDDeg is the standard deviation of the error of each angle, degrees,
	// by signal name, on people that the model was not trained on; nil if it
	// was not measured.
	AngleSDDeg map[string]float64
	// MovementShare is how much of an exercise's movement the poses show, by
	// activity: 1 is all. An exercise that is missing was not measured: its
	// repetitions are told by each other alone.
	MovementShare map[string]float64
}

// fullShare of a movement is nearly all of it: limits between exercises hold.
const fullShare = 0.8

// smallShare is the share of a movement that is asked of poses whose size is
// not known: the first shipped network showed 35 % to 100 % of it.
const smallShare = 0.4

// SetFigures tells the tracker what is known of the model in use. Until it is
// called, poses are taken as they are: movements at their size, angles with
// the errors of exercises.md 5.
func (t *Tracker) SetFigures(f Figures) {
	t.figures = &f
	for _, r := range t.runs {
		r.shown = t.shown(r.def)
		for c := range r.counters() {
			c.least = r.least()
		}
	}
}

// shown is how much of the exercise's movement the poses show, 0 if that is
// not known.
func (t *Tracker) shown(d *Definition) float64 {
	if t.figures == nil {
		return 1
	}
	return min(max(t.figures.MovementShare[d.Activity], 0), 1)
}

// least is the share of the target that a repetition must reach in the poses,
// 0 where their size is not known.
func (r *run) least() float64 { return completeShare * r.scale() * r.shown }
