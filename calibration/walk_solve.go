package calibration

import (
	"fmt"
	"math"
	"slices"

	"posefuse/frame"
)

// Sensors is how the sensors of a room stand, found from a Walk. The room's origin
// lies on the floor below the camera, which looks along y.
type Sensors struct {
	Camera frame.CameraPose
	LiDAR  frame.SensorPose
	Radar  *frame.SensorPose // nil if the radar saw too little
	// CameraDeviation and RadarDeviation are standard deviations of the place to
	// the LiDAR: of camera and radar, metres, and degrees.
	CameraDeviation, RadarDeviation PoseDeviation
	// FocalPx is the focal length in pixels, where it was to be found, and its
	// standard deviation.
	FocalPx, FocalDeviationPx float64
	ResidualM                 float64 // RMS of the sights used, at the person's distance
	RadarResidualM            float64
	Used, Rejected            int // sights of a mark
	RadarUsed, RadarRejected  int
	// RepeatM and RepeatDeg are by how much the camera's place differs between the
	// walk's two halves.
	RepeatM, RepeatDeg float64
}

// PoseDeviation is how well a pose is known, one standard deviation.
type PoseDeviation struct {
	PositionM [3]float64 `json:"position_m"`
	PanDeg    float64    `json:"pan_deg"`
	TiltDeg   float64    `json:"tilt_deg"`
	RollDeg   float64    `json:"roll_deg"`
}

// joint is one sight of the camera with the person's place.
type joint struct {
	*sight
	use [numMarks]bool // seen, and not rejected
	at  [2]float64
	mps [2]float64
}

// The camera's parameters in the LiDAR's levelled frame.
const (
	parX = iota
	parY
	parZ
	parPan // radians, like the next two
	parTilt
	parRoll
	parMark                       // heights of the marks over the person's
	parAxis  = parMark + numMarks // metres from the place that the LiDAR sees to the body's axis
	parLate  = parAxis + 1        // seconds by which the camera's stamps are late against the LiDAR's
	parFocal = parLate + 1        // logarithm of the focal length over the one thought; last, if it is free
)

// sightM is what a mark is usually off, across the line of sight, metres.
const sightM = 0.05

const (
	// axisM is how well is known how far behind its visible points a body's axis is.
	axisM = 0.03
	lateS = 0.03 // how well the sensors' stamps agree
)

// priorWeight makes what is known of bodies count as much as it should against
// sights of which about ten in a row say the same.
const priorWeight = 3

// Solve finds the sensors' places. With focal the camera's focal length, too; else
// the lens of the rig is taken as it is. It returns an *UndeterminedError if the
// walk says too little.
func (w *Walk) Solve(focal bool) (*Sensors, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	joints := w.joints()
	if len(joints) < minSights {
		return nil, &UndeterminedError{fmt.Sprintf("camera and LiDAR saw the person at once %d times, at least %d are needed: stay in the camera's picture, and in sight of the LiDAR", len(joints), minSights)}
	}
	tall := w.tall()
	first, err := w.firstCamera(joints, tall, focal)
	if err != nil {
		return nil, err
	}
	p := slices.Clone(first)
	l := w.cameraLeast(joints, tall, focal)
	l.solve(p, 60)
	s := &Sensors{}
	for range 3 {
		// What is far off says nothing: another person, a joint mistaken.
		s.Rejected += reject(l, p, joints)
		l.solve(p, 60)
	}
	s.measure(l, p, joints)
	if s.ResidualM > 0.15 || s.Rejected > s.Used {
		return nil, &UndeterminedError{fmt.Sprintf("what the camera sees is %.2f m from where the LiDAR sees the person, and %d of %d sights fit: only one person may be in the room, and both sensors' times must be right", s.ResidualM, s.Used, s.Used+s.Rejected)}
	}
	deviation, ok := l.deviations(p, alike(l, p, joints))
	if !ok {
		return nil, &UndeterminedError{"walk further to and fro, and from side to side"}
	}
	s.CameraDeviation = poseDeviation(deviation)
	if focal {
		f := w.rig.Camera.FxPx * math.Exp(p[parFocal])
		s.FocalPx, s.FocalDeviationPx = f, f*math.Hypot(deviation[parFocal], bodyM/distance(joints))
	}
	s.RepeatM, s.RepeatDeg = w.halves(joints, tall, focal, p)
	w.place(s, p)
	w.solveRadar(s, p)
	return s, nil
}

