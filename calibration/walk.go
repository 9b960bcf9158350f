package calibration

import (
	"fmt"
	"math"

	"posefuse/frame"
	"posefuse/person"
	"posefuse/sensors"
)

// Walk is what the sensors of a room see of one person who walks about in it. From
// it Solve tells where the sensors stand to each other. Samples may come in any
// order between sensors; each sensor's own are in order. It is not for concurrent
// use.
type Walk struct {
	rig  frame.Rig // what is thought of it; the camera's lens is known or a guess
	body *body     // nil: the LiDAR is not levelled yet

	places []place
	sights []sight
	echoes []echo
	sweeps int
	floor  []float32 // of sweeps before the LiDAR is levelled
}

// place is where the LiDAR sees the person: x, y in its levelled frame.
type place struct {
	atNS int64
	at   [2]float64
	topM float64
}

// sight is where the camera sees them, as slopes x/z and y/z.
type sight struct {
	atNS   int64
	slopes [numMarks][2]float64
	have   [numMarks]bool
}

// The marks of a body that the camera sees and whose height is the same wherever
// the person stands.
const (
	markShoulders = iota
	markHips
	markAnkles
	numMarks
)

// markJoints are the keypoints, COCO's numbers, whose middle a mark is; of the
// ankles only while both feet are on the floor, side by side.
var markJoints = [numMarks][]int{{5, 6}, {11, 12}, {15, 16}}

// markShare is a mark's height over the person's, and by how much that varies
// between people and detectors (Winter, Biomechanics and Motor Control of Human
// Movement: acromion 0.82, hip 0.53, ankle 0.04 to the joint, and here 1 cm more
// for shoes). The ankles hold the rest to the floor.
var markShare = [numMarks][2]float64{{0.82, 0.05}, {0.53, 0.05}, {0.05, 0.008}}

// echo is where the radar sees them: x to the right, y forward, of a level radar.
type echo struct {
	atNS int64
	at   [2]float64
}

// NewWalk returns a walk that nobody has taken yet, in a room whose sensors are
// thought to stand as rig says: roughly, the LiDAR and the radar within 20 degrees
// of their tilt, which nothing else needs. Where they look and stand is found.
func NewWalk(rig frame.Rig) *Walk { return &Walk{rig: rig} }

// walkRegion is where the person may walk, in the levelled LiDAR's frame.
var walkRegion = person.Box{MinM: [3]float64{-7, -7, -0.2}, MaxM: [3]float64{7, 7, 2.3}}

const (
	floorSweeps   = 10 // in which the floor is looked for together
	floorThin     = 5  // every fifth point of them
	maxUnlevelled = 30 // sweeps may show no floor before that is an error
)

// Cloud takes a sweep, n x 3 metres in the LiDAR's frame. The error is that the
// LiDAR sees no floor.
func (w *Walk) Cloud(atNS int64, xyz []float32) error {
	w.sweeps++
	if w.body == nil {
		// Of several sweeps: one may be cut off, or somebody stand in the way.
		for i := 3 * (w.sweeps % floorThin); i+2 < len(xyz); i += 3 * floorThin {
			w.floor = append(w.floor, xyz[i:i+3]...)
		}
		if w.sweeps%floorSweeps != 0 {
			return nil
		}
		level, err := levelled(w.floor, w.rig.RoomFromLiDAR)
		w.floor = nil
		if err != nil && w.sweeps < maxUnlevelled {
			return nil
		}
		if err != nil {
			return err
		}
		w.body = newBody(level)
	}
	at, track, ok := w.body.find(atNS, xyz)
	if ok && track.Sure >= 0.5 {
		w.places = append(w.places, place{atNS: atNS, at: at, topM: track.HeightM})
	}
	return nil
}

// body finds a person in the sweeps of a LiDAR of which no more is known than how it
// is levelled.
type body struct {
	level  frame.Transform
	finder *person.Finder
	xyz    []float32
	found  []float32
}

