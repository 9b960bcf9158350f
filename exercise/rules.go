package exercise

import (
	"math"
	"slices"
	"strings"

	"posefuse/message"
)

// Verdicts of a rule on one repetition.
const (
	verdictFault      = "fault"
	verdictBorderline = "borderline"
	// verdictCannotTell: the limit lies within the error that the model has.
	verdictCannotTell = "cannot_tell"
)

// Keys and weights of the faults every exercise has.
const (
	keyShallow       = "shallow"
	keyWrongSide     = "wrong_side"
	keyWrongExercise = "wrong_exercise"
	keyUneven        = "uneven"
	keyTooFast       = "too_fast"
	keyTooSlow       = "too_slow"
	keyFastDescent   = "fast_descent"
	weightRange      = 20
	weightTempo      = 10
	tooFastShare     = 0.6
	tooSlowShare     = 1.8
	shallowShare     = 0.80 // of rest..target; below, a repetition counts but is shallow
	descentMargin    = 0.2  // of the out:return ratio; 10 poses a second see no better
)

// canJudgeAngles reports whether poses of a coalition support angles: with
// radar and WiFi alone only counts and tempo do. The empty coalition is a
// skeleton that was measured, not estimated.
func canJudgeAngles(coalition string) bool {
	return coalition == "" || strings.ContainsAny(coalition, "RL")
}

// sigma90 standard deviations hold 90 % of the errors.
const sigma90 = 1.645

// margin is how far a value must be beyond its threshold: the 90 % error of
// poses of this coalition, by the figures of exercises.md 5. Measured poses have
// none.
func margin(g Signal, coalition string) float64 {
	if coalition == "" {
		return 0
	}
	return quantities[g.Name].margin
}

// accuracy is what a rule may rely on.
type accuracy struct {
	coalition string
	sdDeg     map[string]float64 // of the model's angles; nil if nobody measured them
	still     map[Signal]float64 // range of a signal that poses of somebody who stands still show
}

// margin is how far a value must be beyond a rule's threshold, and known
// whether that is the model's own error.
func (a accuracy) margin(g Signal) (m float64, known bool) {
	if sd, ok := a.sdDeg[g.Name]; ok && a.coalition != "" {
		return sigma90 * sd, true
	}
	return margin(g, a.coalition), false
}

// span is the smoothed poses of one repetition.
type span struct {
	frames []track
	left   int // index where the signal had clearly left its low
	peak   int // index of the peak
	cal    *calibration
	side   Side
}

