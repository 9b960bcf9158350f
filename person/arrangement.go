package person

import (
	"math"

	"posefuse/frame"
)

// screenPerM is how large a metre is on the network's screen where the person
// stands.
func screenPerM(a *frame.Arrangement) float64 { return 2 * a.FocalPerWidth / a.DistanceM }

// view maps one room to an arrangement, for a person who stands at one place:
// turned about the vertical so that the camera looks at them along y, and moved
// so that they stand where the arrangement has them.
type view struct {
	arrangement    *frame.Arrangement
	fromRoom       frame.Transform // arrangement's room
	roomFrom       frame.Transform
	fromLiDAR      frame.Transform // arrangement's LiDAR frame from the rig's
	fromRadar      frame.Transform
	cameraAt       [3]float64      // in the arrangement's room
	fromCamera     frame.Transform // directions and points, to the arrangement's room
	cameraFromView frame.Transform // the rig's camera frame from the arrangement's
}

// sensorFromRoom is the frame of a level LiDAR or radar at the origin, height
// metres above the floor: x forward, y left, z up.
func sensorFromRoom(height float64) frame.Transform {
	return frame.Transform{R: [3][3]float64{{0, 1, 0}, {-1, 0, 0}, {0, 0, 1}}, T: [3]float64{0, 0, -height}}
}

// cameraFromRoom is that of a level camera: x right, y down, z forward.
func cameraFromRoom(height float64) frame.Transform {
	return frame.Transform{R: [3][3]float64{{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}, T: [3]float64{0, height, 0}}
}

// newView returns the view of a person at place, metres in the room. A person
// under the camera has no direction: it then looks along the room's y.
func newView(rig *frame.Rig, a *frame.Arrangement, place [2]float64) view {
	dx, dy := place[0]-rig.RoomFromCamera.T[0], place[1]-rig.RoomFromCamera.T[1]
	distance := math.Hypot(dx, dy)
	sin, cos := 0.0, 1.0
	if distance > 0.3 {
		sin, cos = dx/distance, dy/distance
	}
	// The direction (sin, cos) becomes (0, 1).
	v := view{arrangement: a, fromRoom: frame.Transform{R: [3][3]float64{{cos, -sin, 0}, {sin, cos, 0}, {0, 0, 1}}}}
	at := v.fromRoom.Apply([3]float64{place[0], place[1], 0})
	v.fromRoom.T = [3]float64{-at[0], a.DistanceM - at[1], 0}
	v.roomFrom = v.fromRoom.Inverse()
	lidar, radar, camera := sensorFromRoom(a.LiDARHeightM), sensorFromRoom(a.RadarHeightM), cameraFromRoom(a.CameraHeightM)
	l, r := v.fromRoom.After(&rig.RoomFromLiDAR), v.fromRoom.After(&rig.RoomFromRadar)
	v.fromLiDAR, v.fromRadar = lidar.After(&l), radar.After(&r)
	v.fromCamera = v.fromRoom.After(&rig.RoomFromCamera)
	v.cameraAt = v.fromCamera.T
	toCamera := rig.RoomFromCamera.Inverse()
	viewFromCamera := camera.Inverse() // the arrangement's room from its camera frame
	room := v.roomFrom.After(&viewFromCamera)
	v.cameraFromView = toCamera.After(&room)
	return v
}

// screen returns where the arrangement's camera would see what the rig's camera
// sees in the direction of slopes (sx, sy): on an upright plane through the
// person, across the line of sight. Units are those of the network: widths from
// the picture's middle, times two, y down. ok is false for a direction that
// never meets the plane.
func (v *view) screen(sx, sy float64) (x, y float64, ok bool) {
	r := &v.fromCamera.R
	var d [3]float64
	for i := range d {
		d[i] = r[i][0]*sx + r[i][1]*sy + r[i][2]
	}
	a := v.arrangement
	if d[1] < 0.05 {
		return 0, 0, false
	}
	t := (a.DistanceM - v.cameraAt[1]) / d[1]
	if t <= 0 {
		return 0, 0, false
	}
	px, pz := v.cameraAt[0]+t*d[0], v.cameraAt[2]+t*d[2]
	f := screenPerM(a)
	return f * px, f * (a.CameraHeightM - pz), true
}
