package exercise

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posefuse/message"
)

const (
	setRestS        = 4.0        // of rest end a set
	chooseNS        = int64(3e8) // rivals are compared this long before a set starts
	switchReps      = 2          // repetitions of another exercise that end a set
	recalibrate     = int64(5e8) // between looks for quiet standing
	maxNeutralShare = 0.35       // of base..target that calibration may move neutral
	trackKeepS      = 30.0       // poses kept to judge repetitions
)

// Output receives what a Tracker finds out. Its methods are called from the
// goroutine that feeds the tracker.
type Output interface {
	Event(e *message.ExerciseEvent)
	Summary(s *message.ExerciseSummary)
}

// Config configures a Tracker.
type Config struct {
	Room string
	// Definitions to choose from; nil means the built-in ones.
	Definitions []*Definition
	// Exercises names the activities to look for, e.g. "A12". Empty means all
	// loaded ones: the exercise is recognised. A repetition is given to the
	// definition whose requirements it meets; if there are several, to the one
	// whose signal moved most in relation to its target.
	Exercises []string
	// Targets replaces the target of an activity's counting signal for this
	// person, in the signal's unit.
	Targets map[string]float64
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
	filter filter

	raw       []frame // the newest accepted poses that wait for their smoothing
	track     []track // smoothed poses, oldest first
	calibNS   int64   // when calibration was last tried
	busyNS    int64   // when a counter was last out
	estimated bool    // the poses are estimates
	lastPose  *message.Pose
	nowNS     int64
	wallOfNS  time.Time // wall time at nowNS
	set       *set
	rivals    []attempt // complete repetitions outside the set
	coalition string
}

// track is a smoothed pose with the raw one it came from.
type track struct {
	frame
	smooth Skeleton
}

// run is one definition at work.
type run struct {
	def    *Definition
	target float64
	own    *counter
	other  *counter // the same movement of the other side; nil without sides
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
	byActivity := map[string]*Definition{}
	var known []string
	for _, d := range cfg.Definitions {
		byActivity[d.Activity] = d
		known = append(known, d.Activity)
	}
	wanted := cfg.Exercises
	if len(wanted) == 0 {
		wanted = known
	}
	t := &Tracker{cfg: cfg, out: out}
	for a := range cfg.Targets {
		if byActivity[a] == nil {
			return nil, fmt.Errorf("exercise targets: no exercise %q, known are %s", a, strings.Join(known, ", "))
		}
	}
	for _, a := range wanted {
		d := byActivity[a]
		if d == nil {
			return nil, fmt.Errorf("exercises: no exercise %q, known are %s", a, strings.Join(known, ", "))
		}
		if slices.ContainsFunc(t.runs, func(r *run) bool { return r.def == d }) {
			return nil, fmt.Errorf("exercises: %q is listed twice", a)
		}
		target := d.Count.Target
		if v, ok := cfg.Targets[a]; ok {
			if (v-d.Count.Neutral)*(target-d.Count.Neutral) <= 0 {
				return nil, fmt.Errorf("exercise targets: %s: target %v is not beyond neutral %v", a, v, d.Count.Neutral)
			}
			target = v
		}
		r := &run{def: d, target: target}
		r.reset(false)
		t.runs = append(t.runs, r)
	}
	return t, nil
}

