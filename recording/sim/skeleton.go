package sim

import "math"

// Indices of the pose parameters (simulator.md 2.2). Shifts are metres for a
// person of 1.7 m in the body frame (x left, y up, z towards the sensors),
// angles are degrees.
const (
	pelvisX    = 0
	pelvisY    = 1
	pelvisZ    = 2
	trunkYaw   = 3  // to the person's left, pelvis included
	trunkPitch = 4  // forward
	trunkRoll  = 5  // to the person's left
	trunkTwist = 6  // to the person's left, above the pelvis only
	headPitch  = 7  // forward
	footL      = 8  // x, y, z of the left foot's shift
	footR      = 11 // of the right foot
	armL       = 14 // elevation from hanging, azimuth (0 sideways, 90 forwards), elbow flexion
	armR       = 17

	numPoseParams = 20
)

// pose is one posture by its parameters.
type pose [numPoseParams]float64

// mirrored returns the posture with left and right exchanged.
func (p *pose) mirrored() pose {
	m := *p
	m[pelvisX], m[trunkYaw] = -p[pelvisX], -p[trunkYaw]
	m[trunkRoll], m[trunkTwist] = -p[trunkRoll], -p[trunkTwist]
	for i := range 3 {
		m[footL+i], m[footR+i] = p[footR+i], p[footL+i]
		m[armL+i], m[armR+i] = p[armR+i], p[armL+i]
	}
	m[footL], m[footR] = -m[footL], -m[footR]
	return m
}

// Proportions of the body beyond Segments, as shares of the height or of a
// segment.
const (
	ankleShare  = 0.05 // height of the ankle joint above the floor
	headShare   = 0.95 // from J9 to the top of the head, of Segments.Neck
	neckUp      = 0.75 // direction from J8 to J9 (the nose), which lies forward of the spine
	neckForward = 0.6614378277661477
	// straightLeg is the largest distance of hip and ankle, of the leg's
	// length: a leg that is never quite straight has a defined knee.
	straightLeg = 0.9985
	// bentLeg is the smallest, which keeps the knee below about 155 degrees.
	bentLeg = 0.22
	// softReachM is the width of the transition to a straight leg: without it
	// the knee would jerk.
	softReachM = 0.004
)

// kneeOutward tilts the plane of the knee from forward to the outside.
const kneeOutward = 0.25

// liftedM is the height at which a foot no longer carries weight.
const liftedM = 0.05

const degree = math.Pi / 180

// figure turns postures of one person at one place into joints.
type figure struct {
	seg            Segments
	scale          float64 // height / 1.7 m
	ankleM         float64 // height of the ankle joint of a foot on the floor
	at             stance
	sinYaw, cosYaw float64
}

func newFigure(sub *Subject, at stance) figure {
	f := figure{seg: sub.Segments, scale: sub.HeightM / referenceHeightM, ankleM: ankleShare * sub.HeightM, at: at}
	f.sinYaw, f.cosYaw = portableSincos(at.yawDeg * degree)
	return f
}

// turn is a rotation of the trunk: its three axes in the body frame.
type turn struct{ left, up, forward Vec }

// newTurn applies twist, then pitch, then roll, then yaw, all in degrees.
func newTurn(yaw, pitch, roll, twist float64) turn {
	sy, cy := portableSincos(yaw * degree)
	sp, cp := portableSincos(pitch * degree)
	sr, cr := portableSincos(roll * degree)
	st, ct := portableSincos(twist * degree)
	apply := func(x, y, z float64) Vec {
		x, z = float64(x*ct)+float64(z*st), float64(z*ct)-float64(x*st)
		y, z = float64(y*cp)-float64(z*sp), float64(z*cp)+float64(y*sp)
		x, y = float64(x*cr)+float64(y*sr), float64(y*cr)-float64(x*sr)
		x, z = float64(x*cy)+float64(z*sy), float64(z*cy)-float64(x*sy)
		return Vec{x, y, z}
	}
	return turn{left: apply(1, 0, 0), up: apply(0, 1, 0), forward: apply(0, 0, 1)}
}

// direction turns a vector of the trunk's frame into the body frame.
func (t *turn) direction(v Vec) Vec {
	var out Vec
	for i := range out {
		out[i] = float64(v[0]*t.left[i]) + float64(v[1]*t.up[i]) + float64(v[2]*t.forward[i])
	}
	return out
}

// along returns from + length * d.
func along(from, d Vec, length float64) Vec { return vecAdd(from, vecScale(d, length)) }

