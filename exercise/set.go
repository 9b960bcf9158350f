package exercise

import (
	"fmt"
	"math"
	"slices"
	"time"

	"posefuse/message"
)

// Phases of an exercise event.
const (
	phaseRest = "rest"
	phaseOut  = "out"
)

// smallAttempts that do not count are a set even without a repetition.
const smallAttempts = 2

// set is a run of repetitions of one exercise without a long rest.
type set struct {
	id       string
	run      *run
	startAt  time.Time
	restS    float64
	activeNS int64 // when something last happened
	phase    string

	reps       []done
	incomplete map[string]int // by reason
	why        string         // of the newest one, while its event is made
	notJudged  int
	wrong      int
	rules      []*ruleState
	descent    *ruleState               // nil if not judged
	faults     map[string]message.Fault // raised by the rules every exercise has
	misread    bool                     // its repetitions were of another exercise
	foreign    int                      // movements in a row that are another exercise
	timed      int                      // repetitions whose tempo is judged
	fast, slow int                      // in a row
}

// done is a counted repetition.
type done struct {
	*repetition
	endAt       time.Time
	side        Side // empty if the exercise has none
	rangeValue  float64
	left, right float64 // the range signal of both sides, for symmetry
	judged      bool
}

// startSet begins a set with its first repetitions.
func (t *Tracker) startSet(first []attempt) {
	r := first[0].run
	t.openSet(r, first[0].rep.startNS)
	for i, a := range first {
		t.addRep(a)
		if i == 0 {
			t.emit("new", t.found(a))
		} else {
			t.emit("update", t.found(a))
		}
	}
}

func (t *Tracker) openSet(r *run, startNS int64) {
	start := t.wallAt(startNS)
	t.set = &set{
		id:  fmt.Sprintf("%s-%s-%x", t.cfg.Room, r.def.Activity, start.UnixMilli()),
		run: r, startAt: start, restS: t.restS(r.def), activeNS: t.nowNS, phase: phaseRest, faults: map[string]message.Fault{}, incomplete: map[string]int{},
	}
	t.set.rules = append(t.set.rules, r.state(r.shallow()))
	for _, small := range t.small {
		if small.rep.endNS > startNS-int64(t.set.restS*1e9) {
			t.set.incomplete[small.why]++
		}
	}
	t.small = t.small[:0]
	for _, rule := range r.def.Rules {
		t.set.rules = append(t.set.rules, r.state(rule))
	}
	if r.def.MinOutReturn > 0 {
		t.set.descent = &ruleState{rule: Rule{Key: keyFastDescent, Below: &r.def.MinOutReturn}, margin: descentMargin}
	}
}

// slowRest is how long who moves slowly rests, as a share of a repetition: the
// first and last part of a slow one look like rest.
const slowRest = 0.6

// longestRestS is how long a rest may be in the set, seconds.
func (s *set) longestRestS() float64 {
	if n := len(s.reps); n > 0 {
		return max(s.restS, slowRest*durationS(s.reps[n-1].repetition))
	}
	return s.restS
}

// count adds a repetition to the running set.
func (t *Tracker) count(a attempt) {
	t.addRep(a)
	t.set.phase = phaseRest
	t.emit("update", t.found(a))
}

// addRep records the repetition itself.
func (t *Tracker) addRep(a attempt) {
	s := t.set
	s.activeNS, s.foreign = t.nowNS, 0
	if a.side != s.run.def.OfSide {
		s.wrong++
	}
	d := done{repetition: a.rep, endAt: a.wall, side: a.side, judged: !a.rep.notJudged && canJudgeAngles(t.coalition)}
	if !d.judged {
		s.notJudged++
	}
	d.rangeValue = t.peakValue(s.run.def.Range.Signal, a)
	if g := s.run.def.Range.Signal; quantities[g.Name].sided && s.run.def.OfSide == "" {
		d.left = t.peakValue(Signal{g.Name, "left"}, a)
		d.right = t.peakValue(Signal{g.Name, "right"}, a)
	}
	s.reps = append(s.reps, d)
}

