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
)

// Keys and weights of the faults every exercise has.
const (
	keyShallow       = "shallow"
	keyWrongSide     = "wrong_side"
	keyWrongExercise = "wrong_exercise"
	keyTooFast       = "too_fast"
	keyTooSlow       = "too_slow"
	keyFastDescent   = "fast_descent"
	weightRange      = 20
	weightTempo      = 10
	tooFastShare     = 0.6
	tooSlowShare     = 1.8
	descentMargin    = 0.2 // of the out:return ratio; 10 poses a second see no better
)

// canJudgeAngles reports whether poses of a coalition support angles: with
// radar and WiFi alone only counts and tempo do. The empty coalition is a
// skeleton that was measured, not estimated.
func canJudgeAngles(coalition string) bool {
	return coalition == "" || strings.ContainsAny(coalition, "RL")
}

// margin is how far a value must be beyond its threshold: the 90 % error of
// poses of this coalition.
func margin(g Signal, coalition string) float64 {
	if coalition == "" {
		return 0
	}
	return quantities[g.Name].margin
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

// meets reports whether the repetition fulfils a requirement, with the benefit
// of the error of estimated poses. What cannot be measured is not held against
// the person. Several says that more than one exercise is looked for.
func (p span) meets(r Requirement, coalition string, several bool) bool {
	m := margin(r.Signal, coalition)
	switch r.When {
	case WhenMeasured:
		if coalition != "" {
			return true
		}
	case WhenRecognising:
		if coalition == "" || !several {
			return true
		}
		m = 0
	}
	v, ok := p.measure(r.Signal, r.Measure)
	if !ok {
		return true
	}
	if r.Above != nil {
		return v > *r.Above-m
	}
	return v < *r.Below+m
}

// ruleState is a rule with its verdicts on the last repetitions of a set.
type ruleState struct {
	rule     Rule
	verdicts []string // of the last three judged repetitions, newest last
	raised   bool
	ever     bool
	worst    message.Fault
}

// judge applies the rule to one repetition and returns the finding, if any:
// a fault only when it is raised, a borderline as it is.
func (r *ruleState) judge(p span, coalition string) (f message.Fault, found bool) {
	sensors := r.rule.Sensors
	if sensors == "" {
		sensors = "RL"
	}
	if coalition != "" && !strings.ContainsAny(coalition, sensors) {
		return f, false
	}
	v, ok := p.measure(r.rule.Signal, r.rule.Measure)
	if !ok {
		return f, false
	}
	v -= bias(r.rule.Signal, r.rule.Measure, p.cal, p.side)
	if r.rule.Above != nil {
		return r.note(v, *r.rule.Above, v-*r.rule.Above, margin(r.rule.Signal, coalition))
	}
	return r.note(v, *r.rule.Below, *r.rule.Below-v, margin(r.rule.Signal, coalition))
}

// note adds the verdict on one repetition, whose value v is beyond the limit
// by so much.
func (r *ruleState) note(v, limit, beyond, margin float64) (f message.Fault, found bool) {
	verdict := ""
	switch {
	case beyond > margin:
		verdict = verdictFault
	case beyond > 0:
		verdict = verdictBorderline
	}
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
	switch {
	case verdict == verdictFault && r.raised:
		if !r.ever || math.Abs(f.Measured-f.Limit) > math.Abs(r.worst.Measured-r.worst.Limit) {
			r.worst = f
		}
		r.ever = true
		return f, true
	case verdict == verdictBorderline:
		return f, true
	}
	return f, false
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
