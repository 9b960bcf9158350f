package exercise

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"posefuse/message"
)

// standing is a person of 1.7 m who stands upright 3 m before the camera and
// faces it: x right in the image is the person's left.
func standing() Skeleton {
	s := Skeleton{
		jPelvis: {0, 0, 3}, jSpine: {0, -0.24, 3}, jThorax: {0, -0.48, 3}, jNose: {0, -0.6, 2.95}, jHead: {0, -0.72, 3},
		jRHip: {-0.1, 0, 3}, jRKnee: {-0.1, 0.42, 3}, jRAnkle: {-0.1, 0.84, 3},
		jLHip: {0.1, 0, 3}, jLKnee: {0.1, 0.42, 3}, jLAnkle: {0.1, 0.84, 3},
		jLShoulder: {0.2, -0.45, 3}, jLElbow: {0.2, -0.15, 3}, jLWrist: {0.2, 0.1, 3},
		jRShoulder: {-0.2, -0.45, 3}, jRElbow: {-0.2, -0.15, 3}, jRWrist: {-0.2, 0.1, 3},
	}
	return s
}

func turnedTrunk(s Skeleton, f func(vec) vec) Skeleton {
	for _, j := range []int{jSpine, jThorax, jNose, jHead, jLShoulder, jLElbow, jLWrist, jRShoulder, jRElbow, jRWrist} {
		s[j] = f(s.at(j).sub(s.at(jPelvis))).add(s.at(jPelvis))
	}
	return s
}

func rotX(a float64) func(vec) vec { // forward bend for a person who faces -z
	sin, cos := math.Sincos(a * math.Pi / 180)
	return func(v vec) vec { return vec{v[0], v[1]*cos - v[2]*sin, v[1]*sin + v[2]*cos} }
}

func rotZ(a float64) func(vec) vec { // side bend to the image's right
	sin, cos := math.Sincos(a * math.Pi / 180)
	return func(v vec) vec { return vec{v[0]*cos - v[1]*sin, v[0]*sin + v[1]*cos, v[2]} }
}

func rotY(a float64) func(vec) vec { // turn to the person's left
	sin, cos := math.Sincos(a * math.Pi / 180)
	return func(v vec) vec { return vec{v[0]*cos - v[2]*sin, v[1], v[0]*sin + v[2]*cos} }
}

