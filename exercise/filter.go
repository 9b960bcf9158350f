package exercise

import (
	"math"

	"posefuse/skeleton"
)

const (
	maxSpeedMS      = 8.0  // no joint of a person who exercises is faster
	boneTolerance   = 0.25 // a bone may be off by this share
	maxBonesOff     = 5    // of 16, before the whole pose is rejected
	gapS            = 0.5  // a longer time step is a gap
	calibrationS    = 2.0  // of quiet standing
	maxStandLeanDeg = 20   // standing people lean and bend less
	maxStandKneeDeg = 50
	maxRejected     = 5    // rejected poses in a row before the new place is believed
	strangerS       = 1.5  // of poses with another person's bones: a new person; passers-by are in view for less
	personTolerance = 0.07 // of the body's size: another person stands here
)

// calibration is what quiet standing tells about a person.
type calibration struct {
	lengths  [skeleton.NumBones]float64 // metres; 0 = not known
	standing bool                       // neutral holds a standing pose
	neutral  Skeleton
	place    vec // of the pelvis when the person was first seen, until neutral is known
	// first is as if the first pose had been of standing, nil once somebody stood:
	// how far a signal rises and falls needs no zero.
	first *calibration
}

// length returns the calibrated length of the bone between two joints, 0 if
// they are not joined or it is not known.
func (c *calibration) length(a, b int) float64 {
	for i, s := range skeleton.Bones {
		if s.Parent == a && s.Child == b || s.Parent == b && s.Child == a {
			return c.lengths[i]
		}
	}
	return 0
}

// legLengthM is thigh plus shank, metres; an average adult's until measured.
func (c *calibration) legLengthM() float64 {
	l := (c.length(jRHip, jRKnee) + c.length(jRKnee, jRAnkle) + c.length(jLHip, jLKnee) + c.length(jLKnee, jLAnkle)) / 2
	if l < 0.3 {
		return 0.83
	}
	return l
}

func lengthsOf(s *Skeleton) [skeleton.NumBones]float64 {
	return skeleton.LengthsOf((*skeleton.Pose)(s))
}

// frame is one accepted pose.
type frame struct {
	ns  int64
	raw Skeleton
	gap bool // a gap lies before it
}

// filter rejects impossible poses, smooths, and calibrates.
type filter struct {
	cal       calibration
	prev      frame
	havePrev  bool
	rejected  int
	recent    []frame // the newest poses, oldest first, calibrationS long
	measuring int     // poses averaged for the first estimate of bone lengths
	strangers []frame // poses in a row with the bones of somebody else
}

// accept takes a pose; ok is false if it is rejected. Another says that it is
// the newest of a row that somebody else must have made: the filter has then
// forgotten the person before and knows the new one's poses.
func (f *filter) accept(ns int64, s *Skeleton) (fr frame, ok, another bool) {
	fr = frame{ns: ns, raw: *s}
	if f.havePrev {
		dt := float64(ns-f.prev.ns) / 1e9
		if dt <= 0 {
			return fr, false, false
		}
		fr.gap = dt > gapS
		if f.notHim(s) {
			if f.stranger(fr) {
				recent := f.strangers
				*f = filter{}
				for _, r := range recent {
					f.keep(r)
				}
				return fr, true, true
			}
			return fr, false, false
		}
		if !fr.gap && f.rejected < maxRejected && f.tooFast(s, dt) {
			f.rejected++
			return fr, false, false
		}
	}
	f.strangers = f.strangers[:0]
	f.rejected = 0
	f.keep(fr)
	return fr, true, false
}

// keep remembers an accepted pose.
func (f *filter) keep(fr frame) {
	if !f.havePrev {
		f.cal.place = fr.raw.pelvis()
		f.cal.first = &calibration{standing: true, neutral: fr.raw, place: f.cal.place}
	}
	f.prev, f.havePrev = fr, true
	if fr.gap {
		f.recent = f.recent[:0]
	}
	f.learnLengths(&fr.raw)
	f.recent = append(f.recent, fr)
	old := 0
	for f.recent[old].ns < fr.ns-int64(calibrationS*1e9) {
		old++
	}
	f.recent = f.recent[:copy(f.recent, f.recent[old:])]
}

// stranger takes a pose with somebody else's bones and reports whether there
// were enough of them in a row.
func (f *filter) stranger(fr frame) bool {
	if n := len(f.strangers); n > 0 && fr.ns-f.strangers[n-1].ns > int64(gapS*1e9) {
		f.strangers = f.strangers[:0]
	}
	fr.gap = len(f.strangers) == 0
	f.strangers = append(f.strangers, fr)
	return float64(fr.ns-f.strangers[0].ns) >= strangerS*1e9
}

