package sim

import (
	"math"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// MotionOptions changes how a motion is made. The zero value gives a clip like
// those of MM-Fi.
type MotionOptions struct {
	// Frames is the length of the clip, frames of 0.1 s. 0 means 297 or, if
	// Repetitions is set, as long as those take.
	Frames int
	// Repetitions is how many repetitions to do before standing still in the
	// activity's first pose; 0 means as many as the clip holds.
	Repetitions int
	// Clean leaves out everything that differs between people and repetitions
	// but the body itself: sway, style, standing place, amplitude, tempo.
	Clean bool
	// Amplitude is how far towards the drawn key pose the movement goes, 1
	// being all the way; 0 means the subject's own, or 1 if Clean.
	Amplitude float64
	// RepetitionS is the length of a repetition before its variation, seconds;
	// 0 means drawn from the real distribution, or its median if Clean.
	RepetitionS float64
	// ThrowNearArm makes A20 (toward the left) a throw with the left arm and
	// A21 with the right one. The names do not say; by default the throw
	// crosses the body.
	ThrowNearArm bool
	// RecordedSize, for recorded movement only, shows the recorded person at
	// their own size; by default they are scaled to the subject's height.
	RecordedSize bool
	// Incorrect, for recorded movement only, takes performances with mistakes.
	Incorrect bool
	// Uncounted, for recorded movement only, allows recordings with an unknown
	// number of repetitions where there are no others.
	Uncounted bool
	// Body replaces the drawn body, for example with a recorded person's. Its
	// ID is ignored.
	Body *Subject
}

// Quiet standing before and after the repetitions of a set, and the time to
// get into the activity's first pose.
const (
	setLeadS       = 2.5
	setTailS       = 2
	setTransitionS = 0.6
)

// ProceduralMotion is a movement computed from key poses. It is safe for
// concurrent use.
type ProceduralMotion struct {
	key     recording.Key
	subject Subject
	figure  figure
	act     *activity
	frames  int
	reps    []repetition // in order of time, covering more than the clip unless it is a set
	ends    []float64
	usual   float64 // amplitude of the sequence
	style   pose
	sway    *sway // nil if clean

	// periodS is when the movement starts over, for those who look beyond the
	// clip; 0 if it comes to rest.
	periodS float64

	// A set stands still until startS and after endS, apart from the
	// transition, whose length is 0 if the activity starts from standing.
	set                       bool
	startS, endS, transitionS float64
}

var _ Motion = (*ProceduralMotion)(nil)

// NewProcedural returns the movement of one clip from the key poses and
// timing of simulator.md 2. It panics if the activity is not 1 to 27.
func NewProcedural(seed uint64, key recording.Key, opt MotionOptions) *ProceduralMotion {
	m, r := newProcedural(seed, key, opt)
	if opt.Repetitions > 0 {
		m.repeat(r, 0, opt.Repetitions)
		m.frames = opt.Frames
		if m.frames == 0 {
			m.frames = framesUntil(m.reps[len(m.reps)-1].endS)
		}
	} else {
		m.frames = opt.Frames
		if m.frames == 0 {
			m.frames = mmfi.FramesPerClip
		}
		before := *r
		before.stream = NewStream(seed, "repetition before", key.Subject, key.Activity)
		rep := before.next(0)
		rep.startS, rep.endS = -rep.endS, 0
		m.reps = append(m.reps, rep)
		for end := 0.0; end < m.DurationS()+swayMarginS; end = m.reps[len(m.reps)-1].endS {
			m.reps = append(m.reps, r.next(end))
		}
		m.periodS = m.reps[len(m.reps)-1].endS
	}
	m.finish(seed, opt)
	return m
}

// NewSet returns a set of an exercise: quiet standing for 2.5 s, exactly reps
// repetitions, quiet standing for 2 s. Activities that do not start from
// standing have a transition of 0.6 s before and after the repetitions.
// Frames and Repetitions of opt are ignored. It panics if the activity is not
// 1 to 27.
func NewSet(seed uint64, key recording.Key, reps int, opt MotionOptions) *ProceduralMotion {
	m, r := newProcedural(seed, key, opt)
	m.set = true
	m.startS = setLeadS
	if m.act.rest != standingPose {
		m.transitionS = setTransitionS
		m.startS += setTransitionS
	}
	m.endS = m.startS
	m.repeat(r, m.startS, reps)
	if reps > 0 {
		m.endS = m.reps[reps-1].endS
	}
	m.frames = framesUntil(m.endS + m.transitionS + setTailS)
	m.finish(seed, opt)
	return m
}

// framesUntil returns how many frames a clip needs to reach the time tS.
func framesUntil(tS float64) int { return int(math.Ceil(tS/frameS-1e-9)) + 1 }

// newProcedural makes what does not depend on the clip's length, and the
// source of its repetitions.
func newProcedural(seed uint64, key recording.Key, opt MotionOptions) (*ProceduralMotion, *rhythm) {
	number := key.Activity
	if opt.ThrowNearArm && (number == 20 || number == 21) {
		number = 41 - number
	}
	m := &ProceduralMotion{key: key, act: &activities[number]}
	m.subject = NewSubject(seed, key.Subject)
	if opt.Body != nil {
		m.subject = *opt.Body
		m.subject.ID = key.Subject
	}

	r := &rhythm{
		stream:    NewStream(seed, "repetitions", key.Subject, key.Activity),
		sigma:     m.act.tempo.sigma(),
		amplitude: 1,
		lengthS:   m.act.tempo.median * frameS,
		maxHold:   m.act.maxHold(),
		steady:    opt.Clean,
	}
	at := stance{zM: standingDepthM}
	if !opt.Clean {
		h := newHabits(seed, key.Subject)
		s := NewStream(seed, "sequence", key.Subject, key.Activity)
		at = h.sequenceStance(&s)
		m.style = h.style
		r.amplitude = h.amplitude
		r.lengthS *= portableExp(tempoBetween*r.sigma*boundedNorm(&s)) * sqrt(h.tempo)
	}
	if opt.Amplitude > 0 {
		r.amplitude = opt.Amplitude
	}
	m.usual = r.amplitude
	if opt.RepetitionS > 0 {
		r.lengthS = opt.RepetitionS
	}
	m.figure = newFigure(&m.subject, at)
	return m, r
}

// repeat adds n repetitions from time startS.
func (m *ProceduralMotion) repeat(r *rhythm, startS float64, n int) {
	for range n {
		rep := r.next(startS)
		m.reps = append(m.reps, rep)
		startS = rep.endS
	}
}

// finish adds what depends on the clip's length.
func (m *ProceduralMotion) finish(seed uint64, opt MotionOptions) {
	for _, rep := range m.reps {
		if rep.startS >= 0 && rep.endS <= m.DurationS() {
			m.ends = append(m.ends, rep.endS)
		}
	}
	if !opt.Clean {
		w := newSway(NewStream(seed, "sway", m.key.Subject, m.key.Activity), max(m.DurationS(), m.periodS), m.periodS)
		m.sway = &w
	}
}

// Key implements Motion.
func (m *ProceduralMotion) Key() recording.Key { return m.key }

// Subject implements Motion.
func (m *ProceduralMotion) Subject() Subject { return m.subject }

// Source implements Motion.
func (m *ProceduralMotion) Source() string { return "procedural" }

// Repetitions implements Motion. The slice belongs to the caller.
func (m *ProceduralMotion) Repetitions() []float64 { return append([]float64(nil), m.ends...) }

// Frames returns the length of the clip, frames of 0.1 s.
func (m *ProceduralMotion) Frames() int { return m.frames }

// DurationS returns the time of the clip's last frame, seconds.
func (m *ProceduralMotion) DurationS() float64 { return float64(float64(m.frames-1) * frameS) }

// At implements Motion. Beyond its end a clip goes on without a jump, with
// the same repetitions again; a set or a clip with a fixed number of
// repetitions comes to rest.
func (m *ProceduralMotion) At(tS float64) Skeleton {
	if m.periodS > 0 && tS >= m.periodS {
		tS = math.Mod(tS, m.periodS)
	}
	p := standingPose
	if rep := m.repetitionAt(tS); rep != nil {
		m.act.posture(rep.share(tS, m.act.phaseOffset()), m.usual, rep.amplitude, &p)
		if m.set {
			m.settle(tS, &p)
		}
	}
	for i := range p {
		p[i] += m.style[i]
	}
	if m.sway != nil {
		m.sway.add(tS, &p)
	}
	return m.figure.skeleton(&p)
}

// repetitionAt returns the last repetition that has started at tS, or the
// first one; nil if there is none.
func (m *ProceduralMotion) repetitionAt(tS float64) *repetition {
	if len(m.reps) == 0 {
		return nil
	}
	lo, hi := 0, len(m.reps)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; m.reps[mid].startS <= tS {
			lo = mid
		} else {
			hi = mid
		}
	}
	return &m.reps[lo]
}

// settle blends p with standing before and after the repetitions of a set.
func (m *ProceduralMotion) settle(tS float64, p *pose) {
	if m.transitionS == 0 || tS >= m.startS && tS <= m.endS {
		return
	}
	away := max(m.startS-tS, tS-m.endS) / m.transitionS
	w := smoothStep(1 - away)
	for i := range p {
		p[i] = standingPose[i] + float64(w*(p[i]-standingPose[i]))
	}
}