func TestAngles(t *testing.T) {
	straight := standing()
	kneeBent := standing() // left shank level, backwards
	kneeBent[jLAnkle] = [3]float64{0.1, 0.42, 3.42}
	thighLevel := standing() // left thigh level, forwards, shank down
	thighLevel[jLKnee] = [3]float64{0.1, 0, 2.58}
	thighLevel[jLAnkle] = [3]float64{0.1, 0.42, 2.58}
	armSide := standing() // left arm level to the side
	armSide[jLElbow], armSide[jLWrist] = [3]float64{0.5, -0.45, 3}, [3]float64{0.75, -0.45, 3}
	armFront := standing()
	armFront[jLElbow], armFront[jLWrist] = [3]float64{0.2, -0.45, 2.7}, [3]float64{0.2, -0.7, 2.7}
	rightFront := standing()
	rightFront[jRElbow], rightFront[jRWrist] = [3]float64{-0.2, -0.45, 2.7}, [3]float64{-0.2, -0.45, 2.45}
	lunge := standing()
	lunge[jLAnkle] = [3]float64{0.1, 0.74, 2.5}
	shrug := standing()
	shrug[jLShoulder][1] += 0.4 * math.Tan(10*math.Pi/180)

	for _, tc := range []struct {
		name string
		s    Skeleton
		sig  Signal
		want float64
	}{
		{"standing", straight, Signal{"kneeFlexion", "left"}, 0},
		{"standing", straight, Signal{"hipFlexion", "right"}, 0},
		{"standing", straight, Signal{"trunkLean", ""}, 0},
		{"standing", straight, Signal{"trunkTwist", ""}, 0},
		{"standing", straight, Signal{"kneeAnkleRatio", ""}, 1},
		{"standing", straight, Signal{"armExtension", "left"}, 0},
		{"knee bent", kneeBent, Signal{"kneeFlexion", "left"}, 90},
		{"knee bent", kneeBent, Signal{"kneeFlexion", "right"}, 0},
		{"knee bent", kneeBent, Signal{"kneeFlexion", "mean"}, 45},
		{"knee bent", kneeBent, Signal{"kneeFlexion", "min"}, 0},
		{"knee bent", kneeBent, Signal{"kneeFlexion", "max"}, 90},
		{"knee bent", kneeBent, Signal{"kneeDifference", ""}, 90},
		{"thigh level", thighLevel, Signal{"thighElevation", "left"}, 90},
		{"thigh level", thighLevel, Signal{"hipFlexion", "left"}, 90},
		{"thigh level", thighLevel, Signal{"ankleLift", "left"}, 0.5},
		{"arm to the side", armSide, Signal{"shoulderElevation", "left"}, 90},
		{"arm to the side", armSide, Signal{"armPlane", "left"}, 0},
		{"arm to the side", armSide, Signal{"armExtension", "left"}, 1},
		{"arm in front", armFront, Signal{"armPlane", "left"}, 90},
		{"arm in front", armFront, Signal{"elbowFlexion", "left"}, 90},
		{"right arm in front", rightFront, Signal{"armPlane", "right"}, 90},
		{"forward bend", turnedTrunk(standing(), rotX(30)), Signal{"trunkLean", ""}, 30},
		{"forward bend", turnedTrunk(standing(), rotX(30)), Signal{"shoulderElevation", "left"}, 0},
		{"bend to the left", turnedTrunk(standing(), rotZ(20)), Signal{"trunkSide", ""}, 20},
		{"bend to the right", turnedTrunk(standing(), rotZ(-20)), Signal{"trunkSide", ""}, -20},
		{"twist to the left", turnedTrunk(standing(), rotY(25)), Signal{"trunkTwist", ""}, 25},
		{"lunge", lunge, Signal{"ankleLead", "left"}, 0.5 / 0.83},
		{"lunge", lunge, Signal{"ankleLead", "right"}, -0.5 / 0.83},
		{"left shoulder low", shrug, Signal{"shoulderTilt", ""}, 10},
	} {
		b := body{&tc.s, &calibration{}}
		if tc.sig.Name == "ankleLift" {
			tc.want = 0.42 / 0.83
		}
		got, ok := tc.sig.value(b, Left)
		if !ok || math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %s %s is %v (%v), want %v", tc.name, tc.sig.Name, tc.sig.Side, got, ok, tc.want)
		}
	}
}

// TestDegenerate: impossible segments make an angle invalid, not zero.
func TestDegenerate(t *testing.T) {
	cal := &calibration{lengths: lengthsOf(new(Skeleton))}
	s := standing()
	cal.lengths = lengthsOf(&s)
	short := standing()
	short[jLKnee] = [3]float64{0.1, 0.04, 3}
	long := standing()
	long[jLAnkle] = [3]float64{0.1, 0.42 + 0.42*1.41, 3}
	for name, s := range map[string]Skeleton{"short": short, "long": long} {
		b := body{&s, cal}
		if v, ok := b.kneeFlexion(Left); ok {
			t.Errorf("%s segment: knee flexion %v", name, v)
		}
		if _, ok := b.kneeFlexion(Right); !ok {
			t.Errorf("%s segment: the other knee is invalid, too", name)
		}
	}
	if v, ok := (body{&s, &calibration{}}).pelvisDrop(); ok {
		t.Errorf("pelvis drop %v without calibration", v)
	}
	var zero Skeleton
	for n, q := range quantities {
		if v, _ := q.value(body{&zero, &calibration{}}, Left); math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%s of a collapsed skeleton is %v", n, v)
		}
	}
}

// TestAngleExtremes: the quotient-free form is exact near 0 and 180 degrees.
func TestAngleExtremes(t *testing.T) {
	for _, want := range []float64{0, 1e-6, 1e-3, 90, 180 - 1e-3, 180 - 1e-6, 180} {
		r := want * math.Pi / 180
		if got := angleDeg(vec{1, 0, 0}, vec{math.Cos(r), math.Sin(r), 0}); math.Abs(got-want) > 1e-9 {
			t.Errorf("angle %v, want %v", got, want)
		}
	}
}