func newBody(level frame.Transform) *body {
	return &body{level: level, finder: person.NewFinder(person.Config{Region: &walkRegion, LiDARAtM: level.T})}
}

// find returns where the axis of the person's body is in a sweep, in the levelled
// frame, and false if too little of them is seen.
func (b *body) find(atNS int64, xyz []float32) (at [2]float64, track person.Track, ok bool) {
	b.xyz = b.xyz[:0]
	for i := 0; i+2 < len(xyz); i += 3 {
		p := b.level.Apply(vec{float64(xyz[i]), float64(xyz[i+1]), float64(xyz[i+2])})
		b.xyz = append(b.xyz, float32(p[0]), float32(p[1]), float32(p[2]))
	}
	b.found = b.finder.Cloud(atNS, b.xyz, b.found[:0])
	if track, ok = b.finder.Track(atNS); !ok || len(b.found) < 3*minBodyPoints {
		return at, track, false
	}
	at, ok = trunk(b.found, track.HeightM)
	return at, track, ok
}

// trunk returns where the body's axis is: behind the middle of the points on the
// trunk, seen from the LiDAR at the origin. The track itself would lag behind.
func trunk(xyz []float32, topM float64) (at [2]float64, ok bool) {
	var xs, ys []float64
	for i := 0; i+2 < len(xyz); i += 3 {
		if z := float64(xyz[i+2]); z > 0.55*topM && z < 0.78*topM {
			xs, ys = append(xs, float64(xyz[i])), append(ys, float64(xyz[i+1]))
		}
	}
	if len(xs) < minTrunkPoints {
		return at, false
	}
	// Without arms that are held out.
	mx, my := median(xs), median(ys)
	n := 0.0
	for i := range xs {
		if math.Hypot(xs[i]-mx, ys[i]-my) < trunkRadiusM {
			at[0], at[1], n = at[0]+xs[i], at[1]+ys[i], n+1
		}
	}
	if n < minTrunkPoints {
		return at, false
	}
	at[0], at[1] = at[0]/n, at[1]/n
	d := math.Hypot(at[0], at[1])
	away := 1 + trunkAxisM/max(d, 0.5)
	return [2]float64{away * at[0], away * at[1]}, true
}

const (
	minBodyPoints  = 20 // of a sweep must lie on the person
	minTrunkPoints = 8
	// trunkAxisM is from the middle of a trunk's visible points to its axis: the
	// points are spread over half of a body 0.2 to 0.25 m deep.
	trunkAxisM   = 0.09
	trunkRadiusM = 0.22
)

// minMarkScore is the score under which a keypoint is not used.
const minMarkScore = 0.3

// Keypoints takes a set.
func (w *Walk) Keypoints(atNS int64, k *sensors.Keypoints) {
	s := sight{atNS: atNS}
	n := 0
	for m, joints := range markJoints {
		var x, y float64
		ok := true
		for _, j := range joints {
			ok = ok && k.Score[j] >= minMarkScore && k.XY[j] != [2]float64{}
			x, y = x+k.XY[j][0]/float64(len(joints)), y+k.XY[j][1]/float64(len(joints))
		}
		if !ok || k.Width <= 0 || k.Height <= 0 {
			continue
		}
		if m == markAnkles && !standing(k, y) {
			continue
		}
		s.slopes[m][0], s.slopes[m][1] = w.rig.Camera.Ray(x, y, float64(k.Width), float64(k.Height))
		s.have[m] = true
		n++
	}
	if n >= 2 {
		w.sights = append(w.sights, s)
	}
}

// standing reports whether the ankles, whose middle is at a height in the picture,
// are level: no foot is lifted or before the other.
func standing(k *sensors.Keypoints, ankles float64) bool {
	hips := (k.XY[11][1] + k.XY[12][1]) / 2
	return math.Abs(k.XY[15][1]-k.XY[16][1]) < standingShare*math.Abs(ankles-hips)
}

