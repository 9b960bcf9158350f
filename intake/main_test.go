package intake

import (
	"testing"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// The tests of this package look at one simulated room with whole sweeps and a
// radar's clutter, whose patient stands where no network was trained.

// roomTick is what the sensors of the room gave for one tick.
type roomTick struct{ camera, lidar, radar, csi *sensors.Sample }

type testRoom struct {
	rig   frame.Rig
	ticks []roomTick
}

// newRoom simulates frames of squats, one a tick of periodNS.
func newRoom(t *testing.T, frames int, periodNS int64) *testRoom {
	t.Helper()
	w := sim.DefaultWorld()
	w.LiDAR.WholeSweep, w.Radar.ClutterPoints = true, 156
	w.Person.FartherM, w.Person.RightM = 0.9, 0.4
	w.Camera.RoomFromCamera.PositionM[2] = 1.25
	w.Room.AheadM = 5.5
	key := recording.Key{Subject: 5, Activity: 12}
	clip, err := sim.NewClip(sim.Config{Seed: 3, Preset: "mmfi", FramesPerClip: frames, World: &w}, sim.NewProcedural(3, key, sim.MotionOptions{Frames: frames}))
	if err != nil {
		t.Fatal(err)
	}
	r := &testRoom{rig: clip.Rig()}
	var f recording.Frame
	var csi sim.CSIFrame
	for i := range frames {
		at := int64(i+1) * periodNS
		tick := roomTick{
			camera: &sensors.Sample{Modality: modality.Camera, CaptureNS: at + 3e6, Keypoints: &sensors.Keypoints{}},
			lidar:  &sensors.Sample{Modality: modality.LiDAR, CaptureNS: at - 2e6, Cloud: &sensors.PointCloud{}},
			radar:  &sensors.Sample{Modality: modality.Radar, CaptureNS: at + 1e6, Radar: &sensors.RadarFrame{}},
		}
		if err := clip.FrameOf(i, modality.Of(modality.LiDAR), &f); err != nil {
			t.Fatal(err)
		}
		for _, v := range f.LiDAR {
			tick.lidar.Cloud.XYZ = append(tick.lidar.Cloud.XYZ, float32(v))
		}
		if err := clip.Radar(i, tick.radar.Radar); err != nil {
			t.Fatal(err)
		}
		found, err := clip.Keypoints(i, tick.camera.Keypoints)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			tick.camera = nil
		}
		if err := clip.CSIComplex(i, &csi); err != nil {
			t.Fatal(err)
		}
		tick.csi = &sensors.Sample{Modality: modality.CSI, CaptureNS: at, CSI: &sensors.CSIPacket{Antennas: 3, Subcarriers: 114, H: append([]complex64(nil), csi[0][:]...)}}
		r.ticks = append(r.ticks, tick)
	}
	return r
}

// newIntake returns the room's.
func (r *testRoom) newIntake() *Intake { return NewStaged(r.rig, frame.Simulated, person.Config{}) }

// window returns the camera's at a tick, as the aligner makes it.
func (r *testRoom) window(tick int) []*sensors.Sample {
	w := make([]*sensors.Sample, model.CameraWindow)
	for i := range w {
		w[i] = r.ticks[max(tick-len(w)+1+i, 0)].camera
	}
	return w
}
