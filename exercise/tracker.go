package exercise

import (
	"errors"
	"slices"
	"time"

	"posefuse/message"
)

const (
	chooseNS    = int64(6e8)         // rivals are compared this long before a set starts
	switchReps  = 2                  // repetitions of another exercise that end a set
	recalibrate = int64(5e8)         // between looks for quiet standing
	trackKeepS  = maxRepetitionS + 5 // poses kept to judge repetitions
	goneNS      = int64(4e9)         // without joints: the person has left
)

// Output receives what a Tracker finds out. Its methods are called from the
// goroutine that feeds the tracker.
type Output interface {
	Event(e *message.ExerciseEvent)
	Summary(s *message.ExerciseSummary)
	// Notice says, with a code, what a person should know about the poses: a
	// clock set back, a restarted daemon, two daemons, a new person.
	Notice(code, text string)
}

// Config configures a Tracker.
type Config struct {
	Room string
	// Definitions to choose from; nil means the built-in ones.
	Definitions []*Definition
	// Exercises names what to look for, by activity ("A12") or name ("squat").
	// Empty means all definitions: the exercise is recognised. A repetition is
	// given to the definition whose requirements it meets; if there are
	// several, to the one whose signal moved most in relation to its target.
	Exercises []string
	// Goals are this person's targets, by activity or name.
	Goals map[string]Goal
	// Language of the sentences, one of Languages; "" is English.
	Language string
	// SetRestS is how long a rest may be in a set, seconds; 0 leaves it to the
	// definitions.
	SetRestS float64
	// CameraTiltDeg is how far the camera looks down; used for poses in the
	// camera frame only.
	CameraTiltDeg float64
}

// Tracker follows the exercises of one person in one room. It is driven by
// one goroutine.
type Tracker struct {
	cfg    Config
	out    Output
	runs   []*run
	follow follower
	filter filter
	seat   seat

	raw       []frame  // the newest accepted poses that wait for their smoothing
	track     []track  // smoothed poses, oldest first
	calibNS   int64    // when calibration was last tried
	busyNS    int64    // when a counter was last out
	seenNS    int64    // when the person was last seen
	figures   *Figures // of the model in use; nil until they are known
	lastPose  *message.Pose
	nowNS     int64
	wallOfNS  time.Time // wall time at nowNS
	set       *set
	waiting   *set      // of the other side, see setOf
	rivals    []attempt // complete repetitions outside the set
	small     []seen    // attempts outside a set that do not count
	coalition string
	phrases   *phrases
	still     map[Signal]float64 // range of a signal while the person stands still
}

// track is a smoothed pose with the raw one it came from.
type track struct {
	frame
	smooth Skeleton
}

// run is one definition at work.
type run struct {
	def    *Definition
	target float64 // of Count
	tempoS float64 // that a repetition is to take
	goal   Goal
	shown  float64 // share of the movement that the poses show, 0 if not known
	own    *counter
	other  *counter // the same movement of the other side; nil without sides, or if SideBy tells
	turns  turns
}

// scale is the person's target as a share of the definition's.
func (r *run) scale() float64 {
	c := r.def.Count
	return (r.target - c.Neutral) / (c.Target - c.Neutral)
}

// attempt is a complete repetition of a run that met its requirements.
type attempt struct {
	run  *run
	rep  *repetition
	wall time.Time
	side Side
}

// NewTracker returns a tracker; the error names the setting.
func NewTracker(cfg Config, out Output) (*Tracker, error) {
	if out == nil {
		return nil, errors.New("exercise tracker: no output given")
	}
	if cfg.Definitions == nil {
		defs, err := Definitions()
		if err != nil {
			return nil, err
		}
		cfg.Definitions = defs
	}
	wanted, err := cfg.choose()
	if err != nil {
		return nil, err
	}
	sentences, err := loadPhrases(cfg.Language)
	if err != nil {
		return nil, err
	}
	t := &Tracker{cfg: cfg, out: out, phrases: sentences, still: map[Signal]float64{}}
	t.follow.notice = out.Notice
	for _, d := range wanted {
		goal, err := t.cfg.goal(d)
		if err != nil {
			return nil, err
		}
		r := &run{def: d, target: d.Count.Target, tempoS: d.TempoS.Median, goal: goal, shown: 1}
		if goal.Range != 0 {
			r.target = goal.Range
		}
		if goal.TempoS != 0 {
			r.tempoS = goal.TempoS
		}
		t.reset(r)
		t.runs = append(t.runs, r)
	}
	return t, nil
}