// measure returns a signal's number over the repetition, false if too few
// poses allow it.
func (p span) measure(g Signal, m Measure) (float64, bool) {
	switch m {
	case AtStart:
		return g.value(body{&p.frames[p.left].smooth, p.cal}, p.side)
	case AtEnd:
		return g.value(body{&p.frames[len(p.frames)-1].smooth, p.cal}, p.side)
	case AtPeak:
		return g.value(body{&p.frames[p.peak].smooth, p.cal}, p.side)
	case AtRise:
		return p.rise(g)
	case AtMean:
		return p.mean(g)
	case AtRange, AtMax, AtMin:
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	bad := 0
	for i := range p.frames {
		v, ok := g.value(body{&p.frames[i].smooth, p.cal}, p.side)
		if !ok {
			bad++
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	if float64(bad) > maxInvalidShare*float64(len(p.frames)) {
		return 0, false
	}
	if m == AtMax {
		return hi, true
	}
	if m == AtMin {
		return lo, true
	}
	return hi - lo, true
}

// ofRule is the measure of a rule. Its range leaves out the tenth of the poses
// at either end: the largest and the smallest of many noisy values are mostly
// noise, and the more so the longer the repetition.
func (p span) ofRule(r Rule) (float64, bool) {
	if r.Measure != AtRange {
		return p.measure(r.Signal, r.Measure)
	}
	values := make([]float64, 0, len(p.frames))
	for i := range p.frames {
		if v, ok := r.value(body{&p.frames[i].smooth, p.cal}, p.side); ok {
			values = append(values, v)
		}
	}
	n := len(values)
	if n == 0 || float64(len(p.frames)-n) > maxInvalidShare*float64(len(p.frames)) {
		return 0, false
	}
	slices.Sort(values)
	return values[n-1-n/10] - values[n/10], true
}

// rise is how much the signal changed on the way to the peak: its value there
// minus the one before that is farthest from it.
func (p span) rise(g Signal) (float64, bool) {
	to, ok := g.value(body{&p.frames[p.peak].smooth, p.cal}, p.side)
	change := 0.0
	for i := range p.frames[:p.peak] {
		if v, seen := g.value(body{&p.frames[i].smooth, p.cal}, p.side); seen && math.Abs(to-v) > math.Abs(change) {
			change = to - v
		}
	}
	return change, ok
}

// mean is the signal's mean from where the repetition had clearly begun.
func (p span) mean(g Signal) (float64, bool) {
	sum, n := 0.0, 0
	for i := p.left; i < len(p.frames); i++ {
		if v, ok := g.value(body{&p.frames[i].smooth, p.cal}, p.side); ok {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / float64(n), true
}

// bias is how far the person's calibrated neutral angle is from the nominal
// one, 0 while that is small or so large that the person did not stand
// neutrally.
func bias(g Signal, m Measure, cal *calibration, side Side) float64 {
	q := quantities[g.Name]
	if q.unit != "deg" || m == AtRange || !cal.standing {
		return 0
	}
	v, ok := g.value(body{&cal.neutral, cal}, side)
	if !ok || math.Abs(v-q.nominal) <= 5 || math.Abs(v-q.nominal) > 20 {
		return 0
	}
	return v - q.nominal
}

// ofOther reports whether the repetition was that of the side opposite to the
// span's, by the sum of what can be measured. Where the poses do not show the
// movement at its size, it must be beyond the error.
func (p span) ofOther(by []SideBy, shown float64) bool {
	sum, error := 0.0, 0.0
	for _, m := range by {
		if v, ok := p.measure(m.Signal, m.Measure); ok {
			sum += v
			if shown < fullShare {
				error = max(error, quantities[m.Name].margin)
			}
		}
	}
	return sum < -error
}

// ruleState is a rule with its verdicts on the last repetitions of a set.
type ruleState struct {
	rule     Rule
	verdicts []string // of the last three judged repetitions, newest last
	raised   bool
	values   []float64 // of all judged repetitions
	limit    float64
	margin   float64
	known    bool    // the margin is that of the model
	course   course  // of the rule's signal, if its range is judged
	unseen   float64 // of what the rule asks for, poses of this model do not show so much
}

// Of a set the median is judged, and the range of the mean course, which are surer
// than one repetition: their error falls with the number of repetitions, but for
// what all share.
const (
	medianError = 1.25 // of the median to that of a mean
	sharedError = 0.4  // of the error that all repetitions share
)

// sum returns the verdict on all repetitions of the set, found false if there
// is nothing to say.
func (r *ruleState) sum() (f message.Fault, found bool) {
	n := len(r.values)
	if n < 2 {
		return f, false
	}
	v := medianOf(r.values)
	if r.rule.Measure == AtRange {
		if spread, ok := r.course.spread(); ok {
			v = spread
		}
	}
	beyond := v - r.limit
	if r.rule.Below != nil {
		beyond = -beyond
	}
	m := max(r.margin*max(medianError/math.Sqrt(float64(n)), sharedError), r.unseen)
	f = message.Fault{Key: r.rule.Key, Measured: round(v), Limit: r.limit, Unit: r.rule.unit(), Verdict: verdictFault}
	switch {
	case beyond > m:
		return f, true
	case r.known && beyond > -m:
		f.Verdict = verdictCannotTell
		return f, true
	}
	return f, false
}

// judge applies the rule to one repetition and returns the finding, if any:
// a fault only when it is raised, a borderline as it is.
func (r *ruleState) judge(p span, a accuracy) (f message.Fault, found bool) {
	sensors := r.rule.Sensors
	if sensors == "" {
		sensors = "RL"
	}
	if a.coalition != "" && !strings.ContainsAny(a.coalition, sensors) {
		return f, false
	}
	v, ok := p.ofRule(r.rule)
	if !ok {
		return f, false
	}
	v -= bias(r.rule.Signal, r.rule.Measure, p.cal, p.side)
	if r.rule.Measure == AtRange {
		noise := max(a.still[r.rule.Signal]/tenths, slowNoise*p.noise(r.rule.Signal))
		r.course.add(p, r.rule.Signal, noise)
		v = math.Sqrt(max(v*v-tenths*tenths*noise*noise, 0)) // noise and movement add up like this
	}
	m, known := a.margin(r.rule.Signal)
	r.margin, r.known = m, known || r.unseen > 0
	m = max(m, r.unseen)
	if r.rule.Above != nil {
		return r.note(v, *r.rule.Above, v-*r.rule.Above, m)
	}
	return r.note(v, *r.rule.Below, *r.rule.Below-v, m)
}

// note adds the verdict on one repetition, whose value v is beyond the limit
// by so much.
func (r *ruleState) note(v, limit, beyond, margin float64) (f message.Fault, found bool) {
	verdict := ""
	switch {
	case beyond > margin:
		verdict = verdictFault
	case r.known && beyond > -margin:
		verdict = verdictCannotTell
	case beyond > 0:
		verdict = verdictBorderline
	}
	r.values, r.limit = append(r.values, v), limit
	f = message.Fault{Key: r.rule.Key, Measured: round(v), Limit: limit, Unit: r.rule.unit(), Verdict: verdict}
	r.verdicts = append(r.verdicts, verdict)
	if len(r.verdicts) > 3 {
		r.verdicts = r.verdicts[1:]
	}
	faults := 0
	for _, v := range r.verdicts {
		if v == verdictFault {
			faults++
		}
	}
	n := len(r.verdicts)
	switch {
	case faults >= 2:
		r.raised = true
	case n >= 2 && r.verdicts[n-1] == "" && r.verdicts[n-2] == "":
		r.raised = false
	}
	return f, verdict == verdictFault && r.raised || verdict == verdictBorderline || verdict == verdictCannotTell
}

// weighted is a finding with the weight that orders messages.
type weighted struct {
	message.Fault
	weight int
}

// topFault returns at most one fault, the one of highest weight.
func topFault(found []weighted) []message.Fault {
	found = slices.DeleteFunc(slices.Clone(found), func(w weighted) bool { return w.Verdict != verdictFault })
	if len(found) == 0 {
		return []message.Fault{}
	}
	return []message.Fault{slices.MaxFunc(found, func(a, b weighted) int { return a.weight - b.weight }).Fault}
}

// round keeps two decimals: more would pretend.
func round(v float64) float64 { return math.Round(v*100) / 100 }
