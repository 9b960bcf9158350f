package sim

import (
	"math"
	"slices"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

const (
	// mocapBlendS is the time over which one repetition goes over into the
	// next, both at the standing pose. It is longer if a joint would move
	// faster than mocapBlendMPS on the average.
	mocapBlendS   = 0.3
	mocapBlendMPS = 1.2
	// mocapMaxTempo bounds the factor on the duration of a recording.
	mocapMaxTempo = 0.2
	// mocapMinS is the shortest recording that is used, seconds.
	mocapMinS = 2.5 * mocapBlendS
	// mocapShortestS is mocapMinS at the highest tempo.
	mocapShortestS = mocapMinS / (1 - mocapMaxTempo)
	// mocapMaxScale bounds how much larger or smaller than recorded a body is
	// shown.
	mocapMaxScale = 0.15
)

// segment is a recording on the time axis of a clip.
type segment struct {
	take         *Take
	mirror       bool
	startS, endS float64
	blendS       float64 // from the segment before into this one
	anchor       Vec     // where the feet stand in the recording, after mirroring; y is 0
}

// MocapMotion is a clip of recorded movement. It is safe for concurrent use.
type MocapMotion struct {
	key      recording.Key
	subject  Subject
	body     recordedBody // scaled
	scale    float64
	at       stance
	sin, cos float64 // of the yaw
	frames   int
	segments []segment
	ends     []float64
	periodS  float64 // 0 if the movement comes to rest
	source   string
}

var _ Motion = (*MocapMotion)(nil)

// mirrorActivity is the activity with left and right exchanged; itself for
// symmetric ones.
func mirrorActivity(number int) int {
	for right, left := range mirrorOf {
		switch number {
		case right:
			return left
		case left:
			return right
		}
	}
	return number
}

// performance is what one person does in one clip.
type performance struct {
	takes  []*Take
	mirror bool
}

// performances lists what the library has for an activity: by person and
// movement, in the order of the index. The other side's recordings, mirrored,
// are used if there are none of this side.
func (l *MocapLibrary) performances(number int, label string) []performance {
	collect := func(number int, mirror bool) (out []performance) {
		for _, t := range l.takes {
			if t.Activity != number || t.Label != label || t.durationS() < mocapShortestS {
				continue
			}
			i := slices.IndexFunc(out, func(p performance) bool {
				return p.takes[0].Subject == t.Subject && p.takes[0].Movement == t.Movement
			})
			if i < 0 {
				i = len(out)
				out = append(out, performance{mirror: mirror})
			}
			out[i].takes = append(out[i].takes, t)
		}
		return out
	}
	own := collect(number, false)
	if other := mirrorActivity(number); len(own) == 0 && other != number {
		own = collect(other, true)
	}
	return own
}

// Motion returns a clip of recorded movement of the key's activity: the
// repetitions of one recorded person, each at up to 20 % other speed. It
// reports false if the library has none. The same seed and key always give
// the same clip of the same library.
func (l *MocapLibrary) Motion(seed uint64, key recording.Key, opt MotionOptions) (Motion, bool) {
	m, ok := l.motion(seed, key, opt)
	if !ok {
		return nil, false
	}
	return m, true
}

func (l *MocapLibrary) motion(seed uint64, key recording.Key, opt MotionOptions) (*MocapMotion, bool) {
	label := LabelCorrect
	if opt.Incorrect {
		label = LabelIncorrect
	}
	counted := true
	choices := l.performances(key.Activity, label)
	if len(choices) == 0 && (opt.Uncounted || l.uncounted) {
		counted = false
		choices = l.performances(key.Activity, "")
	}
	if len(choices) == 0 {
		return nil, false
	}
	s := NewStream(seed, "mocap", key.Subject, key.Activity)
	show := choices[s.Intn(len(choices))]

	m := &MocapMotion{key: key, scale: 1, at: stance{zM: standingDepthM}}
	recorded := l.bodies[show.takes[0].Subject]
	person := NewSubject(seed, key.Subject)
	if opt.Body != nil {
		person = *opt.Body
		person.ID = key.Subject
	}
	if !opt.RecordedSize {
		m.scale = min(max(person.HeightM/recorded.heightM, 1-mocapMaxScale), 1+mocapMaxScale)
	}
	m.body = recorded.scaled(m.scale)
	m.subject = m.body.subject(person)
	if !opt.Clean {
		h := newHabits(seed, key.Subject)
		m.at = h.sequenceStance(&s)
	}
	m.sin, m.cos = portableSincos(m.at.yawDeg * degree)

	alternate := activities[key.Activity].path == pathMarch
	m.source = mocapSource(show, alternate)
	m.arrange(&s, show, alternate, opt)
	if !counted {
		m.ends = nil
	}
	return m, true
}

func mocapSource(show performance, alternate bool) string {
	var files []string
	for _, t := range show.takes {
		if !slices.Contains(files, t.File) {
			files = append(files, t.File)
		}
	}
	source := "mocap"
	for i, f := range files {
		if i > 0 {
			source += ","
		}
		source += " " + f
	}
	switch {
	case alternate:
		source += " (every second one mirrored)"
	case show.mirror:
		source += " (mirrored)"
	}
	return source
}

// arrange puts the repetitions on the clip's time axis. If alternate is set,
// a repetition is a recording and the mirror image of another one.
func (m *MocapMotion) arrange(s *Stream, show performance, alternate bool, opt MotionOptions) {
	order := slices.Clone(show.takes)
	for i := len(order) - 1; i > 0; i-- {
		j := s.Intn(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	tempo := s.Uniform(-0.6, 0.6)
	perRepetition := 1
	if alternate {
		perRepetition = 2
	}
	m.frames = opt.Frames
	if m.frames == 0 && opt.Repetitions == 0 {
		m.frames = mmfi.FramesPerClip
	}
	var ends []float64
	for n := 0; ; n++ {
		if opt.Repetitions > 0 && n == opt.Repetitions*perRepetition ||
			opt.Repetitions == 0 && n%perRepetition == 0 && n > 0 && m.segments[n-1].startS > m.DurationS()+swayMarginS {
			break
		}
		take := order[n%len(order)]
		variation := s.Uniform(-0.4, 0.4)
		factor := 1 + float64(mocapMaxTempo*(tempo+variation))
		if opt.Clean {
			factor = 1
		}
		seg := segment{
			take: take, mirror: show.mirror != (alternate && n%2 == 1),
			endS: float64(take.durationS() * factor),
		}
		seg.anchor = anchorOf(take, seg.mirror)
		if n > 0 {
			m.join(&m.segments[n-1], &seg)
			if n%perRepetition == 0 {
				ends = append(ends, seg.startS+float64(seg.blendS/2))
			}
		}
		m.segments = append(m.segments, seg)
	}
	last := m.segments[len(m.segments)-1]
	if opt.Repetitions > 0 {
		ends = append(ends, last.endS)
		if m.frames == 0 {
			m.frames = framesUntil(last.endS)
		}
	} else {
		// The clip starts as if it had gone on from its own end.
		first := m.segments[0]
		m.join(&last, &first)
		m.periodS = first.startS
		m.segments[0].blendS = first.blendS
		last.startS -= m.periodS
		last.endS -= m.periodS
		m.segments = slices.Insert(m.segments, 0, last)
	}
	for _, end := range ends {
		if end <= m.DurationS() {
			m.ends = append(m.ends, end)
		}
	}
}

// join moves next, which starts at 0, to where it takes over from previous.
func (m *MocapMotion) join(previous, next *segment) {
	length := next.endS - next.startS
	from, to := previous.sample(previous.endS), next.sample(next.startS)
	apart := 0.0
	for j := range from {
		apart = max(apart, m.scale*vecLength(vecSub(from[j], to[j])))
	}
	longest := 0.4 * min(previous.endS-previous.startS, length)
	next.blendS = min(max(mocapBlendS, apart/mocapBlendMPS), max(mocapBlendS, longest))
	next.startS = previous.endS - next.blendS
	next.endS = next.startS + length
}

// anchorOf returns the middle between the feet at the start and at the end of
// a recording.
func anchorOf(t *Take, mirror bool) Vec {
	var sum Vec
	for _, i := range [2]int{0, t.Len() - 1} {
		sk := t.raw(i)
		sum = vecAdd(sum, vecAdd(sk[3], sk[6]))
	}
	sum = vecScale(sum, 0.25)
	sum[1] = 0
	if mirror {
		sum[0] = -sum[0]
	}
	return sum
}

// Key implements Motion.
func (m *MocapMotion) Key() recording.Key { return m.key }

// Subject implements Motion.
func (m *MocapMotion) Subject() Subject { return m.subject }

// Source implements Motion.
func (m *MocapMotion) Source() string { return m.source }

// Repetitions implements Motion. The slice belongs to the caller. A clip of
// recordings whose repetitions nobody has counted has none.
func (m *MocapMotion) Repetitions() []float64 { return slices.Clone(m.ends) }

// Frames returns the length of the clip, frames of 0.1 s.
func (m *MocapMotion) Frames() int { return m.frames }

// DurationS returns the time of the clip's last frame, seconds.
func (m *MocapMotion) DurationS() float64 { return float64(float64(m.frames-1) * frameS) }

// At implements Motion. Beyond its end a clip goes on without a jump, with
// the same repetitions again; one with a fixed number of repetitions stops.
func (m *MocapMotion) At(tS float64) Skeleton {
	if m.periodS > 0 && tS >= m.periodS {
		tS = math.Mod(tS, m.periodS)
	}
	i := m.segmentAt(tS)
	seg := &m.segments[i]
	sk := seg.sample(tS)
	if i > 0 && tS < seg.startS+seg.blendS {
		previous := m.segments[i-1].sample(tS)
		w := smoothStep((tS - seg.startS) / seg.blendS)
		for j := range sk {
			sk[j] = vecLerp(previous[j], sk[j], w)
		}
	}
	for j := range sk {
		sk[j] = vecScale(sk[j], m.scale)
	}
	m.body.fit(&sk)
	for j, v := range sk {
		// The person faces -z here, so that turning left is towards +x.
		x := float64(v[0]*m.cos) - float64(v[2]*m.sin)
		z := float64(v[2]*m.cos) + float64(v[0]*m.sin)
		sk[j] = Vec{m.at.xM + x, v[1], m.at.zM + z}
	}
	return sk
}

// segmentAt returns the last segment that has started at tS, or the first.
func (m *MocapMotion) segmentAt(tS float64) int {
	lo, hi := 0, len(m.segments)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; m.segments[mid].startS <= tS {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// sample returns the joints at time tS, held at both ends: a cubic through the
// recorded frames.
func (s *segment) sample(tS float64) Skeleton {
	n := s.take.Len()
	x := (tS - s.startS) / (s.endS - s.startS) * float64(n-1)
	x = min(max(x, 0), float64(n-1))
	i := min(int(x), n-2)
	u := x - float64(i)
	wa, wb, wc, wd := cubicWeights(u)
	a, b := &s.take.frames[max(i-1, 0)], &s.take.frames[i]
	c, d := &s.take.frames[i+1], &s.take.frames[min(i+2, n-1)]
	var sk Skeleton
	for j := range sk {
		for k := range sk[j] {
			sk[j][k] = float64(wa*float64(a[j][k])) + float64(wb*float64(b[j][k])) +
				float64(wc*float64(c[j][k])) + float64(wd*float64(d[j][k]))
		}
		sk[j][1] = -sk[j][1]
	}
	if s.mirror {
		sk = sk.mirrored()
	}
	for j := range sk {
		sk[j] = vecSub(sk[j], s.anchor)
	}
	return sk
}
