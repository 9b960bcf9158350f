package exercise

import (
	"cmp"
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

// set is a run of repetitions of one exercise without a long rest.
type set struct {
	id       string
	run      *run
	startAt  time.Time
	activeNS int64 // when something last happened
	phase    string

	reps       []done
	incomplete int
	notJudged  int
	wrong      int
	rules      []*ruleState
	descent    *ruleState               // nil if not judged
	faults     map[string]message.Fault // raised by the rules every exercise has
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
		run: r, startAt: start, activeNS: t.nowNS, phase: phaseRest, faults: map[string]message.Fault{},
	}
	for _, rule := range r.def.Rules {
		t.set.rules = append(t.set.rules, &ruleState{rule: rule})
	}
	if r.def.MinOutReturn > 0 {
		t.set.descent = &ruleState{rule: Rule{Key: keyFastDescent}}
	}
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
	s.activeNS = t.nowNS
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
	{
		duration, ref := durationS(a.rep), def.TempoS.Median
		s.fast, s.slow = inARow(s.fast, duration < tooFastShare*ref), inARow(s.slow, duration > tooSlowShare*ref)
		if s.fast >= 2 {
			raise(message.Fault{Key: keyTooFast, Measured: round(duration), Limit: round(tooFastShare * ref), Unit: "s"}, weightTempo)
		}
		if s.slow >= 2 {
			raise(message.Fault{Key: keyTooSlow, Measured: round(duration), Limit: round(tooSlowShare * ref), Unit: "s"}, weightTempo)
		}
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
	if a.rep.peak < shallowShare {
		value := func(share float64) float64 {
			return round(def.Count.Neutral + share*(s.run.target-def.Count.Neutral))
		}
		raise(message.Fault{Key: keyShallow, Measured: value(a.rep.peak), Limit: value(shallowShare), Unit: def.Count.unit()}, weightRange)
	}
	p := t.spanOf(a.rep, a.side)
	if len(p.frames) == 0 {
		return found
	}
	for _, r := range s.rules {
		if f, ok := r.judge(p, t.coalition); ok {
			found = append(found, weighted{f, r.rule.Weight})
		}
	}
	return found
}

func inARow(n int, yes bool) int {
	if yes {
		return n + 1
	}
	return 0
}

// incomplete counts an attempt that was too small, short or long.
func (t *Tracker) incomplete(r *run, side Side) {
	if t.set == nil {
		return // not known yet to belong to an exercise
	}
	if t.set.run != r || side != r.def.OfSide {
		return
	}
	t.set.incomplete++
	t.set.activeNS = t.nowNS
	t.set.phase = phaseRest
	t.emit("update", nil)
}

// wrongExercise notes a movement of the counted signal that is another exercise.
func (t *Tracker) wrongExercise(r *run) {
	if t.set == nil || t.set.run != r {
		return
	}
	f := message.Fault{Key: keyWrongExercise, Verdict: verdictFault}
	if _, ok := t.set.faults[f.Key]; !ok {
		t.set.faults[f.Key] = f
	}
	t.emit("update", []weighted{{f, 35}})
}

// phase follows the phase of the running set.
func (t *Tracker) phase() {
	s := t.set
	if s == nil {
		return
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

// emit sends an event about the running set.
func (t *Tracker) emit(kind string, found []weighted) {
	s := t.set
	e := &message.ExerciseEvent{
		Schema: message.ExerciseEventSchema, Room: t.cfg.Room, Type: kind, ID: s.id,
		Time: stampRFC(t.wallOfNS), Exercise: s.run.def.Activity, Name: s.run.def.Name, Side: string(s.run.def.OfSide),
		Phase: s.phase, Repetitions: s.repetitions(), Incomplete: s.incomplete,
		AnglesDeg: t.angles(), Faults: topFault(found), Coalition: t.coalition,
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
	b := body{&t.track[len(t.track)-1].smooth, &t.filter.cal}
	for name, q := range quantities {
		if q.unit != "deg" {
			continue
		}
		if !q.sided {
			if v, ok := q.value(b, Left); ok {
				angles[name] = round(v)
			}
			continue
		}
		for suffix, side := range map[string]Side{"Left": Left, "Right": Right} {
			if v, ok := q.value(b, side); ok {
				angles[name+suffix] = round(v)
			}
		}
	}
	return angles
}

// endSet closes the set and sends its end and its summary.
func (t *Tracker) endSet() {
	s := t.set
	s.phase = phaseRest
	t.emit("end", nil)
	t.out.Summary(s.summary(t))
	t.set = nil
	t.rivals = t.rivals[:0]
}

func durationS(r *repetition) float64 { return float64(r.endNS-r.startNS) / 1e9 }

// summary sums up the set.
func (s *set) summary(t *Tracker) *message.ExerciseSummary {
	def := s.run.def
	end := s.startAt
	sum := &message.ExerciseSummary{
		Schema: message.ExerciseSummarySchema, Room: t.cfg.Room, ID: s.id, Exercise: def.Activity, Name: def.Name,
		Start: stampRFC(s.startAt), Repetitions: s.repetitions(), Incomplete: s.incomplete, NotJudged: s.notJudged,
		RangeUnit: def.Range.unit(), Faults: []message.Fault{},
	}
	var ranges, tempos, left, right []float64
	for _, d := range s.reps {
		if at := d.endAt; at.After(end) {
			end = at
		}
		switch d.side {
		case Left:
			sum.Left++
		case Right:
			sum.Right++
		}
		tempos = append(tempos, durationS(d.repetition))
		if d.judged && !math.IsNaN(d.rangeValue) {
			ranges = append(ranges, d.rangeValue)
			if d.left > 0 && d.right > 0 {
				left, right = append(left, d.left), append(right, d.right)
			}
		}
	}
	sum.End = stampRFC(end)
	if len(ranges) > 0 {
		sum.RangeDeg = message.MedianBest{Median: round(medianOf(ranges)), Best: round(slices.Max(ranges))}
	}
	if len(tempos) > 0 {
		best := slices.MinFunc(tempos, func(a, b float64) int {
			return cmp.Compare(math.Abs(a-def.TempoS.Median), math.Abs(b-def.TempoS.Median))
		})
		sum.TempoS = message.MedianBest{Median: round(medianOf(tempos)), Best: round(best)}
	}
	if len(tempos) >= 2 {
		v := round(regularity(tempos))
		sum.Regularity = &v
	}
	if len(left) > 0 {
		l, r := medianOf(left), medianOf(right)
		v := round(min(l, r) / max(l, r))
		sum.Symmetry = &v
	}
	for _, f := range s.faults {
		sum.Faults = append(sum.Faults, f)
	}
	rules := s.rules
	if s.descent != nil {
		rules = append(slices.Clone(rules), s.descent)
	}
	for _, r := range rules {
		if r.ever {
			sum.Faults = append(sum.Faults, r.worst)
		}
	}
	slices.SortFunc(sum.Faults, func(a, b message.Fault) int { return cmp.Compare(a.Key, b.Key) })
	return sum
}

func medianOf(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// regularity is the standard deviation of the durations over their mean.
func regularity(v []float64) float64 {
	var mean, square float64
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		square += (x - mean) * (x - mean) / float64(len(v))
	}
	return math.Sqrt(square) / mean
}
