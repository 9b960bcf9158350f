package sim

// reach is the three angles of an arm, degrees: elevation from hanging,
// azimuth (0 sideways, 90 forwards), elbow flexion.
type reach [3]float64

// hang is an arm at rest.
var hang = reach{10, 20, 15}

// keyPose is one drawn posture. Left out is zero.
type keyPose struct {
	pelvis, footL, footR              Vec // shifts, metres for 1.7 m
	yaw, pitch, roll, twist, headDown float64
	armL, armR                        reach
}

func (k keyPose) params() pose {
	var p pose
	copy(p[pelvisX:], k.pelvis[:])
	p[trunkYaw], p[trunkPitch], p[trunkRoll], p[trunkTwist] = k.yaw, k.pitch, k.roll, k.twist
	p[headPitch] = k.headDown
	copy(p[footL:], k.footL[:])
	copy(p[footR:], k.footR[:])
	copy(p[armL:], k.armL[:])
	copy(p[armR:], k.armR[:])
	return p
}

// path is how a repetition goes through its two key poses.
type path int

const (
	// pathReach starts and ends in pose 0; the person's amplitude scales the
	// way to pose 1.
	pathReach path = iota
	// pathSwing goes from pose 0 to pose 1 and back, both beyond rest on
	// opposite sides: the amplitude scales both ways from standing.
	pathSwing
	// pathJump is pathSwing with feet that leave the floor when the legs are
	// straight.
	pathJump
	// pathMarch is pathSwing with one foot in the air at a time: a repetition
	// starts with both feet on the floor between the two key poses.
	pathMarch
)

// activity is one of the 27 movements of MM-Fi.
type activity struct {
	rest, peak pose // pose 0 and pose 1
	path       path
	// stepLiftM is how high the named foot is lifted on its way along the
	// floor, metres for 1.7 m.
	stepLiftM float64
	stepFoot  int // footL or footR
	tempo     tempo
}

// both returns a key pose that differs from rest in the arms only.
func both(a reach) keyPose { return keyPose{armL: a, armR: a} }

// standingPose is a person at rest.
var standingPose = both(hang).params()

// styleScale is the spread of the fixed offset of a person on every pose
// parameter, in the parameter's unit (simulator.md 2.3).
var styleScale = keyPose{
	pelvis: Vec{.02, .02, .03}, yaw: 2.5, pitch: 4, roll: 2.5, twist: 3, headDown: 5,
	footL: Vec{.04, .01, .05}, footR: Vec{.04, .01, .05},
	armL: reach{6, 10, 10}, armR: reach{6, 10, 10},
}.params()

// movement is a row of the table of key poses.
type movement struct {
	rest, peak keyPose
	path       path
	stepLiftM  float64
}

// movements holds the key poses of simulator.md 2.3 by activity number. Those
// that are missing are the mirror image of the one in mirrorOf.
var movements = map[int]movement{
	1: {
		rest: keyPose{armL: reach{80, 80, 100}, armR: reach{80, 80, 100}, pelvis: Vec{0, -.03, 0}},
		peak: keyPose{armL: reach{80, 10, 70}, armR: reach{80, 10, 70}, pelvis: Vec{0, -.01, 0}},
	},
	2: {
		rest: both(reach{85, 85, 15}),
		peak: keyPose{armL: reach{88, -10, 15}, armR: reach{88, -10, 15}, pitch: -5},
	},
	3: {
		rest: both(hang),
		peak: keyPose{armL: reach{170, 90, 15}, armR: reach{170, 90, 15}, pitch: -6},
	},
	4: {
		rest: both(reach{75, 60, 100}),
		peak: keyPose{armL: reach{75, 60, 100}, armR: reach{75, 60, 100}, twist: 45, yaw: 10},
	},
	6: {
		rest: keyPose{footL: Vec{0, .32, .18}, armR: reach{40, 85, 60}, armL: reach{20, -60, 30}},
		peak: keyPose{footR: Vec{0, .32, .18}, armR: reach{20, -60, 30}, armL: reach{40, 85, 60}},
		path: pathMarch,
	},
	7: {
		rest: keyPose{armL: reach{45, 40, 120}, armR: hang},
		peak: keyPose{armL: reach{88, 15, 8}, armR: hang},
	},
	9: {
		rest: both(reach{40, 70, 110}),
		peak: keyPose{
			footL: Vec{.25, 0, .60}, pelvis: Vec{.12, -.20, .32}, pitch: 10,
			armL: reach{40, 70, 110}, armR: reach{40, 70, 110},
		},
		stepLiftM: .06,
	},
	11: {rest: both(reach{45, 40, 120}), peak: both(reach{88, 15, 8})},
	12: {
		rest: both(hang),
		peak: keyPose{pelvis: Vec{0, -.38, -.12}, pitch: 32, armL: reach{78, 88, 15}, armR: reach{78, 88, 15}},
	},
	13: {rest: both(hang), peak: keyPose{armL: reach{168, 70, 10}, armR: hang}},
	15: {
		rest: both(reach{40, 60, 110}),
		peak: keyPose{
			footL: Vec{.55, 0, 0}, pelvis: Vec{.33, -.20, 0}, pitch: 14, roll: 3,
			armL: reach{40, 60, 110}, armR: reach{40, 60, 110},
		},
		stepLiftM: .06,
	},
	17: {
		rest: keyPose{armL: reach{95, 25, 70}, armR: hang},
		peak: keyPose{armL: reach{125, 10, 45}, armR: hang},
	},
	19: {
		rest: both(hang),
		peak: keyPose{pelvis: Vec{0, -.25, -.15}, pitch: 75, armL: reach{70, 90, 15}, armR: reach{75, 90, 5}},
	},
	20: {
		rest: keyPose{twist: -35, armR: reach{80, -20, 90}, armL: reach{30, 60, 40}},
		peak: keyPose{twist: 40, yaw: 10, pitch: 10, armR: reach{95, 100, 10}, armL: reach{30, -20, 40}},
		path: pathSwing,
	},
	22: {
		rest: keyPose{footL: Vec{0, 0, -.15}, armL: reach{25, 30, 40}, armR: reach{25, 30, 40}},
		peak: keyPose{
			footL: Vec{.08, .45, .65}, pelvis: Vec{-.04, 0, 0}, pitch: -12,
			armL: reach{40, -30, 15}, armR: reach{45, 50, 15},
		},
	},
	24: {
		rest: both(hang),
		peak: keyPose{
			footL: Vec{.30, .12, 0}, pelvis: Vec{-.05, 0, 0}, roll: -12,
			armL: reach{150, 10, 10}, armR: reach{20, 20, 15},
		},
	},
	26: {
		rest: keyPose{pelvis: Vec{0, -.25, 0}, pitch: 30, armL: reach{35, -70, 15}, armR: reach{35, -70, 15}},
		peak: keyPose{
			pelvis: Vec{0, .24, 0}, footL: Vec{0, .24, 0}, footR: Vec{0, .24, 0},
			armL: reach{165, 80, 15}, armR: reach{165, 80, 15},
		},
		path: pathJump,
	},
	27: {
		rest: both(hang),
		peak: keyPose{pelvis: Vec{0, 0, -.10}, pitch: 62, headDown: 15, armL: reach{25, 88, 15}, armR: reach{25, 88, 15}},
	},
}

