// Package sim generates recordings in MM-Fi's shape from human motion: a body,
// its movement, and the physics of four sensors (shared reference
// simulator.md). Everything is a pure function of (configuration, seed).
package sim

import (
	"posefuse/recording"
)

// Vec is a point or direction, metres, in the simulator's room frame: x right
// in the camera's image, y up, z forward from the camera, origin on the floor
// under the camera.
type Vec [3]float64

// Skeleton is the 17 joints of the body at one instant (H36M order), room frame.
type Skeleton [17]Vec

// Subject is one simulated person (simulator.md 2.1).
type Subject struct {
	ID       int     // 1..40
	Female   bool    //
	HeightM  float64 //
	Girth    float64 // factor on capsule radii, around 1
	Segments Segments
}

// Segments holds the segment lengths of a subject, metres.
type Segments struct {
	Thigh, Shank, Trunk, HalfShoulder, UpperArm, Forearm, Neck, HipSpacing float64
}

// Motion is the true movement of one clip, independent of any sensor.
type Motion interface {
	// Key names the clip the motion belongs to.
	Key() recording.Key
	// Subject returns who moves.
	Subject() Subject
	// At returns the true joints at time tS, seconds since the clip's first
	// frame. Any tS is legal, also slightly before 0 and after the end.
	At(tS float64) Skeleton
	// Repetitions returns how many whole repetitions end within the clip, and
	// the end time of each, seconds.
	Repetitions() []float64
	// Source says where the movement comes from, for the manifest, e.g.
	// "procedural" or "mocap uiprmd/s01_m01_cor.npy".
	Source() string
}
