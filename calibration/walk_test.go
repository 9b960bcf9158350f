package calibration

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
)

// walkStep is what the sensors see at one instant of a walk.
type walkStep struct {
	atNS  int64
	cloud []float32
	seen  bool
	keys  sensors.Keypoints
	radar sensors.RadarFrame
}

// path is where the simulated person walks: x and y in the room, at tS seconds.
func path(tS float64) [2]float64 {
	return [2]float64{1.1 * math.Sin(tS/2.3), 3.2 + 1.0*math.Sin(tS/3.1+0.5)}
}

// simulatedWalk is a person who stands and moves the arms while they are moved on a path, ten
// times a second, as the sensors of a room see them: whole sweeps, keypoints with
// their errors, detections.
func simulatedWalk(t testing.TB, world sim.World, seconds float64, seed uint64, at func(tS float64) [2]float64) []walkStep {
	t.Helper()
	key := recording.Key{Subject: 5, Activity: 2}
	steps := make([]walkStep, int(10*seconds))
	var scan sim.LabelledScan
	for i := range steps {
		w := world
		p := at(float64(i) / 10)
		w.Person.RightM, w.Person.FartherM = p[0], p[1]-3.1
		ds, err := sim.NewDataset(sim.Config{Seed: seed, Preset: "easy", FramesPerClip: len(steps), World: &w, Subjects: []int{key.Subject}, Activities: []int{key.Activity}})
		if err != nil {
			t.Fatal(err)
		}
		clip, err := ds.Clip(key)
		if err != nil {
			t.Fatal(err)
		}
		s := &steps[i]
		s.atNS = int64(i+1) * 100e6
		if err = clip.LabelledScan(i, &scan); err != nil {
			t.Fatal(err)
		}
		for _, v := range scan.PointsM {
			s.cloud = append(s.cloud, float32(v))
		}
		if s.seen, err = clip.Keypoints(i, &s.keys); err != nil {
			t.Fatal(err)
		}
		if err := clip.Radar(i, &s.radar); err != nil {
			t.Fatal(err)
		}
	}
	return steps
}

// take gives a walk to what is looked at.
func take(t testing.TB, thought frame.Rig, steps []walkStep) *Walk {
	t.Helper()
	w := NewWalk(thought)
	for i := range steps {
		s := &steps[i]
		if err := w.Cloud(s.atNS, s.cloud); err != nil {
			t.Fatal(err)
		}
		if s.seen {
			w.Keypoints(s.atNS, &s.keys)
		}
		w.Radar(s.atNS, s.radar.Points)
	}
	return w
}

// rigOf returns how the sensors of a world stand.
func rigOf(w *sim.World) frame.Rig {
	c := &w.Camera
	return frame.Rig{RoomFromCamera: c.RoomFromCamera.RoomFromCamera(), RoomFromLiDAR: w.LiDAR.RoomFromLiDAR.RoomFromSensor(), RoomFromRadar: w.Radar.RoomFromRadar.RoomFromSensor(),
		Camera: frame.Intrinsics{WidthPx: float64(c.WidthPx), HeightPx: float64(c.HeightPx), FxPx: c.FocalPx, FyPx: c.FocalPx, CxPx: c.CentreUPx, CyPx: c.CentreVPx}}
}

// walkRooms are rooms to find the sensors in; the origin is below the camera, which
// looks along y.
func walkRooms() map[string]sim.World {
	beside := sim.DefaultWorld()
	beside.LiDAR.WholeSweep = true
	beside.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}, TiltDeg: -6, RollDeg: 2}
	beside.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{0.3, 0.1, 1.4}, PanDeg: 25, TiltDeg: -3, RollDeg: 1}
	beside.Radar.RoomFromRadar = frame.SensorPose{PositionM: [3]float64{-0.4, 0.05, 1.1}, PanDeg: -8}
	corner := beside
	corner.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0, 0, 1.6}, TiltDeg: -12}
	corner.Camera.FocalPx = 480
	corner.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{1.8, 0.4, 1.1}, PanDeg: 130, TiltDeg: 4}
	corner.Radar.RoomFromRadar = frame.SensorPose{PositionM: [3]float64{0.5, 0, 1.1}, PanDeg: 12}
	return map[string]sim.World{"beside each other": beside, "LiDAR in a corner, turned": corner}
}

// beside is the walk that several tests look at; they change copies.
var beside []walkStep

func besideWalk(t testing.TB) []walkStep {
	t.Helper()
	if beside == nil {
		beside = simulatedWalk(t, walkRooms()["beside each other"], 35, 3, path)
	}
	return beside
}

// thoughtOf is what somebody knows who has measured nothing: the lens, and that the
// sensors are about level.
func thoughtOf(truth frame.Rig) frame.Rig {
	thought := truth
	thought.RoomFromCamera = (&frame.CameraPose{}).RoomFromCamera()
	thought.RoomFromLiDAR = (&frame.SensorPose{PositionM: [3]float64{0, 0, 1}}).RoomFromSensor()
	thought.RoomFromRadar = (&frame.SensorPose{PositionM: [3]float64{0, 0, 1.1}}).RoomFromSensor()
	return thought
}