// skeleton returns the joints of a posture in the room frame. Every bone has
// exactly its length, and no foot is below the floor.
func (f *figure) skeleton(p *pose) Skeleton {
	var sk Skeleton
	upper := newTurn(p[trunkYaw], p[trunkPitch], p[trunkRoll], p[trunkTwist])
	lower := newTurn(p[trunkYaw], p[trunkPitch]/2, p[trunkRoll]/2, p[trunkTwist]/2)
	f.legs(p, &sk)

	sk[7] = along(sk[0], lower.up, f.seg.Trunk/2)
	sk[8] = along(sk[7], upper.up, f.seg.Trunk/2)
	sin, cos := portableSincos(p[headPitch] * degree)
	sk[9] = along(sk[8], upper.direction(Vec{0, float64(neckUp*cos) - float64(neckForward*sin),
		float64(neckForward*cos) + float64(neckUp*sin)}), f.seg.Neck)
	sk[10] = along(sk[9], upper.direction(Vec{0, cos, sin}), headShare*f.seg.Neck)

	f.arm(p[armL:armL+3], 1, &upper, sk[11:14], sk[8])
	f.arm(p[armR:armR+3], -1, &upper, sk[14:17], sk[8])

	for i, v := range sk {
		x := float64(v[0]*f.cosYaw) + float64(v[2]*f.sinYaw)
		z := float64(v[2]*f.cosYaw) - float64(v[0]*f.sinYaw)
		sk[i] = Vec{f.at.xM + x, v[1], f.at.zM - z}
	}
	return sk
}

// legs sets the pelvis, hips, knees and ankles in the body frame. A foot on
// the floor stays there: the pelvis comes down as far as a straight leg needs.
func (f *figure) legs(p *pose, sk *Skeleton) {
	reach := float64(straightLeg * (f.seg.Thigh + f.seg.Shank))
	half := f.seg.HipSpacing / 2
	sin, cos := portableSincos(p[trunkYaw] * degree)
	left := Vec{cos, 0, -sin}
	forward := Vec{sin, 0, cos}

	pelvis := Vec{f.scale * p[pelvisX], f.ankleM + reach + float64(f.scale*p[pelvisY]), f.scale * p[pelvisZ]}
	var ankles [2]Vec
	lower := 0.0
	for i, foot := range [2]int{footR, footL} {
		side := float64(2*i - 1)
		lift := max(0, f.scale*p[foot+1])
		ankles[i] = Vec{float64(side*half) + float64(f.scale*p[foot]), f.ankleM + lift, f.scale * p[foot+2]}
		hip := along(pelvis, left, side*half)
		dx, dz := hip[0]-ankles[i][0], hip[2]-ankles[i][2]
		level := float64(reach*reach) - float64(dx*dx) - float64(dz*dz)
		excess := hip[1] - ankles[i][1] - sqrt(max(0, level))
		weight := max(0, 1-lift/liftedM)
		lower = max(lower, weight*positivePart(excess))
	}
	pelvis[1] -= lower

	sk[0] = pelvis
	for i := range ankles {
		side := float64(2*i - 1)
		hip := along(pelvis, left, side*half)
		pole := vecAdd(along(Vec{0, 0.3, 0}, left, side*kneeOutward), forward)
		knee, ankle := bendLeg(hip, ankles[i], pole, f.seg.Thigh, f.seg.Shank)
		sk[1+3*i], sk[2+3*i], sk[3+3*i] = hip, knee, ankle
	}
}

// positivePart is max(0, x) with its corner rounded over softReachM.
func positivePart(x float64) float64 {
	return float64((x + sqrt(float64(x*x)+softReachM*softReachM)) / 2)
}

// bendLeg places the knee of a leg between hip and ankle so that both bones
// have their lengths and the knee points towards pole. An ankle out of reach
// is drawn to the hip until it is in reach; one that barely is, by up to 2 mm.
func bendLeg(hip, ankle, pole Vec, thigh, shank float64) (knee, moved Vec) {
	axis := vecSub(ankle, hip)
	d := vecLength(axis)
	n := vecUnit(axis, Vec{0, -1, 0})
	reach := float64(straightLeg * (thigh + shank))
	d = max(reach-positivePart(reach-d), bentLeg*(thigh+shank))
	ankle = along(hip, n, d)
	q := vecUnit(along(pole, n, -vecDot(pole, n)), Vec{0, 0, 1})
	a := (float64(thigh*thigh) - float64(shank*shank) + float64(d*d)) / (2 * d)
	h := sqrt(max(0, float64(thigh*thigh)-float64(a*a)))
	return along(along(hip, n, a), q, h), ankle
}

// Limits of the joints of the arm, degrees.
const (
	maxElevation = 178
	minElbow     = 2
	maxElbow     = 150
)

// elbowBend is where the forearm goes when the elbow bends, in the trunk's
// frame of a left arm: inwards, up and forwards, whatever of it is across the
// upper arm.
var elbowBend = Vec{-0.5, 0.6, 0.6}

// arm sets shoulder, elbow and wrist. Side is 1 for the left arm, -1 for the
// right.
func (f *figure) arm(angles []float64, side float64, trunk *turn, joints []Vec, thorax Vec) {
	se, ce := portableSincos(min(max(angles[0], 0), maxElevation) * degree)
	sa, ca := portableSincos(angles[1] * degree)
	sf, cf := portableSincos(min(max(angles[2], minElbow), maxElbow) * degree)
	d := Vec{se * ca, -ce, se * sa}
	across := vecUnit(along(elbowBend, d, -vecDot(elbowBend, d)), Vec{0, 0, 1})
	forearm := vecAdd(vecScale(d, cf), vecScale(across, sf))
	d[0] *= side
	forearm[0] *= side
	joints[0] = along(thorax, trunk.left, side*f.seg.HalfShoulder)
	joints[1] = along(joints[0], trunk.direction(d), f.seg.UpperArm)
	joints[2] = along(joints[1], trunk.direction(forearm), f.seg.Forearm)
}
