// Package exercise checks exercises on a stream of 17-joint poses: it counts
// repetitions, measures joint angles and ranges, and raises faults against
// rules with margins. Exercises are data: one YAML file each, see Definition.
//
// It describes movement and does not diagnose; every threshold is a default
// that a therapist may change.
package exercise

import (
	"math"

	"posefuse/message"
	"posefuse/skeleton"
)

// Joint indices.
const (
	jPelvis, jSpine, jThorax, jNose, jHead = skeleton.Pelvis, skeleton.Spine, skeleton.Thorax, skeleton.Nose, skeleton.Head
	jRHip, jRKnee, jRAnkle                 = skeleton.RightHip, skeleton.RightKnee, skeleton.RightAnkle
	jLHip, jLKnee, jLAnkle                 = skeleton.LeftHip, skeleton.LeftKnee, skeleton.LeftAnkle
	jLShoulder, jLElbow, jLWrist           = skeleton.LeftShoulder, skeleton.LeftElbow, skeleton.LeftWrist
	jRShoulder, jRElbow, jRWrist           = skeleton.RightShoulder, skeleton.RightElbow, skeleton.RightWrist
	numJoints                              = skeleton.NumJoints
)

// Side is a side of the body.
type Side string

// The two sides, as the person has them.
const (
	Left  Side = "left"
	Right Side = "right"
)

// Other returns the opposite side.
func (s Side) Other() Side {
	if s == Left {
		return Right
	}
	return Left
}

type vec [3]float64