// TestAnglesInvariant: for poses well inside the limits of validity, moving and turning a person about the vertical changes
// no quantity, and a mirror exchanges sides.
func TestAnglesInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := standing()
		for j := range s {
			for k := range 3 {
				s[j][k] += rapid.Float64Range(-0.06, 0.06).Draw(t, "shift")
			}
		}
		turn := rotY(rapid.Float64Range(-180, 180).Draw(t, "turn"))
		move := vec{rapid.Float64Range(-3, 3).Draw(t, "x"), 0, rapid.Float64Range(-3, 3).Draw(t, "z")}
		var moved Skeleton
		for j := range s {
			moved[j] = turn(s.at(j)).add(move)
		}
		mirrored := s.Mirror()
		place := vec{0.3, 0, 3.1}
		cal := &calibration{place: place}
		calMoved, calMirrored := &calibration{place: turn(place).add(move)}, &calibration{place: vec{-place[0], place[1], place[2]}}
		for n, q := range quantities {
			for _, side := range []Side{Left, Right} {
				v, ok := q.value(body{&s, cal}, side)
				w, ok2 := q.value(body{&moved, calMoved}, side)
				if ok != ok2 || ok && math.Abs(math.Remainder(v-w, 360)) > 1e-6 {
					t.Fatalf("%s %s: %v, moved %v", n, side, v, w)
				}
				x, ok3 := q.value(body{&mirrored, calMirrored}, side.Other())
				signed := n == "trunkSide" || n == "trunkTwist" || n == "shoulderTilt" || n == "pelvisTilt" || n == "pelvisShift"
				if signed {
					x = -x
				}
				if ok != ok3 || ok && math.Abs(math.Remainder(v-x, 360)) > 1e-6 {
					t.Fatalf("%s %s: %v, mirrored %v", n, side, v, x)
				}
			}
		}
	})
}

func TestFromPose(t *testing.T) {
	joints := [17][3]float64(standing())
	level, ok := FromPose(&message.Pose{Frame: "camera", JointsM: &joints}, 0)
	if !ok || level != standing() {
		t.Error("a level camera changes the skeleton")
	}
	// A camera that looks down by 10 degrees sees a standing person leaning
	// towards it: undone by the tilt.
	sin, cos := math.Sincos(10 * math.Pi / 180)
	var tilted [17][3]float64
	for j, p := range joints {
		tilted[j] = [3]float64{p[0], p[1]*cos - p[2]*sin, p[1]*sin + p[2]*cos}
	}
	s, ok := FromPose(&message.Pose{Frame: "camera", JointsM: &tilted}, 10)
	if lean, valid := (body{&s, &calibration{}}).trunkLean(); !ok || !valid || lean > 1e-6 {
		t.Errorf("lean %v after the tilt is undone", lean)
	}
	s, _ = FromPose(&message.Pose{Frame: "camera", JointsM: &tilted}, 0)
	if lean, _ := (body{&s, &calibration{}}).trunkLean(); math.Abs(lean-10) > 1e-6 {
		t.Errorf("lean %v without undoing a tilt of 10", lean)
	}
	// An unknown joint takes the angles with it that need it, and no others.
	tilted[jRAnkle] = [3]float64{math.NaN(), math.NaN(), math.NaN()}
	s, ok = FromPose(&message.Pose{JointsM: &tilted}, 0)
	for side, want := range map[string]bool{"left": true, "right": false} {
		if v, valid := (Signal{"kneeFlexion", side}).value(body{&s, &calibration{}}, Left); !ok || valid != want {
			t.Errorf("%s knee %v %v without the right ankle", side, v, valid)
		}
	}
	for j := range tilted[:maxUnknown+1] {
		tilted[j][0] = math.NaN()
	}
	if _, ok := FromPose(&message.Pose{JointsM: &tilted}, 0); ok {
		t.Error("a pose of few joints accepted")
	}
	tilted = joints
	tilted[3][1] = math.Inf(1)
	if _, ok := FromPose(&message.Pose{JointsM: &tilted}, 0); ok {
		t.Error("infinity accepted")
	}
	if _, ok := FromPose(&message.Pose{}, 0); ok {
		t.Error("a pose without joints accepted")
	}
}