// mirrorOf names the activity whose mirror image another one is.
var mirrorOf = map[int]int{5: 4, 8: 7, 10: 9, 14: 13, 16: 15, 18: 17, 21: 20, 23: 22, 25: 24}

// activities is indexed by the activity's number, 1 to 27.
var activities = func() (out [numActivities + 1]activity) {
	for n := 1; n <= numActivities; n++ {
		m, ok := movements[n]
		if ok {
			out[n] = activity{rest: m.rest.params(), peak: m.peak.params(), path: m.path, stepLiftM: m.stepLiftM, stepFoot: footL}
		} else {
			left := out[mirrorOf[n]]
			out[n] = left
			out[n].rest, out[n].peak = left.rest.mirrored(), left.peak.mirrored()
			out[n].stepFoot = footR
		}
		out[n].tempo = tempos[n]
	}
	return out
}()

const numActivities = 27

// maxHold is the longest wait at each end of a repetition, as a share of half
// its length. Nobody waits in the air.
func (a *activity) maxHold() float64 {
	if a.path == pathJump {
		return 0.05
	}
	return 0.18
}

// phaseOffset is where in the cycle from pose 0 over pose 1 and back a
// repetition starts.
func (a *activity) phaseOffset() float64 {
	if a.path == pathMarch {
		return 0.25
	}
	return 0
}

// posture fills p with the posture at share s of the way from pose 0 to pose
// 1, for a person of the given usual amplitude in a repetition of another one.
// At s = 0, where repetitions meet, the latter has no influence.
func (a *activity) posture(s, usual, amplitude float64, p *pose) {
	switch a.path {
	case pathReach:
		share := float64(s * amplitude)
		for i := range p {
			p[i] = a.rest[i] + float64(share*(a.peak[i]-a.rest[i]))
		}
	case pathSwing, pathJump:
		toRest, toPeak := float64(usual*(1-s)), float64(amplitude*s)
		for i := range p {
			p[i] = standingPose[i] + float64(toRest*(a.rest[i]-standingPose[i])) + float64(toPeak*(a.peak[i]-standingPose[i]))
		}
		if a.path == pathJump {
			flight := max(0, p[pelvisY])
			p[footL+1], p[footR+1] = flight, flight
		}
	case pathMarch:
		for i := range p {
			drawn := a.rest[i] + float64(s*(a.peak[i]-a.rest[i]))
			p[i] = standingPose[i] + float64(usual*(drawn-standingPose[i]))
		}
		raisedFoot(a.rest[footL:], float64(amplitude*smoothStep(1-2*s)), p[footL:])
		raisedFoot(a.peak[footR:], float64(amplitude*smoothStep(2*s-1)), p[footR:])
	}
	if a.stepLiftM > 0 {
		p[a.stepFoot+1] += float64(a.stepLiftM * amplitude * 4 * s * (1 - s))
	}
}

func raisedFoot(key []float64, share float64, foot []float64) {
	for i := range 3 {
		foot[i] = share * key[i]
	}
}

// smoothStep goes from 0 at x <= 0 to 1 at x >= 1 without a kink.
func smoothStep(x float64) float64 {
	x = min(max(x, 0), 1)
	return float64(float64(x*x) * (3 - 2*x))
}
