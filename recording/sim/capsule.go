package sim

import "math"

// NumCapsules is the number of capsules of one body (simulator.md 3).
const NumCapsules = 18

// Capsule is a cylinder with hemispherical ends: all points within RadiusM of
// the segment A-B. It is the only solid a body is made of.
type Capsule struct {
	A, B    Vec     // ends of the axis, metres, room frame
	VA, VB  Vec     // velocities of the ends, m/s
	RadiusM float64 // metres
	// JointA and JointB are the joints the axis hangs on; both are the same
	// joint for parts with one end off the skeleton (hands, feet).
	JointA, JointB int
}

// Indices of the capsules in Body.
const (
	capNeck = iota
	capAbdomen
	capChest
	capShoulders
	capPelvis
	capHead
	capUpperArmL
	capUpperArmR
	capForearmL
	capForearmR
	capHandL
	capHandR
	capThighL
	capThighR
	capShankL
	capShankR
	capFootL
	capFootR
)

// capsuleNames names the capsules, in the order of Body, for statistics.
var capsuleNames = [NumCapsules]string{
	"neck", "abdomen", "chest", "shoulders", "pelvis", "head",
	"upper arm", "upper arm", "forearm", "forearm", "hand", "hand",
	"thigh", "thigh", "shank", "shank", "foot", "foot",
}

// capsuleSpec says how a capsule hangs on the joints.
type capsuleSpec struct {
	a, b    int
	radiusM float64 // at a height of 1.7 m
}

// capsuleSpecs holds joints and radii of simulator.md 3. Hands and feet start
// at b and extend beyond it; the head is built from joints 9 and 10.
var capsuleSpecs = [NumCapsules]capsuleSpec{
	capNeck:      {8, 10, .055},
	capAbdomen:   {0, 7, .125},
	capChest:     {7, 8, .135},
	capShoulders: {11, 14, .075},
	capPelvis:    {1, 4, .105},
	capHead:      {9, 10, .095},
	capUpperArmL: {11, 12, .047},
	capUpperArmR: {14, 15, .047},
	capForearmL:  {12, 13, .038},
	capForearmR:  {15, 16, .038},
	capHandL:     {12, 13, .035},
	capHandR:     {15, 16, .035},
	capThighL:    {4, 5, .075},
	capThighR:    {1, 2, .075},
	capShankL:    {5, 6, .052},
	capShankR:    {2, 3, .052},
	capFootL:     {5, 6, .038},
	capFootR:     {2, 3, .038},
}

const (
	referenceHeightM = 1.7
	headTallM        = 0.05 // length of the head capsule's axis
	handLengthM      = 0.09
	handSpeedFactor  = 1.15 // a hand's tip moves faster than its wrist
	footForwardM     = 0.14
	footDownM        = 0.05
)

// Body is a subject's capsules at one instant.
type Body struct {
	Capsules [NumCapsules]Capsule
	Forward  Vec // horizontal unit vector the pelvis faces
}

// Set places the capsules of subject s on the joints sk, with the joint
// velocities vel in m/s (zero for a still body).
func (b *Body) Set(s *Subject, sk, vel *Skeleton) {
	scale := s.HeightM / referenceHeightM
	radius := scale * s.Girth
	b.Forward = facing(sk)
	for i := range capsuleSpecs {
		spec := &capsuleSpecs[i]
		c := &b.Capsules[i]
		c.JointA, c.JointB = spec.a, spec.b
		c.RadiusM = spec.radiusM * radius
		c.A, c.B = sk[spec.a], sk[spec.b]
		c.VA, c.VB = vel[spec.a], vel[spec.b]
		switch i {
		case capHead:
			center := vecLerp(sk[9], sk[10], 0.6)
			v := vecLerp(vel[9], vel[10], 0.6)
			half := vecScale(vecUnit(vecSub(sk[10], sk[9]), Vec{0, 1, 0}), headTallM/2*scale)
			c.A, c.B = vecSub(center, half), vecAdd(center, half)
			c.VA, c.VB = v, v
		case capHandL, capHandR:
			along := vecUnit(vecSub(sk[spec.b], sk[spec.a]), Vec{0, -1, 0})
			c.A = sk[spec.b]
			c.B = vecAdd(c.A, vecScale(along, handLengthM*scale))
			c.VA = vel[spec.b]
			c.VB = vecScale(vel[spec.b], handSpeedFactor)
			c.JointA = spec.b
		case capFootL, capFootR:
			c.A = sk[spec.b]
			c.B = vecAdd(c.A, vecScale(b.Forward, footForwardM*scale))
			c.B[1] -= float64(footDownM * scale)
			c.VA, c.VB = vel[spec.b], vel[spec.b]
			c.JointA = spec.b
		}
	}
}