// Pose takes the next pose. Poses without joints only let time pass.
func (t *Tracker) Pose(p *message.Pose) {
	if p.CaptureNS <= t.nowNS && t.nowNS-p.CaptureNS < int64(10*time.Second) {
		return // a duplicate or reordered message
	}
	if p.CaptureNS < t.nowNS {
		t.restart() // the daemon's clock started over
	}
	t.nowNS = p.CaptureNS
	if w, err := time.Parse(time.RFC3339Nano, p.CaptureTime); err == nil {
		t.wallOfNS = w
	} else {
		t.wallOfNS = time.Unix(0, p.CaptureNS)
	}
	if estimated := p.Coalition != ""; estimated != t.estimated {
		t.restart()
		t.estimated, t.nowNS = estimated, p.CaptureNS
	}
	t.lastPose, t.coalition = p, p.Coalition
	if s, ok := FromPose(p, t.cfg.CameraTiltDeg); ok {
		if fr, ok := t.filter.accept(p.CaptureNS, &s); ok {
			t.smooth(fr)
		}
	}
	t.choose(false)
	if t.set != nil && float64(t.nowNS-t.set.activeNS) > setRestS*1e9 {
		t.endSet()
	}
	if t.set == nil && t.nowNS-t.calibNS > recalibrate {
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

func (t *Tracker) restart() {
	t.Stop()
	t.filter = filter{}
	t.raw, t.track, t.rivals, t.nowNS = nil, nil, nil, 0
	t.calibNS, t.busyNS = 0, 0
	for _, r := range t.runs {
		r.reset(t.estimated)
	}
}

// reset gives a run new counters, for estimated or for measured poses.
func (r *run) reset(estimated bool) {
	fresh := func() *counter {
		if estimated {
			return newSwingCounter(r.def.TempoS.P10, r.def.TempoS.P90)
		}
		return newCounter(r.def.Count.Neutral, r.target, r.def.TempoS.P10, r.def.TempoS.P90)
	}
	r.own = fresh()
	if r.def.OfSide != "" {
		r.other = fresh()
	}
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
	for _, r := range t.runs {
		t.feed(r, r.own, b, mid.ns, r.def.OfSide)
		if r.other != nil {
			t.feed(r, r.other, b, mid.ns, r.def.OfSide.Other())
		}
	}
	t.phase()
}

// feed gives one smoothed pose to one counter of a run.
func (t *Tracker) feed(r *run, c *counter, b body, ns int64, side Side) {
	if t.estimated {
		t.feedEstimate(r, c, b, ns, side)
		return
	}
	v, ok := r.def.Count.value(b, side)
	if !ok {
		c.invalid()
		return
	}
	verdict, rep := c.feed(ns, v)
	if c.out || verdict != nothing {
		t.busyNS = t.nowNS
	}
	if verdict == nothing {
		return
	}
	t.attempt(r, side, verdict, &rep, c.last)
}

// attempt takes what a counter of a run saw; kept is the repetition whose end
// may still move.
func (t *Tracker) attempt(r *run, side Side, verdict outcome, rep, kept *repetition) {
	p := t.spanOf(rep, side)
	if len(p.frames) == 0 {
		return
	}
	for _, need := range r.def.Needs {
		if !p.meets(need, t.coalition, len(t.runs) > 1) {
			if verdict == complete {
				t.wrongExercise(r)
			}
			return
		}
	}
	if verdict == incomplete {
		t.incomplete(r, side)
		return
	}
	a := attempt{run: r, rep: kept, wall: t.wallAt(rep.endNS), side: side}
	if t.set != nil && t.set.run == r {
		t.rivals = t.rivals[:0]
		t.count(a)
		return
	}
	if side != r.def.OfSide && len(t.runs) > 1 {
		return // its own definition is loaded, or nobody asked for it
	}
	t.rivals = append(t.rivals, a)
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

// choose starts a set when a repetition was done outside one, or ends one when
// another exercise took over.
func (t *Tracker) choose(now bool) {
	if len(t.rivals) == 0 {
		return
	}
	if t.set != nil {
		for _, r := range t.runs {
			n := 0
			for _, a := range t.rivals {
				if a.run == r && a.rep.startNS > t.set.activeNS-int64(setRestS*1e9) {
					n++
				}
			}
			if n < switchReps || r == t.set.run || t.set.run.own.out {
				continue
			}
			reps := t.take(r)
			t.endSet()
			t.startSet(reps)
			return
		}
		return
	}
	wait := chooseNS
	if len(t.runs) == 1 || now {
		wait = 0
	}
	if t.nowNS-t.rivals[0].rep.endNS < wait {
		return
	}
	best := t.rivals[0]
	for _, a := range t.rivals[1:] {
		if a.rep.height > best.rep.height {
			best = a
		}
	}
	t.startSet(t.take(best.run))
}

// take removes all rivals and returns those of one run.
func (t *Tracker) take(r *run) []attempt {
	reps := slices.DeleteFunc(slices.Clone(t.rivals), func(a attempt) bool { return a.run != r })
	t.rivals = t.rivals[:0]
	return reps
}

// calibrate takes the neutral values from quiet standing between sets.
func (t *Tracker) calibrate() {
	old := t.filter.cal
	if float64(t.nowNS-t.busyNS) < calibrationS*1e9 && t.busyNS > 0 || !t.filter.calibrate() {
		return
	}
	if t.estimated { // a swing has no neutral value
		t.recalibrated(&old)
		return
	}
	for _, r := range t.runs {
		r.own.setNeutral(t.neutral(r, r.def.OfSide))
		if r.other != nil {
			r.other.setNeutral(t.neutral(r, r.def.OfSide.Other()))
		}
	}
}

// neutral is the standing value of a run's signal. Somebody who stands quietly
// in the start position of another exercise must not spoil it, hence the limit.
func (t *Tracker) neutral(r *run, side Side) float64 {
	def := r.def.Count.Neutral
	v, ok := r.def.Count.value(body{&t.filter.cal.neutral, &t.filter.cal}, side)
	if !ok {
		return def
	}
	share := (v - def) / (r.target - def)
	return def + min(max(share, -maxNeutralShare), maxNeutralShare)*(r.target-def)
}

func (t *Tracker) wallAt(ns int64) time.Time {
	return t.wallOfNS.Add(time.Duration(ns - t.nowNS))
}
