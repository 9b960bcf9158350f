package exercise_test

import (
	"math"
	"math/rand/v2"

	"posefuse/recording"
)

// figure is a person made of rods, whose posture is written down: nobody's
// recording and not the simulator's, so that what is learned from those is
// tried on something else.
type figure struct {
	heightM float64
	turnDeg float64 // to the left of the camera
	awayM   float64 // from it
}

// posture of a figure; the zero value stands with hanging arms. Lengths are in
// shares of the leg, angles in degrees; index 0 is right, 1 left.
type posture struct {
	pelvis  [3]float64    // left, down, forward of standing
	foot    [2][3]float64 // outwards, up, forward of standing
	kneeOut float64       // 0: knees bend forwards, 1: outwards
	lean    float64       // forwards
	side    float64       // to the left
	raise   [2]float64    // of the upper arm
	plane   [2]float64    // 0 sideways, 90 forwards
	elbow   [2]float64
}

// between is a posture on the way from a to b.
func between(a, b posture, w float64) posture {
	mix := func(x, y float64) float64 { return x + w*(y-x) }
	m := posture{kneeOut: mix(a.kneeOut, b.kneeOut), lean: mix(a.lean, b.lean), side: mix(a.side, b.side)}
	for k := range 3 {
		m.pelvis[k] = mix(a.pelvis[k], b.pelvis[k])
	}
	for s := range 2 {
		m.raise[s], m.plane[s], m.elbow[s] = mix(a.raise[s], b.raise[s]), mix(a.plane[s], b.plane[s]), mix(a.elbow[s], b.elbow[s])
		for k := range 3 {
			m.foot[s][k] = mix(a.foot[s][k], b.foot[s][k])
		}
	}
	return m
}

// mirrored exchanges left and right.
func (p posture) mirrored() posture {
	p.pelvis[0], p.side = -p.pelvis[0], -p.side
	p.foot[0], p.foot[1] = p.foot[1], p.foot[0]
	p.raise[0], p.raise[1] = p.raise[1], p.raise[0]
	p.plane[0], p.plane[1] = p.plane[1], p.plane[0]
	p.elbow[0], p.elbow[1] = p.elbow[1], p.elbow[0]
	return p
}

type vec3 [3]float64

func (a vec3) plus(b vec3, f float64) vec3 {
	return vec3{a[0] + f*b[0], a[1] + f*b[1], a[2] + f*b[2]}
}
func (a vec3) size() float64 { return math.Sqrt(a[0]*a[0] + a[1]*a[1] + a[2]*a[2]) }
func (a vec3) dot(b vec3) float64 {
	return a[0]*b[0] + a[1]*b[1] + a[2]*b[2]
}