func (w *Walk) joints() (out []joint) {
	for i := range w.sights {
		if at, mps, ok := w.placeAt(w.sights[i].atNS); ok {
			out = append(out, joint{&w.sights[i], w.sights[i].have, at, mps})
		}
	}
	return out
}

// tall returns the person's height: the highest points of an upright walk.
func (w *Walk) tall() float64 {
	tops := make([]float64, len(w.places))
	for i, p := range w.places {
		tops[i] = p.topM
	}
	slices.Sort(tops)
	return tops[len(tops)*3/4]
}

// levelFromCamera returns the camera's pose of a set of parameters.
func levelFromCamera(p []float64) frame.Transform {
	c := frame.CameraPose{PositionM: vec{p[parX], p[parY], p[parZ]}, PanDeg: degrees(p[parPan]), TiltDeg: degrees(p[parTilt]), RollDeg: degrees(p[parRoll])}
	return c.RoomFromCamera()
}

func degrees(rad float64) float64 { return rad * 180 / math.Pi }

// cameraLeast returns the camera's problem. Residuals are of the marks, two each,
// then the priors: a body's proportions and where its axis is.
func (w *Walk) cameraLeast(joints []joint, tall float64, focal bool) *least {
	n := 2 * (numMarks*len(joints) + numMarks + 1)
	const prior = priorWeight
	return &least{n: n, residuals: func(p, r []float64) {
		clear(r)
		t := levelFromCamera(p)
		t = t.Inverse()
		scale := 1.0
		if focal {
			scale = math.Exp(-p[parFocal])
		}
		k := 0
		for i := range joints {
			j := &joints[i]
			x, y := j.at[0]-p[parLate]*j.mps[0], j.at[1]-p[parLate]*j.mps[1]
			away := 1 + p[parAxis]/max(math.Hypot(x, y), 0.5)
			for m := range numMarks {
				if j.use[m] {
					q := t.Apply(vec{away * x, away * y, tall * p[parMark+m]})
					z := max(q[2], 0.1)
					if m != markAnkles { // one ankle is not below the body's axis
						r[k] = z * (scale*j.slopes[m][0] - q[0]/z) / sightM
					}
					r[k+1] = z * (scale*j.slopes[m][1] - q[1]/z) / sightM
				}
				k += 2
			}
		}
		for m, share := range markShare {
			r[k] = prior * (p[parMark+m] - share[0]) / share[1]
			k += 2
		}
		r[k] = prior * p[parAxis] / axisM // over trunkAxisM
		r[k+1] = prior * p[parLate] / lateS
	}}
}

// firstCamera looks for the camera all around the LiDAR, with some of the sights.
func (w *Walk) firstCamera(joints []joint, tall float64, focal bool) ([]float64, error) {
	some := joints
	if step := len(joints) / 60; step > 1 {
		some = nil
		for i := 0; i < len(joints); i += step {
			some = append(some, joints[i])
		}
	}
	var best []float64
	least := math.Inf(1)
	for pan := -180.0; pan < 180; pan += 30 {
		n := parFocal
		if focal {
			n++
		}
		p := make([]float64, n)
		p[parZ], p[parPan] = 1.2, pan*math.Pi/180
		for m, share := range markShare {
			p[parMark+m] = share[0]
		}
		if cost := w.cameraLeast(some, tall, focal).solve(p, 40); cost < least && math.Abs(p[parTilt]) < math.Pi/2 {
			best, least = p, cost
		}
	}
	if best == nil {
		return nil, &UndeterminedError{"camera and LiDAR do not agree on any walk"}
	}
	return best, nil
}

// rejectBeyond is the size, in sightM, beyond which a sight counts as rejected.
const rejectBeyond = 4

