package frame

// Rig is how the sensors of a room stand and what the camera's lens is: what
// somebody who put them up has measured.
type Rig struct {
	RoomFromCamera Transform
	RoomFromLiDAR  Transform
	RoomFromRadar  Transform
	Camera         Intrinsics
}

// Rigged is what knows how its sensors stood, such as a recording.Clip. The poses
// of such a clip are in the frame of that camera.
type Rigged interface {
	// Rig returns the arrangement; it is the same all the time.
	Rig() Rig
}

// RigOf returns the arrangement of a clip, false if nobody noted it.
func RigOf(clip any) (Rig, bool) {
	r, ok := clip.(Rigged)
	if !ok {
		return Rig{}, false
	}
	return r.Rig(), true
}
