package frame

import (
	"fmt"
	"math"
)

// Arrangement is where the sensors of a network's training stood: one above the
// other at the room's origin, level, looking along y at a person DistanceM away.
type Arrangement struct {
	CameraHeightM float64 `json:"camera_height_m"`
	LiDARHeightM  float64 `json:"lidar_height_m"`
	RadarHeightM  float64 `json:"radar_height_m"`
	DistanceM     float64 `json:"distance_m"`
	// FocalPerWidth is the camera's focal length over its picture's width.
	FocalPerWidth float64 `json:"focal_per_width"`
	// Anywhere says that the network has seen people at exactly this place, as a
	// track tells it, and not where they happened to stand.
	Anywhere bool `json:"anywhere,omitempty"`
}

// Simulated is the arrangement of the simulator, which is MM-Fi's, and so of
// every network trained before arrangements were written down. People stand 3.1 m
// away, where a track finds them at 3.05.
var Simulated = Arrangement{CameraHeightM: 0.90, LiDARHeightM: 0.95, RadarHeightM: 0.85, DistanceM: 3.05, FocalPerWidth: 605.0 / 640}

// AnyRoom is the arrangement of networks for any room: the person three metres
// ahead and everything seen from a metre above the floor.
var AnyRoom = Arrangement{CameraHeightM: 1, LiDARHeightM: 1, RadarHeightM: 1, DistanceM: 3, FocalPerWidth: 1, Anywhere: true}

// Rig returns the sensors as the arrangement has them.
func (a *Arrangement) Rig() Rig {
	camera := CameraPose{PositionM: [3]float64{2: a.CameraHeightM}}
	return a.RigAt(camera.RoomFromCamera())
}

// RigAt returns LiDAR and radar beside a camera as the arrangement has them: level,
// above or below it by as much, turned as it is. The lens is the arrangement's.
func (a *Arrangement) RigAt(roomFromCamera Transform) Rig {
	camera := CameraPoseOf(roomFromCamera)
	beside := func(heightM float64) Transform {
		at := SensorPose{PositionM: camera.PositionM, PanDeg: camera.PanDeg}
		at.PositionM[2] += heightM - a.CameraHeightM
		return at.RoomFromSensor()
	}
	return Rig{RoomFromCamera: roomFromCamera, RoomFromLiDAR: beside(a.LiDARHeightM), RoomFromRadar: beside(a.RadarHeightM), Camera: a.Lens()}
}

// Lens returns the intrinsics of the arrangement's camera, for pictures of any
// size.
func (a *Arrangement) Lens() Intrinsics {
	const w, h = 640, 480
	return Intrinsics{WidthPx: w, HeightPx: h, FxPx: w * a.FocalPerWidth, FyPx: w * a.FocalPerWidth, CxPx: w / 2, CyPx: h / 2}
}

// Assumed returns the arrangement to take for what nobody gave of a room: the
// network's own or, where that is for any room, MM-Fi's, with the usual lens of 56
// degrees.
func (a *Arrangement) Assumed() Arrangement {
	if a.Anywhere {
		return Simulated
	}
	return *a
}

// Validate refuses an arrangement in which nobody can be seen: heights within a
// room, a distance and a focal length above zero.
func (a *Arrangement) Validate() error {
	for _, v := range []struct {
		key    string
		value  float64
		lo, hi float64
	}{
		{"camera_height_m", a.CameraHeightM, 0, 10}, {"lidar_height_m", a.LiDARHeightM, 0, 10}, {"radar_height_m", a.RadarHeightM, 0, 10},
		{"distance_m", a.DistanceM, 0.5, 50}, {"focal_per_width", a.FocalPerWidth, 0.1, 20},
	} {
		if math.IsNaN(v.value) || v.value < v.lo || v.value > v.hi {
			return fmt.Errorf("%s is %v, want %v to %v", v.key, v.value, v.lo, v.hi)
		}
	}
	return nil
}