// standingShare is by how much the ankles may differ in height, of the leg's length
// in the picture.
const standingShare = 0.05

// Radar takes a frame of detections.
func (w *Walk) Radar(atNS int64, points []sensors.RadarPoint) {
	if len(points) < 3 {
		return
	}
	level := w.rig.RoomFromRadar
	level.T = vec{}
	// As the radar looks, whatever it is thought to be turned to.
	look := column(&level, 0)
	turn := math.Atan2(look[0], look[1])
	sin, cos := math.Sincos(turn)
	var xs, ys []float64
	for _, p := range points {
		q := level.Apply(vec{float64(p.X), float64(p.Y), float64(p.Z)})
		xs, ys = append(xs, cos*q[0]-sin*q[1]), append(ys, sin*q[0]+cos*q[1])
	}
	w.echoes = append(w.echoes, echo{atNS, [2]float64{median(xs), median(ys)}})
}

// column is where an axis of the sensor points in the room.
func column(t *frame.Transform, k int) vec { return vec{t.R[0][k], t.R[1][k], t.R[2][k]} }

// joinNS is how far apart two sweeps may be between which the person's place is
// taken to lie on a line.
const joinNS = 350e6

// placeAt returns where the person was at an instant and how fast they went, false
// if the LiDAR did not see them around it.
func (w *Walk) placeAt(atNS int64) (p, mps [2]float64, ok bool) {
	lo, hi := 0, len(w.places)
	for lo < hi {
		if mid := (lo + hi) / 2; w.places[mid].atNS < atNS {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(w.places) || lo == 0 {
		return p, mps, false
	}
	a, b := &w.places[lo-1], &w.places[lo]
	if b.atNS-a.atNS > joinNS {
		return p, mps, false
	}
	f := float64(atNS-a.atNS) / float64(b.atNS-a.atNS)
	s := float64(b.atNS-a.atNS) / 1e9
	for k := range p {
		p[k], mps[k] = a.at[k]+f*(b.at[k]-a.at[k]), (b.at[k]-a.at[k])/s
	}
	return p, mps, true
}

// Progress says how much of the walk is usable: sights of camera and LiDAR at
// once, metres between the outermost places.
func (w *Walk) Progress() (joint int, spanM float64) {
	joint = min(len(w.places), len(w.sights))
	return joint, w.span()
}

// span returns the shorter side of the place walked in.
func (w *Walk) span() float64 {
	if len(w.places) == 0 {
		return 0
	}
	// Principal axes of the places: the smaller deviation, times what a walk that
	// fills its span evenly has.
	var mean [2]float64
	for _, p := range w.places {
		mean[0], mean[1] = mean[0]+p.at[0]/float64(len(w.places)), mean[1]+p.at[1]/float64(len(w.places))
	}
	var xx, xy, yy float64
	for _, p := range w.places {
		dx, dy := p.at[0]-mean[0], p.at[1]-mean[1]
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	n := float64(len(w.places))
	small := (xx+yy)/2 - math.Hypot((xx-yy)/2, xy)
	return math.Sqrt(max(small, 0)/n) * math.Sqrt(12)
}

// What a walk must bring along.
const (
	minSights = 80
	minSpanM  = 1.0
)

// check refuses a walk that says too little.
func (w *Walk) check() error {
	switch {
	case w.sweeps == 0:
		return &UndeterminedError{"no sweep of the LiDAR came"}
	case len(w.places) < minSights:
		return &UndeterminedError{fmt.Sprintf("the LiDAR saw the person in %d of %d sweeps, at least %d are needed: walk about alone, 2 to 5 m from the sensors", len(w.places), w.sweeps, minSights)}
	case w.span() < minSpanM:
		return &UndeterminedError{fmt.Sprintf("the place walked in is %.1f m wide at its narrowest, at least %.0f m are needed: walk to and fro as well as from side to side", w.span(), minSpanM)}
	}
	return nil
}
