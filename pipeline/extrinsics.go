package pipeline

import (
	"posefuse/frame"
	"posefuse/model"
	"posefuse/setting"
)

func (e *ExtrinsicsConfig) check(p *setting.Problems) {
	if e.Camera != nil {
		e.Camera.Check(p, "extrinsics.camera_intrinsics")
	}
	if c := e.RoomFromCamera; c != nil {
		c.Check(p, "extrinsics.room_from_camera")
	}
	for _, s := range []struct {
		key  string
		pose *frame.SensorPose
	}{{"extrinsics.room_from_lidar", e.RoomFromLiDAR}, {"extrinsics.room_from_radar", e.RoomFromRadar}} {
		if s.pose == nil {
			continue
		}
		if e.RoomFromCamera == nil {
			p.Add(s.key, "needs extrinsics.room_from_camera: poses stay in the camera frame without it, and points follow the poses")
		}
		s.pose.Check(p, s.key)
	}
}

// transformPose maps the network's output to the frame of the message.
func transformPose(dst *[model.NumJoints][3]float64, pose *[model.OutputDim]float32, roomFromCamera *frame.Transform) {
	for j := range dst {
		p := [3]float64{float64(pose[3*j]), float64(pose[3*j+1]), float64(pose[3*j+2])}
		if roomFromCamera != nil {
			p = roomFromCamera.Apply(p)
		}
		dst[j] = p
	}
}
