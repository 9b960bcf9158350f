package person

import (
	"math"

	"posefuse/sensors/modality"
)

const (
	sightHoldNS = 500e6
	ankleM      = 0.09 // height of an ankle above the floor
	maxRays     = 64
	minRays     = 3
	wholeRays   = 14    // of 17
	sureFeetNS  = 190e6 // feet seen for so long are no wrong joint
)

// sight is what the camera saw last.
type sight struct {
	atNS    int64
	origin  [3]float64
	dirs    [][3]float64
	bearing [2]float64 // horizontal unit vector to the middle of the joints
	steep   float64    // rise of the highest ray per metre of floor

	feetM      [2]float64
	feetNS     int64
	feetFromNS int64 // since when feet are found
}

// Rays takes where the camera sees the person: the sure joints as unit
// directions from the lens, room frame, and those of them that are ankles. It
// also says that the camera takes somebody for a person. The slices are not
// kept.
func (f *Finder) Rays(atNS int64, originM [3]float64, joints, ankles [][3]float64) {
	s := &f.sight
	var sum [2]float64
	steep := math.Inf(-1)
	s.dirs = s.dirs[:0]
	for _, d := range joints {
		flat := math.Hypot(d[0], d[1])
		if !(flat > 0.2) || len(s.dirs) == maxRays { // also drops what is no number
			continue
		}
		s.dirs = append(s.dirs, d)
		sum[0] += d[0] / flat
		sum[1] += d[1] / flat
		steep = max(steep, d[2]/flat)
	}
	l := math.Hypot(sum[0], sum[1])
	if len(s.dirs) < minRays || !(l > 0.5*float64(len(s.dirs))) {
		s.atNS = 0
		return
	}
	s.origin, s.steep, s.bearing = originM, steep, [2]float64{sum[0] / l, sum[1] / l}
	if s.atNS == 0 || atNS-s.atNS > sightHoldNS {
		s.feetFromNS = 0
	}
	s.atNS = atNS
	if at, ok := f.onFloor(originM, ankles); ok {
		if s.feetFromNS == 0 {
			s.feetFromNS = atNS
		}
		s.feetM, s.feetNS = at, atNS
		f.sawFeet(atNS)
	}
}

// onFloor returns the place between the feet: where the rays of the ankles meet
// the floor inside the region. A raised foot would lie farther away, so that two
// places far apart leave the nearer one.
func (f *Finder) onFloor(origin [3]float64, ankles [][3]float64) (at [2]float64, ok bool) {
	var far float64
	for _, d := range ankles {
		if !(d[2] < -0.05) { // too flat to tell
			continue
		}
		t := (origin[2] - ankleM) / -d[2]
		p := [2]float64{origin[0] + t*d[0], origin[1] + t*d[1]}
		if t <= 0 || f.grid.column(p[0], p[1]) < 0 {
			continue
		}
		switch {
		case !ok:
			at, far, ok = p, t, true
		case distance2(at, p) < 0.6*0.6:
			at = [2]float64{(at[0] + p[0]) / 2, (at[1] + p[1]) / 2}
		case t < far:
			at, far = p, t
		}
	}
	return at, ok
}

// sawFeet lets the track follow the feet where no LiDAR does, and starts one
// where no LiDAR looks.
func (f *Finder) sawFeet(atNS int64) {
	s, v := &f.state, &f.sight
	f.expire(atNS)
	sweeps := s.sweepNS != 0 && atNS-s.sweepNS < 1e9
	if !s.alive {
		if atNS-v.feetFromNS < sureFeetNS || sweeps {
			return
		}
		s.born(atNS, v.feetM)
	}
	d := distance2(v.feetM, s.placeM)
	if s.seen(modality.LiDAR, atNS, lidarHoldNS) {
		if d < 0.5*0.5 {
			s.seenNS[modality.Camera] = atNS
		}
		return
	}
	if d > 1 {
		if sweeps { // somebody else, or a wrong joint
			return
		}
		s.placeM = v.feetM
	}
	follow := followed(0.4, stepS(s.seenNS[modality.Camera], atNS))
	for k := range 2 {
		s.placeM[k] += follow * (v.feetM[k] - s.placeM[k])
	}
	s.slowM = s.placeM
	s.seenNS[modality.Camera] = atNS
	s.stir(atNS)
}

// fresh reports whether the camera sees somebody at present.
func (s *sight) fresh(atNS int64) bool {
	return s.atNS != 0 && atNS-s.atNS <= sightHoldNS && s.atNS-atNS <= sightHoldNS
}

// feet returns where the camera sees the feet, after it has seen them for a while.
func (s *sight) feet(atNS int64) ([2]float64, bool) {
	return s.feetM, s.fresh(atNS) && s.feetNS-s.feetFromNS >= sureFeetNS && atNS-s.feetNS <= sightHoldNS
}

// onFeet says whether a thing in the camera's direction stands where the camera
// sees the feet: 1.25 if it does, -1.25 for what stands nearer or farther, 0 if
// nobody knows. It is no more than a preference, for a tilt that is wrong by a
// degree moves feet by a fifth of a metre.
func (s *sight) onFeet(atNS int64, middleM [2]float64) float64 {
	if !s.fresh(atNS) || s.feetNS != s.atNS {
		return 0
	}
	away := math.Sqrt(distance2(s.feetM, [2]float64{s.origin[0], s.origin[1]}))
	if within := 0.3 + 0.1*away; distance2(middleM, s.feetM) > within*within {
		return -1.25
	}
	return 1.25
}

// agrees reports whether the person whom the camera sees may be a thing around a
// place: in the direction of the rays, and as high as the highest of them there.
func (s *sight) agrees(atNS int64, middleM [2]float64, topM float64) bool {
	if !s.fresh(atNS) {
		return false
	}
	dx, dy := middleM[0]-s.origin[0], middleM[1]-s.origin[1]
	along := dx*s.bearing[0] + dy*s.bearing[1]
	aside := dx*s.bearing[1] - dy*s.bearing[0]
	top := s.origin[2] + s.steep*along
	return along > 0.3 && math.Abs(aside) < 0.4 && topM > top-0.3 && topM < top+0.5
}

// whole reports whether the camera sees nearly all joints.
func (s *sight) whole() bool { return len(s.dirs) >= wholeRays }

// joint reports whether a ray passes a place, within rM.
func (s *sight) joint(atNS int64, at [3]float64, rM float64) bool {
	if !s.fresh(atNS) {
		return false
	}
	p := [3]float64{at[0] - s.origin[0], at[1] - s.origin[1], at[2] - s.origin[2]}
	for i := range s.dirs {
		d := &s.dirs[i]
		along := p[0]*d[0] + p[1]*d[1] + p[2]*d[2]
		x, y, z := p[0]-along*d[0], p[1]-along*d[1], p[2]-along*d[2]
		if along > 0 && x*x+y*y+z*z < rM*rM {
			return true
		}
	}
	return false
}