// pose is the figure's in the camera frame; x is to its left before it turns.
func (f figure) pose(p posture) (out recording.Pose) {
	k := f.heightM / 1.75
	leg := 0.86 * k
	var j [17]vec3
	const floor = 0.83 // below the camera, at the ankles
	j[0] = vec3{leg * p.pelvis[0], floor - leg*0.995 + leg*p.pelvis[1], -leg * p.pelvis[2]}
	for s, hip := range [2]int{1, 4} {
		sign := float64(2*s - 1)
		j[hip] = j[0].plus(vec3{sign, 0, 0}, 0.12*k)
		ankle := vec3{sign * (0.12*k + leg*p.foot[s][0]), floor - leg*p.foot[s][1], -leg * p.foot[s][2]}
		way := ankle.plus(j[hip], -1)
		if n := way.size(); n > 0.998*leg { // the leg is no longer
			ankle = j[hip].plus(way, 0.998*leg/n)
			way = ankle.plus(j[hip], -1)
		}
		bend := vec3{sign * p.kneeOut, 0, -(1 - p.kneeOut)}
		n := way.size()
		bend = bend.plus(way, -bend.dot(way)/(n*n))
		h := math.Sqrt(leg*leg/4 - n*n/4)
		j[hip+1] = j[hip].plus(way, 0.5).plus(bend, h/bend.size())
		j[hip+2] = ankle
	}
	sl, cl := math.Sincos(p.lean * math.Pi / 180)
	ss, cs := math.Sincos(p.side * math.Pi / 180)
	up := vec3{ss, -cl * cs, -sl * cs}
	left := vec3{cs, cl * ss, 0}
	ahead := vec3{up[1]*left[2] - up[2]*left[1], up[2]*left[0] - up[0]*left[2], up[0]*left[1] - up[1]*left[0]}
	if ahead[2] > 0 {
		ahead = vec3{-ahead[0], -ahead[1], -ahead[2]}
	}
	j[7], j[8] = j[0].plus(up, 0.25*k), j[0].plus(up, 0.5*k)
	j[9] = j[8].plus(up, 0.16*k).plus(ahead, 0.06*k)
	j[10] = j[8].plus(up, 0.30*k)
	for s, shoulder := range [2]int{14, 11} {
		out := left
		if s == 0 {
			out = vec3{-left[0], -left[1], -left[2]}
		}
		j[shoulder] = j[8].plus(out, 0.18*k).plus(up, -0.03*k)
		se, ce := math.Sincos((p.raise[s] + 10) * math.Pi / 180)
		sp, cp := math.Sincos(p.plane[s] * math.Pi / 180)
		upper := vec3{}.plus(up, -ce).plus(out, se*cp).plus(ahead, se*sp)
		// The forearm bends from the upper arm's direction to the front and inwards.
		inward := vec3{}.plus(out, -0.5).plus(ahead, 1).plus(up, 0.3)
		inward = inward.plus(upper, -inward.dot(upper))
		sb, cb := math.Sincos((p.elbow[s] + 8) * math.Pi / 180)
		fore := vec3{}.plus(upper, cb).plus(inward, sb/inward.size())
		j[shoulder+1] = j[shoulder].plus(upper, 0.29*k)
		j[shoulder+2] = j[shoulder+1].plus(fore, 0.26*k)
	}
	st, ct := math.Sincos(f.turnDeg * math.Pi / 180)
	for i, q := range j {
		x, z := q[0]*ct-q[2]*st, q[0]*st+q[2]*ct
		out[i] = [3]float64{x, q[1], 3.1 + f.awayM + z}
	}
	return out
}

// plan is what a figure does, one posture after the other.
type plan struct {
	who   figure
	rateS float64 // seconds from pose to pose, 0: 0.1
	now   posture
	poses stream
}

func (p *plan) period() float64 {
	if p.rateS == 0 {
		return 0.1
	}
	return p.rateS
}

// to moves to a posture in so many seconds, without a jerk.
func (p *plan) to(next posture, seconds float64) *plan {
	n := max(int(math.Round(seconds/p.period())), 1)
	for i := range n {
		w := (1 - math.Cos(math.Pi*float64(i+1)/float64(n))) / 2
		p.poses = append(p.poses, p.who.pose(between(p.now, next, w)))
	}
	p.now = next
	return p
}

// hold stays as it is.
func (p *plan) hold(seconds float64) *plan {
	for range int(math.Round(seconds / p.period())) {
		p.poses = append(p.poses, p.who.pose(p.now))
	}
	return p
}

// tremble adds a little independent noise to every joint.
func tremble(s stream, seed uint64, sigmaM float64) stream {
	rng := rand.New(rand.NewPCG(seed, 5))
	out := make(stream, len(s))
	for i := range s {
		for j := range s[i] {
			for k := range 3 {
				out[i][j][k] = s[i][j][k] + sigmaM*rng.NormFloat64()
			}
		}
	}
	return out
}

// way is how a figure does an exercise: its repetition as postures with the
// share of the time that reaching each takes.
type way struct {
	activity string
	name     string
	start    posture // between repetitions
	steps    []posture
	shares   []float64
	usualS   float64
}

// repetition does one.
func (p *plan) repetition(w way, seconds float64) *plan {
	for i, q := range w.steps {
		p.to(q, seconds*w.shares[i])
	}
	return p
}

// mirrored is the same of the other side.
func (w way) mirrored(activity string) way {
	w.activity, w.start = activity, w.start.mirrored()
	steps := make([]posture, len(w.steps))
	for i, q := range w.steps {
		steps[i] = q.mirrored()
	}
	w.steps = steps
	return w
}

