package exercise

import "math"

// noiseBenefit standard deviations of its noise may a signal be beyond the limit
// of what must not move, where an exercise was told.
const noiseBenefit = 1.5

// meets reports whether the repetition fulfils a requirement. Where the size of
// the poses is known, the limits lie between the exercise and others and are
// taken as they are, those of movements as the share of them that the poses show.
// Where it is not known, less movement is enough; of somebody whose exercise is
// told none is demanded, and there is the benefit of the error. What cannot be
// measured is not held against the person. Several says that more than one
// exercise is looked for, shown how much of its movement the poses show.
func (p span) meets(r Requirement, a accuracy, several bool, shown float64) bool {
	benefit := 0.0
	if !several && !r.demands() { // the extremes of noisy values are noise, too
		benefit = noiseBenefit * p.noise(r.Signal)
	}
	return p.holds(r, a, several, shown, benefit) || r.Unless != nil && p.holds(*r.Unless, a, several, shown, 0)
}

// holds is meets without what excuses, and with the given benefit for noise.
func (p span) holds(r Requirement, a accuracy, several bool, shown, benefit float64) bool {
	sized := shown >= fullShare
	switch r.When {
	case WhenSized:
		if !several || !sized {
			return true
		}
	case WhenRecognising:
		if !several {
			return true
		}
	}
	if r.demands() && !sized && !several {
		return true
	}
	v, ok := p.measure(r.Signal, r.Measure)
	if !ok {
		return true
	}
	m, share := benefit, 1.0
	if !sized && !several || a.sdDeg != nil && (!several || r.When == WhenSized) {
		own, _ := a.margin(r.Signal)
		m = max(m, own)
	}
	if r.Measure == AtRange || r.Measure == AtRise || r.demands() && quantities[r.Name].lead {
		if share = shown; share == 0 {
			share = smallShare
		}
	}
	switch {
	case r.Above != nil && *r.Above > 0:
		ok = v > *r.Above*share-m
	case r.Above != nil:
		ok = v > *r.Above-m
	case *r.Below < 0:
		ok = v < *r.Below*share+m
	default:
		ok = v < *r.Below+m
	}
	return ok
}

// noise is the standard deviation of the noise that a signal of smoothed poses has
// between neighbours, by its fourth differences: movement hardly has any, white
// noise 70 times its variance, of which the mean of three leaves a third. The
// median leaves out what is sudden in a movement, as a landing.
func (p span) noise(g Signal) float64 {
	var last [4]float64
	seen, found := 0, make([]float64, 0, len(p.frames))
	for i := range p.frames {
		v, ok := g.value(body{&p.frames[i].raw, p.cal}, p.side)
		if !ok {
			seen = 0
			continue
		}
		if seen++; seen > len(last) {
			found = append(found, math.Abs(v-4*last[3]+6*last[2]-4*last[1]+last[0]))
		}
		last = [4]float64{last[1], last[2], last[3], v}
	}
	if len(found) == 0 {
		return 0
	}
	const half = 0.6745 // standard deviations from 0 lies the median of what is normal
	return medianOf(found) / (half * math.Sqrt(70*3))
}

// demands reports whether a requirement asks for a movement, and not for the lack
// of one.
func (r *Requirement) demands() bool { return r.Above != nil || *r.Below < 0 }