// tooFast reports whether a joint moved as no person's does.
func (f *filter) tooFast(s *Skeleton, dt float64) bool {
	for j := range s {
		if s.at(j).sub(f.prev.raw.at(j)).norm()/dt > maxSpeedMS {
			return true
		}
	}
	return false
}

// notHim reports whether the pose's bones are not those of the person that is
// known. One noisy joint spoils the angles it belongs to (see body.seg); many
// wrong bones at once are another person or no person.
func (f *filter) notHim(s *Skeleton) bool {
	if !f.cal.standing {
		return false
	}
	off := 0
	for i, l := range lengthsOf(s) {
		if c := f.cal.lengths[i]; c > 0 && math.Abs(l-c) > max(boneTolerance*c, 0.1) {
			off++
		}
	}
	return off > maxBonesOff
}

// learnLengths keeps a running mean of bone lengths until calibration.
func (f *filter) learnLengths(s *Skeleton) {
	if f.cal.standing || f.measuring >= 50 {
		return
	}
	lengths := lengthsOf(s)
	for _, l := range lengths {
		if math.IsNaN(l) {
			return
		}
	}
	f.measuring++
	for i, l := range lengths {
		f.cal.lengths[i] += (l - f.cal.lengths[i]) / float64(f.measuring)
	}
	f.cal.first.lengths = f.cal.lengths
}

// standing looks for quiet standing in the newest poses and returns what it
// tells about the person, ok false if there is none.
func (f *filter) standing() (cal calibration, ok bool) {
	n := len(f.recent)
	if n < 10 || float64(f.recent[n-1].ns-f.recent[0].ns) < 0.9*calibrationS*1e9 {
		return cal, false
	}
	var mean, first, second Skeleton
	for i := range f.recent {
		for j := range mean {
			for k := range 3 {
				v := f.recent[i].raw[j][k]
				mean[j][k] += v / float64(n)
				if i < n/2 {
					first[j][k] += v / float64(n/2)
				} else {
					second[j][k] += v / float64(n-n/2)
				}
			}
		}
	}
	for j := range mean {
		var square float64
		for i := range f.recent {
			d := f.recent[i].raw.at(j).sub(mean.at(j))
			square += d.dot(d) / float64(n)
		}
		// Pose noise spreads the joints, movement also moves their mean.
		if !(math.Sqrt(square) <= 0.09 && first.at(j).sub(second.at(j)).norm() <= 0.07) {
			return cal, false
		}
	}
	b := body{&mean, &calibration{}}
	lean, ok := b.trunkLean()
	if !ok || lean > maxStandLeanDeg {
		return cal, false
	}
	for _, side := range []Side{Left, Right} {
		if knee, ok := b.kneeFlexion(side); !ok || knee > maxStandKneeDeg {
			return cal, false
		}
	}
	return calibration{lengths: lengthsOf(&mean), standing: true, neutral: mean, place: mean.pelvis()}, true
}

// maxUprightKneeDeg is less than the knees of a held exercise are bent.
const maxUprightKneeDeg = 25

// upright reports whether the legs are straight: bent ones of an estimated pose
// are shorter or longer than they are.
func (c *calibration) upright() bool {
	b := body{&c.neutral, c}
	l, ok1 := b.kneeFlexion(Left)
	r, ok2 := b.kneeFlexion(Right)
	return ok1 && ok2 && max(l, r) < maxUprightKneeDeg
}

// sizeM is about the body's height, metres: legs and trunk, whose bones quiet
// standing shows best.
func (c *calibration) sizeM() float64 {
	return c.legLengthM() + c.length(jPelvis, jSpine) + c.length(jSpine, jThorax)
}

// sameAs reports whether two calibrations may be of one person.
func (c *calibration) sameAs(other *calibration) bool {
	return !c.standing || !other.standing || math.Abs(c.sizeM()-other.sizeM()) <= personTolerance*c.sizeM()
}

// mean3 is the mean of three skeletons.
func mean3(a, b, c *Skeleton) (m Skeleton) {
	for j := range m {
		for k := range 3 {
			m[j][k] = (a[j][k] + b[j][k] + c[j][k]) / 3
		}
	}
	return m
}

// smooth5 fits a parabola to five skeletons and returns its middle: unlike a
// mean it does not cut off peaks.
func smooth5(w []frame) (m Skeleton) {
	weights := [5]float64{-3.0 / 35, 12.0 / 35, 17.0 / 35, 12.0 / 35, -3.0 / 35}
	for j := range m {
		for k := range 3 {
			for i := range weights {
				m[j][k] += weights[i] * w[i].raw[j][k]
			}
		}
	}
	return m
}
