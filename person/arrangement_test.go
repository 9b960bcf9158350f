package person

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"posefuse/frame"
)

func near(a, b []float64, within float64) bool {
	for i := range a {
		if !(math.Abs(a[i]-b[i]) <= within) {
			return false
		}
	}
	return true
}

// look returns what the view makes of a room point as the rig's sensors see it:
// the LiDAR's, the radar's, and the camera's in the network's units.
func look(rig *frame.Rig, v *view, p [3]float64) (lidar, radar [3]float64, screen [2]float64, ok bool) {
	toLiDAR, toRadar, toCamera := rig.RoomFromLiDAR.Inverse(), rig.RoomFromRadar.Inverse(), rig.RoomFromCamera.Inverse()
	c := toCamera.Apply(p)
	px, py := rig.Camera.Pixel(c[0]/c[2], c[1]/c[2])
	x, y, ok := v.screen(rig.Camera.Ray(px, py, rig.Camera.WidthPx, rig.Camera.HeightPx))
	return v.fromLiDAR.Apply(toLiDAR.Apply(p)), v.fromRadar.Apply(toRadar.Apply(p)), [2]float64{x, y}, ok
}

// TestHomeIsLeftAlone: where everything stands as in training, nothing changes.
func TestHomeIsLeftAlone(t *testing.T) {
	rig := frame.Simulated.Rig()
	v := newView(&rig, &frame.Simulated, [2]float64{0, frame.Simulated.DistanceM})
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.Float64Range(-1, 1)
		p := [3]float64{c.Draw(t, "x"), frame.Simulated.DistanceM, 1 + c.Draw(t, "z")}
		lidar, radar, screen, ok := look(&rig, &v, p)
		if !ok || !near(lidar[:], []float64{p[1], -p[0], p[2] - 0.95}, 1e-9) || !near(radar[:], []float64{p[1], -p[0], p[2] - 0.85}, 1e-9) {
			t.Fatalf("%v became %v and %v", p, lidar, radar)
		}
		toCamera := rig.RoomFromCamera.Inverse()
		q := toCamera.Apply(p)
		px, py := rig.Camera.Pixel(q[0]/q[2], q[1]/q[2])
		// PrepKeypoints' normalisation.
		if want := []float64{2*px/640 - 1, (2*py - 480) / 640}; !near(screen[:], want, 1e-9) {
			t.Fatalf("%v at %v, want %v", p, screen, want)
		}
		if back := v.cameraFromView.Apply([3]float64{1, 2, 3}); !near(back[:], []float64{1, 2, 3}, 1e-9) {
			t.Fatalf("a pose moved to %v", back)
		}
	})
}

// randomRig stands anywhere and looks roughly at place.
func randomRig(t *rapid.T, place [2]float64) frame.Rig {
	pose := func(name string) ([3]float64, float64) {
		a := rapid.Float64Range(-math.Pi, math.Pi).Draw(t, name+" bearing")
		d := rapid.Float64Range(1.5, 5).Draw(t, name+" distance")
		at := [3]float64{place[0] - d*math.Sin(a), place[1] - d*math.Cos(a), rapid.Float64Range(0.5, 2).Draw(t, name+" height")}
		return at, -a * 180 / math.Pi // pan is to the left
	}
	small := rapid.Float64Range(-15, 15)
	at, pan := pose("camera")
	camera := frame.CameraPose{PositionM: at, PanDeg: pan + small.Draw(t, "pan"), TiltDeg: small.Draw(t, "tilt"), RollDeg: small.Draw(t, "roll")}
	at, pan = pose("lidar")
	lidar := frame.SensorPose{PositionM: at, PanDeg: pan + 10*small.Draw(t, "lidar pan"), TiltDeg: small.Draw(t, "lidar tilt")}
	at, pan = pose("radar")
	radar := frame.SensorPose{PositionM: at, PanDeg: pan + small.Draw(t, "radar pan")}
	f := rapid.Float64Range(300, 1000).Draw(t, "focal")
	return frame.Rig{RoomFromCamera: camera.RoomFromCamera(), RoomFromLiDAR: lidar.RoomFromSensor(), RoomFromRadar: radar.RoomFromSensor(),
		Camera: frame.Intrinsics{WidthPx: 1280, HeightPx: 720, FxPx: f, FyPx: f, CxPx: 640, CyPx: 360}}
}

// TestEveryRigSeesTheSame: whatever rig looks at a person, the network sees what
// it saw in training: exactly for points, and for keypoints of the upright plane
// through the person that faces the camera.
func TestEveryRigSeesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.Float64Range(-3, 3)
		place := [2]float64{c.Draw(t, "place x"), c.Draw(t, "place y")}
		rig := randomRig(t, place)
		v := newView(&rig, &frame.Simulated, place)
		// A person in training: across is to the right, ahead away from the camera.
		across, ahead, up := rapid.Float64Range(-0.8, 0.8).Draw(t, "across"), rapid.Float64Range(-0.4, 0.4).Draw(t, "ahead"), rapid.Float64Range(0, 1.9).Draw(t, "up")
		dx, dy := place[0]-rig.RoomFromCamera.T[0], place[1]-rig.RoomFromCamera.T[1]
		d := math.Hypot(dx, dy)
		room := func(ahead float64) [3]float64 {
			return [3]float64{place[0] + (across*dy+ahead*dx)/d, place[1] + (-across*dx+ahead*dy)/d, up}
		}
		lidar, radar, _, _ := look(&rig, &v, room(ahead))
		if !near(lidar[:], []float64{frame.Simulated.DistanceM + ahead, -across, up - 0.95}, 1e-6) || !near(radar[:], []float64{frame.Simulated.DistanceM + ahead, -across, up - 0.85}, 1e-6) {
			t.Fatalf("the LiDAR sees %v, the radar %v", lidar, radar)
		}
		toCamera := rig.RoomFromCamera.Inverse()
		p := room(0)
		if q := toCamera.Apply(p); q[2] < 0.3 {
			return // behind the camera
		}
		_, _, screen, ok := look(&rig, &v, p)
		f := 2 * frame.Simulated.FocalPerWidth / frame.Simulated.DistanceM
		if want := []float64{f * across, f * (frame.Simulated.CameraHeightM - up)}; !ok || !near(screen[:], want, 1e-6) {
			t.Fatalf("the camera sees %v (%t), want %v", screen, ok, want)
		}
		// A pose of the arrangement's camera comes back to the room.
		back := v.cameraFromView.Apply([3]float64{across, frame.Simulated.CameraHeightM - up, frame.Simulated.DistanceM})
		if want := toCamera.Apply(p); !near(back[:], want[:], 1e-6) {
			t.Fatalf("the pose's joint is at %v, want %v, camera frame", back, want)
		}
	})
}
