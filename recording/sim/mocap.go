package sim

import "slices"

// Labels of a recorded performance.
const (
	LabelCorrect   = "correct"
	LabelIncorrect = "incorrect" // acted by a healthy person
)

// Take is one recorded performance: a single repetition if it is labelled,
// otherwise a clip with an unknown number of them.
type Take struct {
	File     string // relative to the library's folder
	Subject  string // the recorded person, e.g. "s01"
	Movement string // e.g. "deep squat"
	Label    string // LabelCorrect, LabelIncorrect or empty
	Rep      int    // number of the repetition or clip in its file
	Activity int    // nearest of the 27 activities, 0 if none is near
	FPS      float64

	frames [][17][3]float32 // x to the person's left, y down from the floor, z away from the sensors
}

// Len returns the number of frames.
func (t *Take) Len() int { return len(t.frames) }

// Frame returns the recorded joints of frame i, 0-based, at the usual standing
// place in the room frame. Bones of a recording change their length by a few
// per cent.
func (t *Take) Frame(i int) Skeleton {
	sk := t.raw(i)
	for j := range sk {
		sk[j][2] += standingDepthM
	}
	return sk
}

// raw returns frame i with y up; the pelvis of the first frame is at x = z = 0.
func (t *Take) raw(i int) Skeleton {
	var sk Skeleton
	for j, v := range t.frames[i] {
		sk[j] = Vec{float64(v[0]), -float64(v[1]), float64(v[2])}
	}
	return sk
}

// durationS returns the time from the first to the last frame, seconds.
func (t *Take) durationS() float64 { return float64(t.Len()-1) / t.FPS }

// MocapLibrary holds recorded human motion. It is safe for concurrent use.
type MocapLibrary struct {
	takes     []*Take
	bodies    map[string]recordedBody // by subject, of all subjects of the folder
	uncounted bool                    // of no recording is it known how many repetitions it holds
}

// NewMocapLibrary makes a library of recordings.
func NewMocapLibrary(takes ...*Take) *MocapLibrary {
	l := &MocapLibrary{takes: slices.Clone(takes), bodies: map[string]recordedBody{}}
	bySubject := map[string][]*Take{}
	for _, t := range takes {
		bySubject[t.Subject] = append(bySubject[t.Subject], t)
	}
	for subject, own := range bySubject {
		l.bodies[subject] = measureBody(own)
	}
	return l
}

// Only returns the part of the library that was recorded of the given
// subjects, so that training and test data never share a person.
func (l *MocapLibrary) Only(subjects ...string) *MocapLibrary {
	part := &MocapLibrary{bodies: l.bodies, uncounted: l.uncounted}
	for _, t := range l.takes {
		if slices.Contains(subjects, t.Subject) {
			part.takes = append(part.takes, t)
		}
	}
	return part
}

// Subjects lists the recorded people, sorted.
func (l *MocapLibrary) Subjects() []string {
	var names []string
	for _, t := range l.takes {
		if !slices.Contains(names, t.Subject) {
			names = append(names, t.Subject)
		}
	}
	slices.Sort(names)
	return names
}

// Body returns the size of a recorded person, for procedural movement of a
// real body. Sex and girth are not recorded and left at male and 1.
func (l *MocapLibrary) Body(subject string) (Subject, bool) {
	b, ok := l.bodies[subject]
	if !ok || !slices.Contains(l.Subjects(), subject) {
		return Subject{}, false
	}
	return b.subject(Subject{Girth: 1}), true
}

// Takes lists the recordings in the order of the index.
func (l *MocapLibrary) Takes() []*Take { return slices.Clone(l.takes) }

// plausiblePosition reports whether a coordinate, metres, can belong to a
// person in a room. NaN cannot.
func plausiblePosition(v float64) bool { return v > -100 && v < 100 }
