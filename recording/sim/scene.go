package sim

import "math"

// Where the devices of MM-Fi's room stand, room frame, metres (simulator.md 4).
const (
	lidarHeightM = 0.95
	radarHeightM = 0.85
)

var (
	transmitterAt = Vec{-1.6, 1.1, 0.2}
	receiverAt    = Vec{+1.6, 1.1, 0.2} // first antenna; the others follow along z
)

const (
	wallAheadM  = 4.6
	wallHalfM   = 2.0
	wallHeightM = 2.6
	numBoxes    = 3
)

// box is solid, with sides along the room's axes.
type box struct {
	lo, hi Vec
}

// intersect returns the distance along the ray to the box, metres.
func (b *box) intersect(o, d Vec) (float64, bool) {
	near, far := 0.0, math.Inf(1)
	for a := range 3 {
		if d[a] == 0 {
			if o[a] < b.lo[a] || o[a] > b.hi[a] {
				return 0, false
			}
			continue
		}
		t0, t1 := (b.lo[a]-o[a])/d[a], (b.hi[a]-o[a])/d[a]
		if t0 > t1 {
			t0, t1 = t1, t0
		}
		near, far = max(near, t0), min(far, t1)
	}
	return near, near > 0 && near <= far
}

// near reports whether the ray, in unit direction d, passes the box's bounding
// sphere: cheap, and false for nearly every ray.
func (b *box) near(o, d Vec) bool {
	oc := vecSub(vecLerp(b.lo, b.hi, 0.5), o)
	size := vecSub(b.hi, b.lo)
	along := vecDot(oc, d)
	return vecDot(oc, oc)-float64(along*along) <= 0.26*vecDot(size, size)
}

// hides reports whether the box stands between eye and p.
func (b *box) hides(eye, p Vec) bool {
	d := vecSub(p, eye)
	t, ok := b.intersect(eye, d)
	return ok && t < 1
}

// scene is what does not move: three boxes per environment, the world's
// furniture, and the shell of the room.
type scene struct {
	boxes     [numBoxes]box
	furniture []box
	wallZM    float64 // of the wall ahead
	shell     box
}

// newScene draws the boxes of an environment, beside the standing place, and
// adds what the world holds.
func newScene(seed uint64, environment int, room *RoomWorld) scene {
	s := NewStream(seed, "scene", environment)
	sc := scene{wallZM: room.AheadM,
		shell: box{lo: Vec{-room.SideM, 0, -room.BehindM}, hi: Vec{room.SideM, room.CeilingM, room.AheadM}}}
	for i := range sc.boxes {
		halfW := float64((0.15 + float64(0.30*s.Float64())) / 2)
		h := 0.15 + float64(0.30*s.Float64())
		halfD := float64((0.15 + float64(0.30*s.Float64())) / 2)
		x := 0.9 + float64(0.9*s.Float64())
		if s.Uint64()&1 == 0 {
			x = -x
		}
		z := 2.2 + float64(2.1*s.Float64())
		sc.boxes[i] = box{lo: Vec{x - halfW, 0, z - halfD}, hi: Vec{x + halfW, h, z + halfD}}
	}
	for i := range room.Furniture {
		sc.furniture = room.Furniture[i].boxes(sc.furniture)
	}
	return sc
}

// cast returns the distance along a ray to what a cropped cloud holds a part of,
// and which it is: floor, wall ahead and the environment's boxes.
func (s *scene) cast(o, d Vec) (float64, Surface) {
	best, on := math.Inf(1), SurfaceNone
	if d[1] < 0 {
		best, on = -o[1]/d[1], SurfaceRoom
	}
	if d[2] > 0 {
		t := (s.wallZM - o[2]) / d[2]
		x := o[0] + float64(t*d[0])
		y := o[1] + float64(t*d[1])
		if t < best && math.Abs(x) <= wallHalfM && y >= 0 && y <= wallHeightM {
			best, on = t, SurfaceRoom
		}
	}
	return nearestBox(s.boxes[:], o, d, best, on)
}

// nearestBox returns the distance along a ray to the first of the boxes, and that
// it is furniture, or what was met before them.
func nearestBox(boxes []box, o, d Vec, best float64, on Surface) (float64, Surface) {
	for i := range boxes {
		if b := &boxes[i]; b.near(o, d) {
			if t, ok := b.intersect(o, d); ok && t < best {
				best, on = t, SurfaceFurniture
			}
		}
	}
	return best, on
}

// occluderBox is the table, chair or therapist of the degradation Occluder.
// Its upper edge, seen from the camera, hides what the severity says of a
// person 3.1 m away.
func occluderBox(severity int) box {
	switch severity {
	case 1: // knees down
		return box{lo: Vec{-0.7, 0, 2.0}, hi: Vec{0.7, 0.62, 2.2}}
	case 2: // hips down
		return box{lo: Vec{-0.7, 0, 2.0}, hi: Vec{0.7, 0.92, 2.2}}
	}
	// half the body, sideways
	return box{lo: Vec{0.0, 0, 2.0}, hi: Vec{0.7, 1.9, 2.2}}
}

// secondMotion moves another person's movement to where the degradation
// SecondPerson puts that person.
type secondMotion struct {
	Motion
	severity int
	startS   float64
}

// at returns the second person's joints at tS.
func (m *secondMotion) at(tS float64) Skeleton {
	var off Vec
	switch m.severity {
	case 1: // standing aside
		off = Vec{1.5, 0, 0}
	case 2: // walking past behind, 4 m in 5 s, back and forth
		off = Vec{pingPong(tS-m.startS, 4, 0.8), 0, 0.8}
	default: // crossing in front
		off = Vec{pingPong(tS-m.startS, 4, 0.8), 0, -1.0}
	}
	sk := m.Motion.At(tS)
	for j := range sk {
		sk[j] = vecAdd(sk[j], off)
	}
	return sk
}

// pingPong returns a position between -widthM/2 and widthM/2 that moves back
// and forth at speedMPS.
func pingPong(tS, widthM, speedMPS float64) float64 {
	d := math.Mod(tS*speedMPS, 2*widthM)
	if d < 0 {
		d += 2 * widthM
	}
	if d > widthM {
		d = float64(2*widthM) - d
	}
	return d - float64(widthM/2)
}