// Pose takes the next pose. Poses without joints only let time pass.
func (t *Tracker) Pose(p *message.Pose) {
	for _, q := range t.follow.take(p) {
		t.pose(q)
	}
}

func (t *Tracker) pose(p stamped) {
	t.nowNS, t.wallOfNS = p.ns, p.wall
	t.lastPose, t.coalition = p.pose, p.pose.Coalition
	if s, ok := FromPose(p.pose, t.cfg.CameraTiltDeg); ok {
		fr, ok, another := t.filter.accept(p.ns, &s)
		if another {
			t.newPerson("the bones of the person have changed")
		}
		if ok {
			t.seenNS = p.ns
			t.smooth(fr)
		}
	}
	t.choose(false)
	if t.set != nil && (float64(t.nowNS-t.set.activeNS) > t.set.longestRestS()*1e9 || t.nowNS-t.seenNS > goneNS) {
		t.endSet()
	}
	if t.seenNS > 0 && t.nowNS-t.seenNS > goneNS { // who comes next may be somebody else
		t.filter, t.seat, t.seenNS = filter{}, seat{}, 0
		t.forget()
	}
	if t.nowNS-t.calibNS > recalibrate {
		t.calibNS = t.nowNS
		t.calibrate()
	}
}

// Stop ends the set that is going on, if any.
func (t *Tracker) Stop() {
	t.choose(true)
	if t.set != nil {
		t.endSet()
	}
}

// reset gives a run new counters.
func (t *Tracker) reset(r *run) {
	fresh := func() *counter {
		c := newCounter(r.def.TempoS.P10, r.def.TempoS.P90, t.restS(r.def))
		c.unsmoothed = r.def.quick()
		c.least = r.least()
		return c
	}
	r.own, r.other, r.turns = fresh(), nil, turns{}
	if r.def.OfSide != "" && len(r.def.SideBy) == 0 || r.def.Alternate {
		r.other = fresh()
	}
}

// restS is how long a rest in a set of the exercise may be, seconds.
func (t *Tracker) restS(d *Definition) float64 {
	if t.cfg.SetRestS > 0 {
		return t.cfg.SetRestS
	}
	return d.restS()
}

// smooth runs the counters on the centred mean of three poses, one pose late.
func (t *Tracker) smooth(fr frame) {
	if fr.gap {
		t.raw = t.raw[:0]
		for _, r := range t.runs {
			r.own.cut()
			if r.other != nil {
				r.other.cut()
			}
		}
	}
	t.raw = append(t.raw, fr)
	n := len(t.raw)
	if n < 3 {
		return
	}
	mid := track{frame: t.raw[n-2], smooth: mean3(&t.raw[n-3].raw, &t.raw[n-2].raw, &t.raw[n-1].raw)}
	t.raw = t.raw[:copy(t.raw, t.raw[n-2:])]
	t.track = append(t.track, mid)
	if m := len(t.track); m > 64 && t.track[m/2].ns < mid.ns-int64(trackKeepS*1e9) {
		t.track = t.track[:copy(t.track, t.track[m/2:])]
	}
	b := body{&mid.smooth, &t.filter.cal}
	if t.seat.look(b, mid.ns) {
		t.satDown()
	}
	for _, r := range t.runs {
		if t.seat.seated && r.def.ofLegs() {
			continue
		}
		t.feed(r, r.own, b, mid.ns, r.def.firstSide())
		if r.other != nil {
			t.feed(r, r.other, b, mid.ns, r.def.firstSide().Other())
		}
	}
	t.phase()
	t.live()
}

