package person

import (
	"math"

	"posefuse/frame"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// Stage turns what the sensors of a room see, tick by tick, into what a network
// sees that was trained in an arrangement: the person's points and keypoints,
// wherever they stand and wherever the sensors are. All samples of a tick are
// seen from the place that the ticks before it told, so that their order within
// it does not matter and a recording gives what the live run gave. Until there is
// such a place the order is LiDAR, radar, camera, see Placed.
//
// Times are those of the samples, nanoseconds; nothing depends on how many ticks
// there are a second. A Stage is not safe for concurrent use.
type Stage struct {
	rig         frame.Rig
	arrangement frame.Arrangement
	finder      *Finder

	placed  bool
	fresh   bool       // placed in this tick
	assumed bool       // the distance is a guess
	aloneNS int64      // since when only the camera sees somebody; 0 is not
	sightNS int64      // when the camera last saw a trunk
	pose    spot       // where the person is, as camera and LiDAR agree: keypoints, radar and poses are seen from here
	cloud   spot       // where the LiDAR alone sees them
	toward  [2]float64 // horizontal direction in which the camera sees their trunk, room frame, unit
	sighted bool       // toward is of this tick
	sizeM   float64    // how far away somebody of usual size is whose trunk the camera sees so large; 0: nobody knows
	track   Track      // as the ticks before told it; valid if tracked
	tracked bool

	// What this tick's sensors saw, not yet told.
	swept   bool
	sweepNS int64
	rays    [][3]float64
	ankles  [][3]float64 // those of the rays to the ankles
	keysNS  int64        // of the rays
	radarNS int64        // 0 is no frame
	points  []float32
	doppler []float32

	body   skeleton
	ground ground
	own    ownSets
	atNS   int64     // of the newest sample
	xyz    []float32 // a cloud in the room
	found  []float32 // the person's part of it
	chosen []int     // the person's of the newest radar frame
	told   []int     // the same by what was told later
}

// NewStage returns a stage for a room.
func NewStage(rig frame.Rig, a frame.Arrangement, f *Finder) *Stage {
	return &Stage{rig: rig, arrangement: a, finder: f, ground: ground{a.CameraHeightM, a.DistanceM, screenPerM(&a)}}
}

// Placed reports whether a place of the person is known from the ticks before.
// If not, the first sensor of this tick that finds one gives it to those after
// it: give it LiDAR, radar and camera in this order.
func (s *Stage) Placed() bool { return s.placed && !s.fresh }

// Cloud takes one sweep, n x 3 metres in the LiDAR's frame, and appends the
// person's points to dst in the frame of the arrangement's LiDAR. A second sweep
// of a tick replaces the first.
func (s *Stage) Cloud(atNS int64, xyz, dst []float32) []float32 {
	if s.swept {
		s.finder.takeBack()
	}
	s.swept, s.sweepNS = true, atNS
	s.xyz = apply(&s.rig.RoomFromLiDAR, xyz, 3, s.xyz[:0])
	s.found = s.finder.Cloud(atNS, s.xyz, s.found[:0])
	if !s.settle() {
		return dst
	}
	lidar := sensorFromRoom(s.arrangement.LiDARHeightM)
	t := lidar.After(&s.cloud.view.fromRoom)
	return apply(&t, s.found, 3, dst)
}

// Radar takes one frame of detections and appends the person's to dst as rows
// of x, y, z, Doppler, SNR in the frame of the arrangement's radar. A second frame
// of a tick replaces the first.
func (s *Stage) Radar(atNS int64, points []sensors.RadarPoint, dst []float32) []float32 {
	s.radarNS, s.points, s.doppler = atNS, s.points[:0], s.doppler[:0]
	for _, p := range points {
		q := s.rig.RoomFromRadar.Apply([3]float64{float64(p.X), float64(p.Y), float64(p.Z)})
		s.points = append(s.points, float32(q[0]), float32(q[1]), float32(q[2]))
		s.doppler = append(s.doppler, p.Doppler)
	}
	s.chosen = s.chosen[:0]
	if !s.settle() {
		return dst
	}
	if s.tracked {
		s.chosen = s.finder.radarNear(s.track.PlaceM, s.points, s.doppler, s.chosen)
	}
	for _, i := range s.chosen {
		p := points[i]
		q := s.pose.view.fromRadar.Apply([3]float64{float64(p.X), float64(p.Y), float64(p.Z)})
		dst = append(dst, float32(q[0]), float32(q[1]), float32(q[2]), p.Doppler, p.SNRdB)
	}
	return dst
}

// RadarPerson returns the indices of the person's points in the newest radar frame.
// It is valid until the next one.
func (s *Stage) RadarPerson() []int { return s.chosen }

// Keypoints takes one set and writes it to dst, 34 values in the network's units,
// as the arrangement's camera would see it. It reports false if there is not
// enough of a person, or nobody knows yet where they are. If dst has room for
// ViewedKeypoints values, the others say which keypoints were found (1; 0 if held
// or guessed), how high above the floor the room's camera is and how far from the
// person along it, metres.
func (s *Stage) Keypoints(atNS int64, k *sensors.Keypoints, dst []float32) bool {
	var dirs [NumKeypoints][3]float64
	have := rays(&s.rig, k, &dirs)
	s.rays, s.ankles, s.keysNS = s.rays[:0], s.ankles[:0], atNS
	for j, d := range dirs {
		if !have[j] {
			continue
		}
		l := math.Sqrt(d[0]*d[0] + d[1]*d[1] + d[2]*d[2])
		unit := [3]float64{d[0] / l, d[1] / l, d[2] / l}
		s.rays = append(s.rays, unit)
		if j == leftAnkle || j == rightAnkle {
			s.ankles = append(s.ankles, unit)
		}
	}
	s.sight(atNS, &dirs, &have)
	if !s.settle() {
		return false
	}
	s.correct()
	var at [NumKeypoints][2]float64
	for j := range at {
		if !have[j] {
			continue
		}
		sx, sy := s.rig.Camera.Ray(k.XY[j][0], k.XY[j][1], float64(k.Width), float64(k.Height))
		at[j][0], at[j][1], have[j] = s.pose.view.screen(sx, sy)
	}
	if x, ok := trunkX(&at, &have); ok && !s.own.take(atNS, x/screenPerM(&s.arrangement), s.pose.at, s.elsewhere()) {
		s.sighted = false
		return false
	}
	if s.own.sinceNS == atNS {
		s.body = skeleton{} // it is of somebody else
	}
	found := have
	if !s.body.fill(atNS, &s.ground, &at, &have) {
		s.own.unusable(atNS)
		return false
	}
	for j, p := range at {
		dst[2*j], dst[2*j+1] = float32(p[0]), float32(p[1])
	}
	if len(dst) < ViewedKeypoints {
		return true
	}
	seen := dst[2*NumKeypoints:]
	for j, f := range found {
		seen[j] = 0
		if f {
			seen[j] = 1
		}
	}
	v := &s.pose.view
	seen[NumKeypoints] = float32(v.cameraAt[2])
	seen[NumKeypoints+1] = float32(s.arrangement.DistanceM - v.cameraAt[1])
	return true
}

// ViewedKeypoints is how many values a set of keypoints has with what the camera
// is like.
const ViewedKeypoints = 2*NumKeypoints + NumKeypoints + 2

// Of a distance that is guessed from how large the camera sees a trunk.
const (
	uprightM   = 0.5 // from an adult's hips up to their shoulders
	nearestM   = 0.8
	farthestM  = 8.0
	guessKeepS = 1.0 // time constant of the guess, s: who bends forward is not taken to step back
)

// sight notes in which direction, and how large, the camera sees the trunk.
func (s *Stage) sight(atNS int64, dirs *[NumKeypoints][3]float64, have *[NumKeypoints]bool) {
	var sum [2]float64
	up := 0.0 // from hips to shoulders, metres for each metre of distance
	for _, j := range trunk {
		l := math.Hypot(dirs[j][0], dirs[j][1])
		if !have[j] || l == 0 {
			return
		}
		sum[0], sum[1] = sum[0]+dirs[j][0]/l, sum[1]+dirs[j][1]/l
		if j == leftHip || j == rightHip {
			up -= dirs[j][2] / l / 2
		} else {
			up += dirs[j][2] / l / 2
		}
	}
	if up > uprightM/farthestM {
		guess := max(uprightM/up, nearestM)
		if since := float64(atNS-s.sightNS) / 1e9; s.sizeM > 0 && since < guessKeepS {
			guess = s.sizeM + (guess-s.sizeM)*max(since, 0)/guessKeepS
		}
		s.sizeM = guess
	}
	l := math.Hypot(sum[0], sum[1])
	if l > 0 {
		s.toward, s.sighted, s.sightNS = [2]float64{sum[0] / l, sum[1] / l}, true, atNS
	}
}

// settle finds a first place as soon as there is one.
func (s *Stage) settle() bool {
	if !s.placed {
		s.tell()
		s.fresh = s.placed
	}
	return s.placed
}

// correct lets the camera have its say in a place that was found in this tick
// without it: the window of keypoints begins with what is seen from there.
func (s *Stage) correct() {
	if s.fresh && s.tracked && s.sighted {
		s.pose.found = false
		s.pose.move(s, s.agreed(s.track.PlaceM))
		s.fresh, s.sighted = false, true
	}
}

// Forget takes back what a sensor showed in this tick.
func (s *Stage) Forget(m modality.Kind) {
	switch m {
	case modality.LiDAR:
		if s.swept {
			s.finder.takeBack()
			s.swept, s.sweepNS = false, 0
		}
	case modality.Radar:
		s.radarNS = 0
	case modality.Camera:
		s.rays, s.keysNS, s.sighted = s.rays[:0], 0, false
	case modality.CSI:
	}
}

// Advance ends a tick: what its sensors told is where the next one is seen from.
func (s *Stage) Advance() {
	s.fresh, s.swept = false, false
	s.tell()
}

// tell gives the finder what it has not been told and follows its track.
func (s *Stage) tell() {
	s.atNS = max(s.atNS, s.sweepNS, s.radarNS, s.keysNS)
	// In this order, and not as the samples come: a sweep has been looked at
	// already.
	if s.radarNS != 0 {
		s.told = s.finder.Radar(s.radarNS, s.points, s.doppler, s.told[:0])
		s.radarNS = 0
	}
	if len(s.rays) > 0 {
		s.finder.Rays(s.keysNS, s.rig.RoomFromCamera.T, s.rays, s.ankles)
		s.rays = s.rays[:0]
	}
	s.track, s.tracked = s.finder.Track(s.atNS)
	t, ok := s.track, s.tracked
	if seen := s.sightNS != 0 && s.atNS-s.sightNS <= sightHoldNS; ok || !seen {
		s.aloneNS = 0
		if !seen {
			s.sizeM = 0 // whoever comes next
		}
	} else if s.aloneNS == 0 {
		s.aloneNS = s.atNS
	}
	if s.assumed = s.aloneNS != 0 && s.atNS-s.aloneNS >= assumeNS; s.assumed {
		t.PlaceM, ok = s.inFront(), true
	}
	if !ok {
		s.placed, s.pose.found, s.cloud.found = false, false, false
		return
	}
	s.cloud.move(s, t.PlaceM)
	if s.pose.move(s, s.agreed(t.PlaceM)) {
		s.own.found(s.atNS, s.pose.at)
	}
	s.placed = true
}

// Track returns the person's track as the ticks until now told it, and false if
// nobody is there.
func (s *Stage) Track() (Track, bool) { return s.track, s.tracked }

// assumeNS is how long the camera alone must see somebody, feet out of sight,
// before they are taken to be as far away as their size says: a pose at a guessed
// distance is worth more than none.
const assumeNS = 1_000_000_000

// inFront returns the place in which the camera sees the trunk, at the distance that
// its size says; of somebody who lies, at the arrangement's.
func (s *Stage) inFront() [2]float64 {
	c, d := s.rig.RoomFromCamera.T, s.sizeM
	if d == 0 {
		d = s.arrangement.DistanceM
	}
	return [2]float64{c[0] + d*s.toward[0], c[1] + d*s.toward[1]}
}

// Assumed reports whether the person's distance is a guess, because only the
// camera sees them and not their feet.
func (s *Stage) Assumed() bool { return s.assumed }

// most that LiDAR and camera may differ in where the person is, as a tangent:
// 15 degrees. More is not the same person.
const agreeTan = 0.27

// agreed returns the place that is as far from the camera as the LiDAR says and
// in the direction in which the camera sees it: the place of a LiDAR is seldom
// known to a degree, and the network's poses are the camera's.
func (s *Stage) agreed(at [2]float64) [2]float64 {
	if !s.sighted {
		return at
	}
	s.sighted = false
	along, ok := s.along(at)
	if !ok {
		return at
	}
	c := s.rig.RoomFromCamera.T
	return [2]float64{c[0] + along*s.toward[0], c[1] + along*s.toward[1]}
}

// along returns how far away a place is in the direction in which the camera sees
// the trunk, and false for one that is not in that direction.
func (s *Stage) along(at [2]float64) (alongM float64, ok bool) {
	c := s.rig.RoomFromCamera.T
	dx, dy := at[0]-c[0], at[1]-c[1]
	along, across := dx*s.toward[0]+dy*s.toward[1], dx*s.toward[1]-dy*s.toward[0]
	return along, along >= 0.3 && math.Abs(across) <= agreeTan*along
}

// elsewhere reports whether the camera looks at somebody who is not where the
// person is.
func (s *Stage) elsewhere() bool {
	_, ok := s.along(s.pose.at)
	return s.sighted && !ok
}

// KeypointsSinceNS returns the time of the first set of keypoints that belongs to
// the person at present: those before are of somebody else or of another place,
// and a window that reaches back beyond it begins with that set. Until there is
// one it is later than any set.
func (s *Stage) KeypointsSinceNS() int64 {
	if s.own.anew {
		return math.MaxInt64
	}
	return s.own.sinceNS
}

// CameraFromArrangement returns the transform that brings the network's poses of
// this tick from the arrangement's camera frame to the rig's, and whether
// anybody is there.
func (s *Stage) CameraFromArrangement() (frame.Transform, bool) {
	return s.pose.view.cameraFromView, s.placed
}

// apply transforms rows of dim values, of which the first three are a point, and
// appends them to dst.
func apply(t *frame.Transform, rows []float32, dim int, dst []float32) []float32 {
	for i := 0; i+dim <= len(rows); i += dim {
		p := t.Apply([3]float64{float64(rows[i]), float64(rows[i+1]), float64(rows[i+2])})
		dst = append(dst, float32(p[0]), float32(p[1]), float32(p[2]))
		dst = append(dst, rows[i+3:i+dim]...)
	}
	return dst
}
