package sim

import "math"

// MM-Fi's camera (simulator.md 4): level, looking along z.
const (
	CameraFocalPx = 605.0 // fx = fy, pixels
	CameraCenterU = 320.0 // pixels
	CameraCenterV = 240.0
	CameraWidth   = 640
	CameraHeight  = 480
)

// numKeypoints is the number of COCO key points.
const numKeypoints = 17

// cocoFromH36M gives the joint of each COCO key point from the shoulders on;
// the first five lie on the face.
var cocoFromH36M = [numKeypoints]int{5: 11, 6: 14, 7: 12, 8: 15, 9: 13, 10: 16, 11: 4, 12: 1, 13: 5, 14: 2, 15: 6, 16: 3}

// KeypointK is COCO's constant k of each key point: an error of k times the root
// of the person's area is as bad at one as at another.
var KeypointK = [numKeypoints]float64{
	.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089,
}

// cocoOwn lists the two capsules a key point belongs to, which cannot hide it.
var cocoOwn = [numKeypoints][2]int{
	{capHead, capNeck}, {capHead, capNeck}, {capHead, capNeck}, {capHead, capNeck}, {capHead, capNeck},
	{capShoulders, capUpperArmL}, {capShoulders, capUpperArmR},
	{capUpperArmL, capForearmL}, {capUpperArmR, capForearmR},
	{capForearmL, capHandL}, {capForearmR, capHandR},
	{capPelvis, capThighL}, {capPelvis, capThighR},
	{capThighL, capShankL}, {capThighR, capShankR},
	{capShankL, capFootL}, {capShankR, capFootR},
}

// keypoints3D returns the COCO key points of a body, room frame.
func keypoints3D(s *Subject, sk *Skeleton) [numKeypoints]Vec {
	var kp [numKeypoints]Vec
	for j := 5; j < numKeypoints; j++ {
		kp[j] = sk[cocoFromH36M[j]]
	}
	scale := s.HeightM / referenceHeightM
	h := vecUnit(vecSub(sk[10], sk[9]), Vec{0, 1, 0})
	across := vecSub(sk[11], sk[14])
	l := vecUnit(vecSub(across, vecScale(h, vecDot(across, h))), Vec{1, 0, 0})
	f := vecCross(h, l)
	c := vecLerp(sk[9], sk[10], 0.6)
	at := func(fm, hm, lm float64) Vec {
		p := vecAdd(c, vecScale(f, fm*scale))
		p = vecAdd(p, vecScale(h, hm*scale))
		return vecAdd(p, vecScale(l, lm*scale))
	}
	kp[0] = at(.10, 0, 0)
	kp[1] = at(.09, .035, .032)
	kp[2] = at(.09, .035, -.032)
	kp[3] = at(0, .02, .075)
	kp[4] = at(0, .02, -.075)
	return kp
}

// lens is the pinhole camera, pixels.
type lens struct{ focal, centreU, centreV float64 }

// project maps a room point to pixels of a camera that stands at pose.
func (l *lens) project(pose *sensorPose, p Vec) [2]float64 {
	c := pose.fromRoom(p)
	z := max(c[0], 0.05)
	return [2]float64{
		l.centreU - float64(l.focal*c[1]/z),
		l.centreV - float64(l.focal*c[2]/z),
	}
}

// hidden reports whether another capsule or the occluder stands between the
// camera at eye and key point j of body n.
func hidden(eye, p Vec, j, n int, bodies []Body, occluder *box) bool {
	if occluder != nil && occluder.hides(eye, p) {
		return true
	}
	los := vecSub(p, eye)
	dist := vecLength(los)
	d := vecScale(los, 1/dist)
	for b := range bodies {
		for k := range bodies[b].Capsules {
			if b == n && (k == cocoOwn[j][0] || k == cocoOwn[j][1]) {
				continue
			}
			c := &bodies[b].Capsules[k]
			if t, ok := c.Intersect(eye, d); ok && t < dist && c.AxisDistance(p) > c.RadiusM {
				return true
			}
		}
	}
	return false
}

// detection is what the imaginary key-point detector saw in one frame.
type detection struct {
	xy    [numKeypoints][2]float64 // pixels
	score [numKeypoints]float64    // 0..1
	found bool                     // somebody was detected at all
}

// coreTaps is how many past innovations the core error remembers: 0.6^16 is
// below 3e-4, and any frame can be made without the frames before it.
const coreTaps = 16

// coreNoise fills n with the unit-variance core error of frame i: a
// first-order process over frames, written as a finite window of innovations
// keyed by frame.
func (c *Clip) coreNoise(i int, n *[numKeypoints][2]float64) {
	rho := c.preset.Camera.CoreCorrelation
	*n = [numKeypoints][2]float64{}
	w, power := 1.0, 0.0
	for tap := range coreTaps {
		s := c.stream("camera-core", i-tap)
		for j := range n {
			n[j][0] += float64(w * s.Norm())
			n[j][1] += float64(w * s.Norm())
		}
		power += float64(w * w)
		if w = float64(w * rho); w == 0 {
			break
		}
	}
	norm := 1 / math.Sqrt(power)
	for j := range n {
		n[j][0] = float64(n[j][0] * norm)
		n[j][1] = float64(n[j][1] * norm)
	}
}