// feed gives one smoothed pose to one counter of a run.
func (t *Tracker) feed(r *run, c *counter, b body, ns int64, side Side) {
	share, ok := r.def.share(b, side)
	if !ok {
		c.invalid()
		return
	}
	if raw, ok := r.def.share(body{&t.track[len(t.track)-1].raw, b.cal}, side); ok {
		c.noisy(raw - share)
		if r.def.quick() {
			share = raw
		}
	}
	found := c.feed(ns, share)
	if c.busy() || len(found) > 0 {
		t.busyNS = t.nowNS
	}
	for _, s := range found {
		t.attempt(r, side, s)
	}
}

// attempt takes what a counter of a run saw.
func (t *Tracker) attempt(r *run, side Side, s seen) {
	p := t.spanOf(s.rep, side)
	if len(p.frames) == 0 {
		return
	}
	if len(r.def.SideBy) > 0 {
		if p.side = r.def.OfSide; p.ofOther(r.def.SideBy, r.shown) {
			p.side = p.side.Other()
		}
		side = p.side
	}
	counted := s.why == ""
	small := len(t.runs) == 1 && t.set != nil && s.rep.height < shallowShare*r.scale()*r.shown
	for _, need := range r.def.Needs {
		if (s.why == whyTooSmall || s.why == whyTooShort) && need.demands() {
			continue // a smaller movement of this kind
		}
		switch {
		case p.meets(need, t.accuracy(), len(t.runs) > 1, r.shown):
		case small && need.demands():
			s.why = whyTooSmall
		default:
			if counted {
				t.wrongExercise(r)
			}
			return
		}
	}
	if s.why != "" {
		t.incomplete(r, side, s)
		return
	}
	a := attempt{run: r, rep: s.rep, wall: t.wallAt(s.rep.endNS), side: side}
	if r.def.Alternate {
		for _, whole := range r.turns.take(a, t.restS(r.def)) {
			t.repetition(whole)
		}
		return
	}
	t.repetition(a)
}

// repetition takes one that meets the requirements of its exercise.
func (t *Tracker) repetition(a attempt) {
	r := a.run
	if a.side != r.def.OfSide && t.looksFor(r.def.Mirror) {
		return // its own definition counts it
	}
	if t.setOf(r) != nil {
		t.count(a)
		return
	}
	if a.side != r.def.OfSide && len(t.runs) > 1 {
		return // nobody asked for it
	}
	t.rivals = append(t.rivals, a)
}

// looksFor reports whether the definition of an activity is at work.
func (t *Tracker) looksFor(activity string) bool {
	return slices.ContainsFunc(t.runs, func(r *run) bool { return r.def.Activity == activity })
}

// spanOf returns the poses of a repetition.
func (t *Tracker) spanOf(rep *repetition, side Side) span {
	p := span{cal: &t.filter.cal, side: side}
	first := slices.IndexFunc(t.track, func(f track) bool { return f.ns >= rep.startNS })
	if first < 0 {
		return p
	}
	for i := first; i < len(t.track) && t.track[i].ns <= rep.endNS; i++ {
		if t.track[i].ns <= rep.leftNS {
			p.left = i - first
		}
		if t.track[i].ns <= rep.peakNS {
			p.peak = i - first
		}
		p.frames = t.track[first : i+1]
	}
	return p
}

// counters returns the counters of a run with the sides they are for.
func (r *run) counters() map[*counter]Side {
	m := map[*counter]Side{r.own: r.def.firstSide()}
	if r.other != nil {
		m[r.other] = r.def.firstSide().Other()
	}
	return m
}

// wallAt is the wall time of an instant of the tracker's clock.
func (t *Tracker) wallAt(ns int64) time.Time {
	return t.wallOfNS.Add(time.Duration(ns - t.nowNS))
}