// ways lists how the exercises are done here, in several ways where people do.
func ways() (list []way) {
	half := []float64{0.5, 0.5}
	stand := posture{}
	simple := func(activity, name string, start, peak posture, usualS float64) way {
		return way{activity, name, start, []posture{peak, start}, half, usualS}
	}
	both := func(w way, mirror string) { list = append(list, w, w.mirrored(mirror)) }

	squat := posture{pelvis: [3]float64{0, 0.42, -0.2}, lean: 32, raise: [2]float64{70, 70}, plane: [2]float64{90, 90}}
	list = append(list, simple("A12", "arms forward", stand, squat, 2.2))
	hips := posture{raise: [2]float64{25, 25}, plane: [2]float64{-10, -10}, elbow: [2]float64{85, 85}}
	deep := squat
	deep.raise, deep.plane, deep.elbow = hips.raise, hips.plane, hips.elbow
	list = append(list, simple("A12", "hands on hips", hips, deep, 2.2))
	chest := posture{raise: [2]float64{35, 35}, plane: [2]float64{50, 50}, elbow: [2]float64{110, 110}}
	low := posture{pelvis: [3]float64{0, 0.3, -0.15}, lean: 20, raise: chest.raise, plane: chest.plane, elbow: chest.elbow}
	list = append(list, simple("A12", "arms at the chest, not deep", chest, low, 2.2))

	left := func(v float64) [2]float64 { return [2]float64{0, v} }
	lunge := posture{pelvis: [3]float64{0, 0.30, 0.38}, foot: [2][3]float64{{}, {0, 0, 0.75}}}
	both(simple("A09", "hanging arms", stand, lunge, 2.2), "A10")
	handsLunge := lunge
	handsLunge.raise, handsLunge.plane, handsLunge.elbow = hips.raise, hips.plane, hips.elbow
	both(simple("A09", "hands on hips", hips, handsLunge, 2.2), "A10")
	sideLunge := posture{pelvis: [3]float64{0.42, 0.22, -0.05}, foot: [2][3]float64{{}, {0.75, 0, 0}}, lean: 25, kneeOut: 0.3}
	both(simple("A15", "hanging arms", stand, sideLunge, 2.5), "A16")
	sideChest := sideLunge
	sideChest.raise, sideChest.plane, sideChest.elbow = chest.raise, chest.plane, chest.elbow
	both(simple("A15", "arms at the chest", chest, sideChest, 2.5), "A16")

	raised := posture{raise: left(150)}
	both(simple("A13", "sideways", stand, raised, 2.0), "A14")
	forward := posture{raise: left(155), plane: left(40)}
	both(simple("A13", "half forwards", posture{plane: left(40)}, forward, 2.0), "A14")

	bent := posture{raise: left(35), plane: left(45), elbow: left(105)}
	out := posture{raise: left(80), plane: left(5), elbow: left(0)}
	both(simple("A07", "from the chest", bent, out, 2.6), "A08")
	both(way{"A07", "from hanging", stand, []posture{out, bent, out, stand}, []float64{0.25, 0.25, 0.25, 0.25}, 3.6}, "A08")
	bent2 := posture{raise: [2]float64{35, 35}, plane: [2]float64{45, 45}, elbow: [2]float64{105, 105}}
	out2 := posture{raise: [2]float64{80, 80}, plane: [2]float64{5, 5}}
	list = append(list, simple("A11", "from the chest", bent2, out2, 2.6))
	list = append(list, way{"A11", "from hanging", stand, []posture{out2, bent2, out2, stand}, []float64{0.25, 0.25, 0.25, 0.25}, 3.6})

	opened := posture{raise: [2]float64{72, 72}, plane: [2]float64{0, 0}, elbow: [2]float64{90, 90}}
	closed := posture{raise: [2]float64{72, 72}, plane: [2]float64{75, 75}, elbow: [2]float64{90, 90}}
	list = append(list, simple("A01", "closed between", closed, opened, 1.0))

	lift := func(s int) posture {
		var p posture
		p.foot[s] = [3]float64{0, 0.42, 0.35}
		return p
	}
	list = append(list, way{"A06", "", stand, []posture{lift(1), stand, lift(0), stand}, []float64{0.25, 0.25, 0.25, 0.25}, 1.4})

	stretched := posture{pelvis: [3]float64{-0.12, 0, 0}, side: -15, raise: left(85), foot: [2][3]float64{{}, {0.45, 0.25, 0}}}
	both(simple("A24", "", stand, stretched, 2.0), "A25")

	dip := posture{pelvis: [3]float64{0, 0.2, -0.08}, lean: 15}
	flight := posture{pelvis: [3]float64{0, -0.16, 0}, foot: [2][3]float64{{0, 0.15, 0}, {0, 0.15, 0}}}
	list = append(list, way{"A26", "", stand, []posture{dip, flight, stand}, []float64{0.4, 0.3, 0.3}, 1.2})
	return list
}
