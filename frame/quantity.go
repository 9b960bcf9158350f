package frame

import (
	"math"
	"strings"
)

// Quantity is a number in which rooms differ, with its unit in its name.
type Quantity string

// The quantities. Angles are degrees, lengths metres. Those of a sensor are of
// the rig; those of the person say where and how somebody stands. What has no
// direction is given without its sign: an aside, a turn and a roll to either side
// are the same.
const (
	CameraHeight Quantity = "camera_height_m"    // above the floor
	CameraTilt   Quantity = "camera_tilt_deg"    // upwards
	CameraRoll   Quantity = "camera_roll_deg"    // to either side
	CameraFocal  Quantity = "focal_image_widths" // focal length over the picture's width
	LiDARHeight  Quantity = "lidar_height_m"
	LiDARTilt    Quantity = "lidar_tilt_deg"
	LiDARRoll    Quantity = "lidar_roll_deg"
	LiDARTurn    Quantity = "lidar_turn_deg" // between its forward and the camera's, from above
	LiDARApart   Quantity = "lidar_apart_m"  // from the camera, from above
	RadarHeight  Quantity = "radar_height_m"
	RadarTilt    Quantity = "radar_tilt_deg"
	RadarRoll    Quantity = "radar_roll_deg"
	RadarTurn    Quantity = "radar_turn_deg"
	RadarApart   Quantity = "radar_apart_m"
	Distance     Quantity = "distance_m"      // of the person from the camera, along its view, on the floor
	Aside        Quantity = "aside_m"         // across it
	Turned       Quantity = "turn_deg"        // of the person from facing the camera
	PersonHeight Quantity = "person_height_m" // from sole to crown
)

// Of returns what a quantity is of: camera, lidar, radar, focal (the lens), or
// what it says of the person.
func (q Quantity) Of() string {
	of, _, _ := strings.Cut(string(q), "_")
	return of
}

// Tolerances are how far a value may be from another and still count as the same:
// what a tape and a level measure without effort.
var Tolerances = map[Quantity]float64{
	CameraHeight: 0.1, CameraTilt: 2, CameraRoll: 2, CameraFocal: 0.02,
	LiDARHeight: 0.1, LiDARTilt: 2, LiDARRoll: 2, LiDARTurn: 4, LiDARApart: 0.1,
	RadarHeight: 0.1, RadarTilt: 2, RadarRoll: 2, RadarTurn: 4, RadarApart: 0.1,
	Distance: 0.1, Aside: 0.1, Turned: 10, PersonHeight: 0.05,
}

// Measures are a room in numbers.
type Measures map[Quantity]float64

// Measure returns how the sensors of a rig stand.
func (r *Rig) Measure() Measures {
	c := &r.RoomFromCamera
	view := column(c, 2)
	down := column(c, 1)
	m := Measures{
		CameraHeight: c.T[2], CameraTilt: deg(math.Asin(clamp(view[2]))),
		CameraRoll: math.Abs(deg(math.Atan2(column(c, 0)[2], -down[2]))), CameraFocal: r.Camera.FxPx / r.Camera.WidthPx,
	}
	for _, s := range []struct {
		t                               *Transform
		height, tilt, roll, turn, apart Quantity
	}{
		{&r.RoomFromLiDAR, LiDARHeight, LiDARTilt, LiDARRoll, LiDARTurn, LiDARApart},
		{&r.RoomFromRadar, RadarHeight, RadarTilt, RadarRoll, RadarTurn, RadarApart},
	} {
		forward := column(s.t, 0)
		m[s.height], m[s.tilt] = s.t.T[2], deg(math.Asin(clamp(forward[2])))
		m[s.roll] = math.Abs(deg(math.Atan2(column(s.t, 1)[2], column(s.t, 2)[2])))
		m[s.turn] = math.Abs(deg(math.Atan2(view[0]*forward[1]-view[1]*forward[0], view[0]*forward[0]+view[1]*forward[1])))
		m[s.apart] = math.Hypot(s.t.T[0]-c.T[0], s.t.T[1]-c.T[1])
	}
	return m
}

// MeasurePlace returns where a place on the floor is, seen by the rig's camera:
// metres along its view and, to either side, across it.
func (r *Rig) MeasurePlace(at [2]float64) (distance, aside float64) {
	view := column(&r.RoomFromCamera, 2)
	l := math.Hypot(view[0], view[1])
	if l == 0 {
		return 0, 0 // it looks straight down
	}
	dx, dy := at[0]-r.RoomFromCamera.T[0], at[1]-r.RoomFromCamera.T[1]
	return (dx*view[0] + dy*view[1]) / l, math.Abs(dx*view[1]-dy*view[0]) / l
}

// column is where an axis of the sensor points in the room.
func column(t *Transform, k int) [3]float64 { return [3]float64{t.R[0][k], t.R[1][k], t.R[2][k]} }

func deg(rad float64) float64 { return rad * 180 / math.Pi }

func clamp(v float64) float64 { return min(max(v, -1), 1) }