// camera detects the key points of frame i.
func (c *Clip) camera(i int, sc *scratch, out *detection) {
	frame, shiftS := c.clock(camera, i)
	tS := frameTime(frame) + shiftS
	spec := &c.preset.Camera
	n := c.placeBodies(tS, sc)
	if n == 0 {
		c.ghost(frame, out)
		return
	}
	bodies := sc.bodies[:n]
	pose := c.place.camera.pose(Vec{}, c.degraded.shockRad(camera, tS))
	occluder := c.occluderAt(tS)

	s := c.stream("camera", frame)
	who := 0
	swap := s.Float64()
	if n > 1 && swap < bySeverity(c.degraded.severity(SecondPerson, tS), .02, .035, .05) {
		who = 1
	}
	missProb, missHidden, core := spec.MissProb, spec.MissHidden, spec.Core
	none := s.Float64()
	out.found = true
	if dark := c.degraded.severity(DarkRoom, tS); dark > 0 {
		core *= bySeverity(dark, 1.5, 2.5, 4)
		missProb = max(missProb, bySeverity(dark, .05, .20, .40))
		missHidden = max(missHidden, missProb)
		out.found = none >= bySeverity(dark, 0, .20, .70)
	}

	kp := keypoints3D(&sc.subjects[who], &sc.skeletons[who])
	var exact [numKeypoints][2]float64
	lo := [2]float64{math.Inf(1), math.Inf(1)}
	hi := [2]float64{math.Inf(-1), math.Inf(-1)}
	for j := range kp {
		exact[j] = c.place.lens.project(&pose, kp[j])
		for a := range 2 {
			lo[a], hi[a] = min(lo[a], exact[j][a]), max(hi[a], exact[j][a])
		}
	}
	rootA := math.Sqrt(0.53 * max(hi[0]-lo[0], 1) * max(hi[1]-lo[1], 1))

	var noise [numKeypoints][2]float64
	var behind [numKeypoints]bool // something else hides the joint
	if core > 0 {
		c.coreNoise(frame, &noise)
	}
	for j := range kp {
		unit := KeypointK[j] * rootA
		jitterProb, miss := spec.JitterProb, missProb
		behind[j] = (spec.JitterHidden > 0 || missHidden > 0) && hidden(pose.at, kp[j], j, who, bodies, occluder)
		if behind[j] {
			jitterProb, miss = spec.JitterHidden, missHidden
		}
		dx, dy := float64(core*noise[j][0]), float64(core*noise[j][1])
		u1, u2 := s.Float64(), s.Float64()
		if u1 < jitterProb {
			dx += float64(spec.Jitter * s.Norm())
			dy += float64(spec.Jitter * s.Norm())
		}
		if u2 < miss {
			size := max(spec.Miss, 0)
			dx += float64(size * s.Norm())
			dy += float64(size * s.Norm())
		}
		out.xy[j] = [2]float64{exact[j][0] + float64(unit*dx), exact[j][1] + float64(unit*dy)}
	}
	for j := 1; j < numKeypoints; j += 2 { // pairs (1,2), (3,4), ...
		a, b := out.xy[j], out.xy[j+1]
		if s.Float64() < spec.InversionProb && length2(a[0]-b[0], a[1]-b[1]) < spec.InversionPx {
			out.xy[j], out.xy[j+1] = b, a
		}
	}

	sure, scatter := 1.0, 0.08
	if spec.ScoreSure > 0 {
		sure, scatter = spec.ScoreSure, spec.ScoreNoise
	}
	score := c.stream("camera-score", frame)
	for j := range out.score {
		e := length2(out.xy[j][0]-exact[j][0], out.xy[j][1]-exact[j][1]) / (2 * KeypointK[j] * rootA)
		v := float64(sure * portableExp(-e*e/2))
		if behind[j] && spec.ScoreHidden > 0 {
			v = spec.ScoreHidden
		}
		v += float64(scatter * score.Norm())
		out.score[j] = min(max(v, 0.01), 0.99)
	}
	c.dropKeypoints(frame, out)
}

// dropKeypoints leaves out what the world's detector does not find.
func (c *Clip) dropKeypoints(frame int, out *detection) {
	missing := &c.place.missing
	if missing.share == 0 && missing.joints == [numKeypoints]bool{} {
		return
	}
	s := c.stream("camera-missing", frame)
	for j := range out.xy {
		if u := s.Float64(); u < missing.share || missing.joints[j] {
			out.xy[j], out.score[j] = [2]float64{}, 0
		}
	}
}