func (a vec) sub(b vec) vec       { return vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func (a vec) add(b vec) vec       { return vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }
func (a vec) scale(f float64) vec { return vec{a[0] * f, a[1] * f, a[2] * f} }
func (a vec) dot(b vec) float64   { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
func (a vec) norm() float64       { return math.Sqrt(a.dot(a)) }
func (a vec) horizontal() vec     { return vec{a[0], 0, a[2]} }
func (a vec) cross(b vec) vec {
	return vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

func (a vec) unit() vec {
	n := a.norm()
	if n == 0 {
		return vec{}
	}
	return a.scale(1 / n)
}

// down is gravity in this package's axes: x right, y down, z forward.
var down = vec{0, 1, 0}

// angleDeg is the angle between two vectors, degrees. The quotient-free form
// keeps its precision near 0 and 180 degrees.
func angleDeg(a, b vec) float64 { return deg(math.Atan2(a.cross(b).norm(), a.dot(b))) }

func deg(rad float64) float64 { return rad * 180 / math.Pi }

// Skeleton is 17 joints in H36M order, metres, x right, y down along gravity,
// z forward: the camera frame of a level camera.
type Skeleton [numJoints][3]float64

func (s *Skeleton) at(j int) vec { return vec(s[j]) }

// maxUnknown joints may be unknown in a pose that says anything.
const maxUnknown = 8

// FromPose converts the joints of a pose message to a Skeleton. A pose in the
// camera frame of a camera that looks down by tiltDeg is made level; a pose in
// the room frame (z up) is turned. Joints that are unknown stay NaN, and so
// does all that is computed from them. It reports false if the message holds no
// joints, too few known ones, or an infinite one.
func FromPose(p *message.Pose, tiltDeg float64) (Skeleton, bool) {
	var s Skeleton
	if p.JointsM == nil {
		return s, false
	}
	sin, cos := math.Sincos(tiltDeg * math.Pi / 180)
	unknown := 0
	for j, q := range p.JointsM {
		if math.IsNaN(q[0] + q[1] + q[2]) {
			unknown++
		}
		for _, c := range q {
			if math.IsInf(c, 0) {
				return s, false
			}
		}
		if p.Frame == "room" {
			s[j] = [3]float64{q[0], -q[2], q[1]}
		} else {
			s[j] = [3]float64{q[0], q[1]*cos + q[2]*sin, q[2]*cos - q[1]*sin}
		}
	}
	return s, unknown <= maxUnknown
}

// Mirror returns the skeleton seen in a mirror: left and right exchanged.
func (s *Skeleton) Mirror() Skeleton {
	m := *s
	for _, p := range [][2]int{{jRHip, jLHip}, {jRKnee, jLKnee}, {jRAnkle, jLAnkle},
		{jRShoulder, jLShoulder}, {jRElbow, jLElbow}, {jRWrist, jLWrist}} {
		m[p[0]], m[p[1]] = s[p[1]], s[p[0]]
	}
	for j := range m {
		m[j][0] = -m[j][0]
	}
	return m
}

const (
	minSegmentM   = 0.05 // a shorter segment has no direction
	maxSegmentRel = 1.4  // longer than this times its calibrated length: misplaced joint
)

// body is a skeleton with what calibration knows about the person.
type body struct {
	s   *Skeleton
	cal *calibration
}

// seg returns the vector from joint a to joint b, false if its length cannot
// be right.
func (b body) seg(from, to int) (vec, bool) {
	v := b.s.at(to).sub(b.s.at(from))
	n := v.norm()
	if !(n >= minSegmentM) { // nor if a joint is unknown
		return v, false
	}
	if l := b.cal.length(from, to); l > 0 && n > maxSegmentRel*l {
		return v, false
	}
	return v, true
}

// leg returns hip, knee, ankle of a side.
func leg(side Side) (hip, knee, ankle int) {
	if side == Left {
		return jLHip, jLKnee, jLAnkle
	}
	return jRHip, jRKnee, jRAnkle
}

// arm returns shoulder, elbow, wrist of a side.
func arm(side Side) (shoulder, elbow, wrist int) {
	if side == Left {
		return jLShoulder, jLElbow, jLWrist
	}
	return jRShoulder, jRElbow, jRWrist
}

// up is the trunk, upwards.
func (b body) up() (vec, bool) { return b.seg(jPelvis, jThorax) }

// left is the horizontal direction to the person's left, from hips and
// shoulders together: one noisy hip does not turn the whole body.
func (b body) left() (vec, bool) {
	l := b.s.at(jLHip).sub(b.s.at(jRHip)).add(b.s.at(jLShoulder).sub(b.s.at(jRShoulder))).horizontal()
	return l.unit(), l.norm() > minSegmentM
}

// forward is the horizontal direction the person faces.
func (b body) forward() (vec, bool) {
	l, ok := b.left()
	return l.cross(down.scale(-1)), ok
}

func (b body) kneeFlexion(side Side) (float64, bool) {
	hip, knee, ankle := leg(side)
	thigh, ok1 := b.seg(knee, hip)
	shank, ok2 := b.seg(knee, ankle)
	return 180 - angleDeg(thigh, shank), ok1 && ok2
}

func (b body) hipFlexion(side Side) (float64, bool) {
	hip, knee, _ := leg(side)
	thigh, ok1 := b.seg(hip, knee)
	u, ok2 := b.up()
	return angleDeg(thigh, u.scale(-1)), ok1 && ok2
}

func (b body) thighElevation(side Side) (float64, bool) {
	hip, knee, _ := leg(side)
	thigh, ok := b.seg(hip, knee)
	return angleDeg(thigh, down), ok
}

func (b body) elbowFlexion(side Side) (float64, bool) {
	shoulder, elbow, wrist := arm(side)
	upper, ok1 := b.seg(elbow, shoulder)
	fore, ok2 := b.seg(elbow, wrist)
	return 180 - angleDeg(upper, fore), ok1 && ok2
}

func (b body) shoulderElevation(side Side) (float64, bool) {
	shoulder, elbow, _ := arm(side)
	upper, ok1 := b.seg(shoulder, elbow)
	u, ok2 := b.up()
	return angleDeg(upper, u.scale(-1)), ok1 && ok2
}

// armPlane is the azimuth of the upper arm in the trunk frame, 0 sideways, 90
// forwards; undefined below 20 degrees of elevation.
func (b body) armPlane(side Side) (float64, bool) {
	e, ok := b.shoulderElevation(side)
	if !ok || e < 20 || e > 160 {
		return 0, false
	}
	shoulder, elbow, _ := arm(side)
	upper := b.s.at(elbow).sub(b.s.at(shoulder))
	u, _ := b.up()
	l, ok := b.left()
	if !ok {
		return 0, false
	}
	u = u.unit()
	l = l.sub(u.scale(l.dot(u))).unit()
	out := l
	if side == Right {
		out = l.scale(-1)
	}
	return deg(math.Atan2(upper.dot(l.cross(u)), upper.dot(out))), true
}

func (b body) trunkLean() (float64, bool) {
	u, ok := b.up()
	return angleDeg(u, down.scale(-1)), ok
}

// trunkSide is the side bend, positive to the person's left.
func (b body) trunkSide() (float64, bool) {
	u, ok1 := b.up()
	l, ok2 := b.left()
	return deg(math.Atan2(u.dot(l), -u[1])), ok1 && ok2
}

// trunkTwist is the heading of the shoulders against that of the hips,
// positive to the person's left.
func (b body) trunkTwist() (float64, bool) {
	s := b.s.at(jLShoulder).sub(b.s.at(jRShoulder)).horizontal()
	l := b.s.at(jLHip).sub(b.s.at(jRHip)).horizontal()
	twist := deg(math.Atan2(s[2], s[0]) - math.Atan2(l[2], l[0]))
	return math.Remainder(twist, 360), s.norm() > minSegmentM && l.norm() > minSegmentM
}

// tilt is the angle of the line from joint b to joint a against the horizon,
// positive when a is the lower one.
func (b body) tilt(a, c int) (float64, bool) {
	v := b.s.at(a).sub(b.s.at(c))
	return deg(math.Atan2(v[1], v.horizontal().norm())), v.norm() > minSegmentM
}

// armExtension is how far the arm is stretched out, 0..1: the distance of wrist
// and shoulder in arm lengths, from 0.5 (bent at the chest) to 1 (straight),
// times the squared sine of the arm's elevation, because a straight arm that
// hangs is not stretched out, nor is one whose elbow noise moves sideways.
func (b body) armExtension(side Side) (float64, bool) {
	shoulder, elbow, wrist := arm(side)
	upper, ok1 := b.seg(shoulder, elbow)
	fore, ok2 := b.seg(elbow, wrist)
	e, ok3 := b.shoulderElevation(side)
	if !ok1 || !ok2 || !ok3 {
		return 0, false
	}
	reach := upper.add(fore).norm() / (upper.norm() + fore.norm())
	sin := math.Sin(e * math.Pi / 180)
	return max(2*reach-1, 0) * sin * sin, true
}

// thighLead is how much higher the thigh of the side is than the other one.
func (b body) thighLead(side Side) (float64, bool) {
	own, ok1 := b.thighElevation(side)
	other, ok2 := b.thighElevation(side.Other())
	return own - other, ok1 && ok2
}

// kneeLead is how much more the knee of the side is bent than the other one.
func (b body) kneeLead(side Side) (float64, bool) {
	own, ok1 := b.kneeFlexion(side)
	other, ok2 := b.kneeFlexion(side.Other())
	return own - other, ok1 && ok2
}

// wristDistance is how far the wrists are apart, in lengths of one arm.
func (b body) wristDistance() (float64, bool) {
	length := 0.0
	for _, side := range []Side{Left, Right} {
		shoulder, elbow, wrist := arm(side)
		upper, ok1 := b.seg(shoulder, elbow)
		fore, ok2 := b.seg(elbow, wrist)
		if !ok1 || !ok2 {
			return 0, false
		}
		length += (upper.norm() + fore.norm()) / 2
	}
	return b.s.at(jLWrist).sub(b.s.at(jRWrist)).norm() / length, true
}

// wristHeight is how far the wrist of the side is above its shoulder, in arm
// lengths.
func (b body) wristHeight(side Side) (float64, bool) {
	shoulder, elbow, wrist := arm(side)
	upper, ok1 := b.seg(shoulder, elbow)
	fore, ok2 := b.seg(elbow, wrist)
	if !ok1 || !ok2 {
		return 0, false
	}
	return -upper.add(fore)[1] / (upper.norm() + fore.norm()), true
}