// peakValue is the largest value of a signal in a repetition, from a smoothing
// that does not flatten peaks, refined between poses by a parabola.
func (t *Tracker) peakValue(g Signal, a attempt) float64 {
	first := slices.IndexFunc(t.track, func(f track) bool { return f.ns >= a.rep.startNS })
	if first < 0 {
		return math.NaN()
	}
	var window [5]frame
	value := func(i int) (float64, bool) {
		if i < 2 || i+2 >= len(t.track) {
			return 0, false
		}
		for k := range window {
			window[k] = t.track[i-2+k].frame
		}
		s := smooth5(window[:])
		return g.value(body{&s, &t.filter.cal}, a.side)
	}
	best, bestAt := math.Inf(-1), -1
	for i := first; i < len(t.track) && t.track[i].ns <= a.rep.endNS; i++ {
		v, ok := value(i)
		if !ok { // at the border of the poses at hand
			v, ok = g.value(body{&t.track[i].smooth, &t.filter.cal}, a.side)
		}
		if ok && v > best {
			best, bestAt = v, i
		}
	}
	if bestAt < 0 {
		return math.NaN()
	}
	l, ok1 := value(bestAt - 1)
	r, ok2 := value(bestAt + 1)
	if curve := l - 2*best + r; ok1 && ok2 && l <= best && r <= best && curve < 0 {
		best -= (l - r) * (l - r) / (8 * curve)
	}
	return best
}

// found judges the newest repetition against all rules.
func (t *Tracker) found(a attempt) []weighted {
	s := t.set
	def := s.run.def
	d := &s.reps[len(s.reps)-1]
	var found []weighted
	raise := func(f message.Fault, weight int) {
		f.Verdict = verdictFault
		found = append(found, weighted{f, weight})
		if _, ok := s.faults[f.Key]; !ok {
			s.faults[f.Key] = f
		}
	}
	if a.side != def.OfSide {
		raise(message.Fault{Key: keyWrongSide, Measured: float64(s.wrong)}, 35)
	}
	if s.descent != nil && a.rep.returnNS > 0 {
		ratio, limit := float64(a.rep.outNS)/float64(a.rep.returnNS), def.MinOutReturn
		if f, ok := s.descent.note(ratio, limit, limit-ratio, descentMargin); ok {
			found = append(found, weighted{f, weightTempo})
		}
	}
	if !d.judged {
		return found
	}
	p := t.spanOf(a.rep, a.side)
	if len(p.frames) == 0 {
		return found
	}
	for _, r := range s.rules {
		if f, ok := r.judge(p, t.accuracy()); ok {
			found = append(found, weighted{f, r.rule.Weight})
		}
	}
	return found
}

// tempo judges how long the repetitions took whose end is settled.
func (s *set) tempo() (found []weighted) {
	ref := s.run.tempoS
	for s.timed < len(s.reps) && s.reps[s.timed].settled {
		duration := durationS(s.reps[s.timed].repetition)
		s.timed++
		s.fast, s.slow = inARow(s.fast, duration < tooFastShare*ref), inARow(s.slow, duration > tooSlowShare*ref)
		f := message.Fault{Key: keyTooFast, Measured: round(duration), Limit: round(tooFastShare * ref), Unit: "s", Verdict: verdictFault}
		if s.slow >= 2 {
			f.Key, f.Limit = keyTooSlow, round(tooSlowShare*ref)
		} else if s.fast < 2 {
			continue
		}
		found = append(found, weighted{f, weightTempo})
		if _, ok := s.faults[f.Key]; !ok {
			s.faults[f.Key] = f
		}
	}
	return found
}

// shallow is the rule that every exercise has: the person's target is reached.
func (r *run) shallow() Rule {
	c := r.def.Count
	limit := round(c.Neutral + shallowShare*(r.target-c.Neutral))
	rule := Rule{Key: keyShallow, Signal: c.Signal, Measure: AtMax, Below: &limit, Weight: weightRange}
	if r.target < c.Neutral {
		rule.Measure, rule.Above, rule.Below = AtMin, &limit, nil
	}
	return rule
}