// facing returns the horizontal unit vector the pelvis faces. The room frame
// is left-handed (x right, y up, z away), hence up x left.
func facing(sk *Skeleton) Vec {
	left := vecSub(sk[4], sk[1])
	left[1] = 0
	return vecUnit(vecCross(Vec{0, 1, 0}, left), Vec{0, 0, -1})
}

// Intersect returns the distance along the ray from origin o in unit direction
// d to the capsule's surface, metres. It reports false if the ray misses or
// starts inside.
func (c *Capsule) Intersect(o, d Vec) (float64, bool) {
	ba := vecSub(c.B, c.A)
	oa := vecSub(o, c.A)
	baba := vecDot(ba, ba)
	r2 := c.RadiusM * c.RadiusM
	if baba > 1e-18 {
		bard := vecDot(ba, d)
		baoa := vecDot(ba, oa)
		rdoa := vecDot(d, oa)
		oaoa := vecDot(oa, oa)
		a := baba - float64(bard*bard)
		if a > 1e-12*baba {
			k := float64(baba*rdoa) - float64(baoa*bard)
			q := float64(baba*oaoa) - float64(baoa*baoa) - float64(r2*baba)
			h := float64(k*k) - float64(a*q)
			if h < 0 {
				return 0, false
			}
			t := (-k - math.Sqrt(h)) / a
			y := baoa + float64(t*bard)
			if y > 0 && y < baba {
				return t, t > 0
			}
			if y <= 0 {
				return sphereHit(oa, d, r2)
			}
			return sphereHit(vecSub(o, c.B), d, r2)
		}
		if bard < 0 { // the ray runs along the axis from B towards A
			oa = vecSub(o, c.B)
		}
	}
	return sphereHit(oa, d, r2)
}

// sphereHit intersects a ray, given relative to the sphere's centre, with a
// sphere of squared radius r2.
func sphereHit(oc, d Vec, r2 float64) (float64, bool) {
	b := vecDot(oc, d)
	h := float64(b*b) - vecDot(oc, oc) + r2
	if h < 0 {
		return 0, false
	}
	t := -b - math.Sqrt(h)
	return t, t > 0
}

// AxisDistance returns the distance of p to the capsule's axis, metres.
func (c *Capsule) AxisDistance(p Vec) float64 {
	ba := vecSub(c.B, c.A)
	pa := vecSub(p, c.A)
	u := 0.0
	if l2 := vecDot(ba, ba); l2 > 0 {
		u = min(max(vecDot(pa, ba)/l2, 0), 1)
	}
	return vecLength(vecSub(pa, vecScale(ba, u)))
}

// SurfacePoint returns the point of the cylinder's surface at share u of the
// axis whose normal makes the angle beta (radians) with the part of the line
// of sight towards eye that is perpendicular to the axis, with its outward
// normal and its velocity.
func (c *Capsule) SurfacePoint(eye Vec, u, beta float64) (p, normal, velocity Vec) {
	on := vecLerp(c.A, c.B, u)
	los := vecSub(eye, on)
	axis := vecUnit(vecSub(c.B, c.A), Vec{0, 1, 0})
	perp := vecSub(los, vecScale(axis, vecDot(los, axis)))
	n0 := vecUnit(perp, Vec{0, 0, -1})
	side := vecCross(axis, n0)
	s, cs := portableSincos(beta)
	normal = vecAdd(vecScale(n0, cs), vecScale(side, s))
	p = vecAdd(on, vecScale(normal, c.RadiusM))
	return p, normal, vecLerp(c.VA, c.VB, u)
}

// Products are converted explicitly before sums so that no platform fuses
// them: files must be the same bytes everywhere.

func vecAdd(a, b Vec) Vec { return Vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }

func vecSub(a, b Vec) Vec { return Vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

func vecScale(a Vec, s float64) Vec {
	return Vec{float64(a[0] * s), float64(a[1] * s), float64(a[2] * s)}
}

func vecDot(a, b Vec) float64 {
	return float64(a[0]*b[0]) + float64(a[1]*b[1]) + float64(a[2]*b[2])
}

func vecCross(a, b Vec) Vec {
	return Vec{
		float64(a[1]*b[2]) - float64(a[2]*b[1]),
		float64(a[2]*b[0]) - float64(a[0]*b[2]),
		float64(a[0]*b[1]) - float64(a[1]*b[0]),
	}
}

func vecLength(a Vec) float64 { return math.Sqrt(vecDot(a, a)) }

// vecUnit returns a at length 1, or fallback if a has no direction.
func vecUnit(a, fallback Vec) Vec {
	l := vecLength(a)
	if l < 1e-9 {
		return fallback
	}
	return vecScale(a, 1/l)
}

func vecLerp(a, b Vec, u float64) Vec {
	return Vec{
		a[0] + float64(u*(b[0]-a[0])),
		a[1] + float64(u*(b[1]-a[1])),
		a[2] + float64(u*(b[2]-a[2])),
	}
}