// TestWalkTellsWhereSensorsStand: from half a minute of walking the sensors' places
// to within 5 cm and their turns to within 2 degrees, and no farther off than three
// times what is said; and the focal length where it was thought to be another.
func TestWalkTellsWhereSensorsStand(t *testing.T) {
	testenv.NoRace(t, "a walk takes minutes under the race detector, and nothing of it runs in parallel")
	for name, w := range walkRooms() {
		truth := rigOf(&w)
		steps := besideWalk(t)
		if name != "beside each other" {
			steps = simulatedWalk(t, w, 35, 3, path)
		}
		for _, focal := range []bool{false, true} {
			thought := thoughtOf(truth)
			if focal {
				thought.Camera.FxPx, thought.Camera.FyPx = 1.25*thought.Camera.FxPx, 1.25*thought.Camera.FyPx
			}
			s, err := take(t, thought, steps).Solve(focal)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lidar, camera := s.LiDAR.RoomFromSensor(), s.Camera.RoomFromCamera()
			if s.Radar == nil {
				t.Fatalf("%s: no radar", name)
			}
			radar := s.Radar.RoomFromSensor()
			for _, c := range []struct {
				sensor    string
				got, want frame.Transform
				withinM   float64
			}{
				{"camera", camera, truth.RoomFromCamera, 0.05},
				{"LiDAR", lidar, truth.RoomFromLiDAR, 0.05},
				{"radar", radar, truth.RoomFromRadar, 0.07},
			} {
				d := add(c.got.T, c.want.T, -1)
				off, turn := math.Sqrt(dot(d, d)), turnDeg(&c.got, &c.want)
				t.Logf("%s, focal %t: %s off by %.3f m, %.2f°", name, focal, c.sensor, off, turn)
				if off > c.withinM || turn > 2 {
					t.Errorf("%s, focal %t: %s off by %.3f m (%.3f), %.2f°", name, focal, c.sensor, off, d, turn)
				}
			}
			t.Logf("%s: residual %.3f m, repeat %.3f m %.2f°, deviation %.3f, radar %.3f m; focal %.1f ± %.1f px", name, s.ResidualM, s.RepeatM, s.RepeatDeg, s.CameraDeviation, s.RadarResidualM, s.FocalPx, s.FocalDeviationPx)
			if s.ResidualM > 0.06 || s.RepeatM > 0.1 || s.RepeatDeg > 1.5 || s.Rejected > s.Used/50 {
				t.Errorf("%s: residual %v m, repeat %v m %v°, %d of %d sights left out", name, s.ResidualM, s.RepeatM, s.RepeatDeg, s.Rejected, s.Used+s.Rejected)
			}
			if focal && (math.Abs(s.FocalPx-w.Camera.FocalPx) > 3*s.FocalDeviationPx || s.FocalDeviationPx > 0.02*w.Camera.FocalPx) {
				t.Errorf("%s: focal length %.1f ± %.1f px, want %.1f", name, s.FocalPx, s.FocalDeviationPx, w.Camera.FocalPx)
			}
		}
	}
}

// TestWalkLeavesOutOthers: sights of somebody else, ghosts of the radar and lost
// samples change the result by little and are counted.
func TestWalkLeavesOutOthers(t *testing.T) {
	testenv.NoRace(t, "a walk takes minutes under the race detector, and nothing of it runs in parallel")
	w := walkRooms()["beside each other"]
	truth := rigOf(&w)
	steps := slices.Clone(besideWalk(t))
	for i := range steps {
		switch {
		case i%9 == 0:
			for j := range steps[i].keys.XY { // another person at the edge
				steps[i].keys.XY[j][0] += 180
			}
		case i%7 == 0:
			steps[i].radar.Points = slices.Clone(steps[i].radar.Points)
			for k := range steps[i].radar.Points {
				steps[i].radar.Points[k].X += 1.5
			}
		case i%11 == 0:
			steps[i].seen = false
		}
	}
	s, err := take(t, thoughtOf(truth), steps).Solve(false)
	if err != nil {
		t.Fatal(err)
	}
	lidar := s.LiDAR.RoomFromSensor()
	d := add(lidar.T, truth.RoomFromLiDAR.T, -1)
	if off := math.Sqrt(dot(d, d)); off > 0.06 || turnDeg(&lidar, &truth.RoomFromLiDAR) > 2 {
		t.Errorf("LiDAR off by %.3f m", off)
	}
	if s.Rejected < 50 || s.Rejected > 120 || s.RadarRejected < 20 {
		t.Errorf("%d of %d sights and %d echoes were left out", s.Rejected, s.Used+s.Rejected, s.RadarRejected)
	}
}

// TestWalksThatSayTooLittle are refused with what to do.
func TestWalksThatSayTooLittle(t *testing.T) {
	testenv.NoRace(t, "a walk takes minutes under the race detector, and nothing of it runs in parallel")
	w := walkRooms()["beside each other"]
	truth := rigOf(&w)
	straight := simulatedWalk(t, w, 16, 3, func(tS float64) [2]float64 { return [2]float64{0, 3.2 + math.Sin(tS/2)} })
	blind := slices.Clone(besideWalk(t))
	for i := range blind {
		blind[i].seen = false
	}
	for name, c := range map[string]struct {
		steps []walkStep
		want  string
	}{
		"nobody":      {nil, "no sweep of the LiDAR came"},
		"short":       {blind[:40], "the LiDAR saw the person in"},
		"on one line": {straight, "wide at its narrowest"},
		"no camera":   {blind, "camera and LiDAR saw the person at once 0 times"},
	} {
		_, err := take(t, thoughtOf(truth), c.steps).Solve(false)
		var undetermined *UndeterminedError
		if !errors.As(err, &undetermined) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	dark := NewWalk(thoughtOf(truth))
	for i := range maxUnlevelled {
		if err := dark.Cloud(int64(i+1), make([]float32, 3000)); errors.Is(err, errNoFloor) != (i == maxUnlevelled-1) {
			t.Errorf("sweep %d without a floor: %v", i+1, err)
		}
	}
}