// state begins a rule of a set. Where the poses show a share of the movement
// only, a rule that asks for more of what is counted cannot tell what lies
// between that share of its limit and the limit.
func (r *run) state(rule Rule) *ruleState {
	c := r.def.Count
	more := rule.Below
	if r.target < c.Neutral {
		more = rule.Above
	}
	st := &ruleState{rule: rule}
	if more != nil && rule.Signal == c.Signal && r.shown > 0 {
		st.unseen = math.Abs(*more-c.Neutral) * (1 - r.shown)
	}
	return st
}

// accuracy is what rules may rely on now.
func (t *Tracker) accuracy() accuracy {
	a := accuracy{coalition: t.coalition, still: t.still}
	if t.figures != nil {
		a.sdDeg = t.figures.AngleSDDeg
	}
	return a
}

func inARow(n int, yes bool) int {
	if yes {
		return n + 1
	}
	return 0
}

// phase follows the phase of the running set.
func (t *Tracker) phase() {
	s := t.set
	if s == nil {
		return
	}
	if found := s.tempo(); len(found) > 0 {
		t.emit("update", found)
	}
	c := s.run.own
	if c.out || s.run.other != nil && s.run.other.out {
		s.activeNS = t.nowNS
	}
	if c.out && s.phase == phaseRest {
		s.phase = phaseOut
		t.emit("update", nil)
	} else if !c.out {
		s.phase = phaseRest
	}
}

// repetitions counts the repetitions of the exercise's own side.
func (s *set) repetitions() int { return len(s.reps) - s.wrong }

// incompletes counts the attempts that do not count.
func (s *set) incompletes() (n int) {
	for _, k := range s.incomplete {
		n += k
	}
	return n
}

// emit sends an event about the running set.
func (t *Tracker) emit(kind string, found []weighted) {
	s := t.set
	e := &message.ExerciseEvent{
		Schema: message.ExerciseEventSchema, Room: t.cfg.Room, Type: kind, ID: s.id,
		Time: stampRFC(t.wallOfNS), Exercise: s.run.def.Activity, Name: t.phrases.name(s.run.def), Side: string(s.run.def.OfSide),
		Phase: s.phase, Repetitions: s.repetitions(), TargetRepetitions: s.run.goal.Repetitions, Incomplete: s.incompletes(), IncompleteWhy: s.why,
		AnglesDeg: t.angles(), Faults: topFault(found), Coalition: t.coalition,
	}
	for i, f := range e.Faults {
		e.Faults[i] = t.say(s, f)
		e.Text = e.Faults[i].Text
	}
	if s.why != "" {
		e.Text = t.phrases.Incomplete[s.why]
	}
	if n := len(t.track); n > 0 && canJudgeAngles(t.coalition) {
		if v, ok := s.run.def.Count.value(body{&t.track[n-1].smooth, &t.filter.cal}, s.run.def.firstSide()); ok {
			v = round(v)
			e.Value, e.ValueName, e.ValueUnit = &v, t.phrases.signal(s.run.def), s.run.def.Count.unit()
		}
	}
	if t.lastPose != nil && t.lastPose.Model.Name != "" {
		e.Model = t.lastPose.Model.Name + "@" + t.lastPose.Model.Version
	}
	t.out.Event(e)
}

func stampRFC(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// angles returns the joint angles of the newest smoothed pose, none when the
// sensors do not support angles.
func (t *Tracker) angles() map[string]float64 {
	angles := map[string]float64{}
	if len(t.track) == 0 || !canJudgeAngles(t.coalition) {
		return angles
	}
	anglesOf(body{&t.track[len(t.track)-1].smooth, &t.filter.cal}, func(name string, v float64) { angles[name] = round(v) })
	return angles
}

// closeSet closes the set and sends its end and its summary.
func (t *Tracker) closeSet() {
	s := t.set
	s.phase = phaseRest
	for _, d := range s.reps {
		d.settled = true
	}
	if s.misread {
		s.reps, s.wrong = s.reps[:0], 0
		t.emit("end", nil)
	} else {
		t.emit("end", s.tempo())
		t.out.Summary(s.summary(t))
	}
	t.set = nil
	t.rivals = t.rivals[:0]
}