// reject takes the sights out that are far off, and returns how many.
func reject(l *least, p []float64, joints []joint) (n int) {
	r := make([]float64, l.n)
	l.residuals(p, r)
	for i := range joints {
		for m := range numMarks {
			if k := 2 * (numMarks*i + m); math.Hypot(r[k], r[k+1]) > rejectBeyond {
				joints[i].use[m] = false
				n++
			}
		}
	}
	return n
}

// measure tells how well the marks fit.
func (s *Sensors) measure(l *least, p []float64, joints []joint) {
	r := make([]float64, l.n)
	l.residuals(p, r)
	sum := 0.0
	for i := range joints {
		for m := range numMarks {
			if !joints[i].use[m] {
				continue
			}
			k := 2 * (numMarks*i + m)
			s.Used++
			sum += r[k]*r[k] + r[k+1]*r[k+1]
		}
	}
	s.ResidualM = sightM * math.Sqrt(sum/float64(max(s.Used, 1)))
}

// alike returns by how much less the sights tell than as many independent ones:
// the error of a mark in one picture is like that in the next.
func alike(l *least, p []float64, joints []joint) float64 {
	r := make([]float64, l.n)
	l.residuals(p, r)
	var same, next float64
	const per = 2 * numMarks
	for i := 0; i+1 < len(joints); i++ {
		for k := range per {
			w := l.weight[(per*i+k)/2] * l.weight[(per*(i+1)+k)/2]
			same += w * r[per*i+k] * r[per*i+k]
			next += w * r[per*i+k] * r[per*(i+1)+k]
		}
	}
	rho := min(max(next/max(same, 1e-12), 0), 0.97)
	return (1 + rho) / (1 - rho)
}

// bodyM is what stays unknown of a body however long it walks: where its axis and
// its ankles are, metres.
const bodyM = 0.025

func poseDeviation(d []float64) PoseDeviation {
	return PoseDeviation{PositionM: vec{math.Hypot(d[parX], bodyM), math.Hypot(d[parY], bodyM), math.Hypot(d[parZ], bodyM)}, PanDeg: degrees(d[parPan]), TiltDeg: degrees(d[parTilt]), RollDeg: degrees(d[parRoll])}
}

// halves solves the walk's two halves by themselves.
func (w *Walk) halves(joints []joint, tall float64, focal bool, p []float64) (apartM, apartDeg float64) {
	var t [2]frame.Transform
	for i, half := range [2][]joint{joints[:len(joints)/2], joints[len(joints)/2:]} {
		q := slices.Clone(p)
		w.cameraLeast(half, tall, focal).solve(q, 40)
		t[i] = levelFromCamera(q)
	}
	d := add(t[0].T, t[1].T, -1)
	return math.Sqrt(dot(d, d)), turnDeg(&t[0], &t[1])
}

// turnDeg returns the angle between two poses.
func turnDeg(a, b *frame.Transform) float64 {
	back := a.Inverse()
	d := back.After(b)
	return degrees(math.Acos(min(max((d.R[0][0]+d.R[1][1]+d.R[2][2]-1)/2, -1), 1)))
}

// place brings the result into the room: its origin below the camera, y where
// that looks.
func (w *Walk) place(s *Sensors, p []float64) {
	room := roomFromLevel(p)
	camera := levelFromCamera(p)
	s.Camera = frame.CameraPoseOf(room.After(&camera))
	s.LiDAR = frame.SensorPoseOf(room.After(&w.body.level))
}

// roomFromLevel returns the motion from the LiDAR's levelled frame to the room.
func roomFromLevel(p []float64) frame.Transform {
	sin, cos := math.Sincos(-p[parPan])
	t := frame.Transform{R: [3][3]float64{{cos, -sin, 0}, {sin, cos, 0}, {0, 0, 1}}}
	at := t.Apply(vec{p[parX], p[parY], 0})
	t.T = vec{-at[0], -at[1], 0}
	return t
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// distance returns the usual one between LiDAR and person, metres.
func distance(joints []joint) float64 {
	d := make([]float64, len(joints))
	for i, j := range joints {
		d[i] = math.Hypot(j.at[0], j.at[1])
	}
	return median(d)
}
