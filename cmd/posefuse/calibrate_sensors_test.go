package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"posefuse/calibration"
	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/pipeline"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/replay"
	"posefuse/sensors"
)

// walkedClip is somebody who walks before the sensors of a room: a data set of one
// clip.
type walkedClip struct {
	key    recording.Key
	frames []recording.Frame
}

func (c *walkedClip) Keys() []recording.Key                       { return []recording.Key{c.key} }
func (c *walkedClip) Open(recording.Key) (recording.Clip, error)  { return c, nil }
func (c *walkedClip) Describe() string                            { return "a simulated walk" }
func (c *walkedClip) Key() recording.Key                          { return c.key }
func (c *walkedClip) Len() int                                    { return len(c.frames) }
func (c *walkedClip) Truth(int) (recording.Pose, error)           { return recording.Pose{}, nil }
func (c *walkedClip) Frame(i int, f *recording.Frame) (err error) { *f = c.frames[i]; return nil }

// aboutTheRoom is where somebody is who walks about.
func aboutTheRoom(tS float64) (rightM, fartherM float64) {
	return 1.1 * math.Sin(tS/1.3), 0.1 + math.Sin(tS/1.9+0.5)
}

// walkBefore makes such a clip, ten frames a second.
func walkBefore(t *testing.T, world sim.World, frames int, path func(tS float64) (rightM, fartherM float64)) *walkedClip {
	t.Helper()
	clip := &walkedClip{key: recording.Key{Subject: 5, Activity: 2}, frames: make([]recording.Frame, frames)}
	var scan sim.LabelledScan
	var keys sensors.Keypoints
	for i := range clip.frames {
		w := world
		w.Person.RightM, w.Person.FartherM = path(float64(i) / 10)
		ds, err := sim.NewDataset(sim.Config{Seed: 3, Preset: "easy", FramesPerClip: frames, World: &w, Subjects: []int{5}, Activities: []int{2}})
		if err != nil {
			t.Fatal(err)
		}
		at, err := ds.Clip(clip.key)
		if err != nil {
			t.Fatal(err)
		}
		f := &clip.frames[i]
		if err = at.Frame(i, f); err != nil {
			t.Fatal(err)
		}
		if err = at.LabelledScan(i, &scan); err != nil {
			t.Fatal(err)
		}
		f.LiDAR = append([]float64(nil), scan.PointsM...)
		if _, err := at.Keypoints(i, &keys); err != nil {
			t.Fatal(err)
		}
		f.RGB = keys.XY
		f.Scores = append([]float64(nil), keys.Score[:]...)
	}
	return clip
}

// TestCalibrateSensorsThroughTheDrivers: somebody walks before fake sensors, the
// command reads them through the real drivers and prints a configuration with the
// sensors' places.
func TestCalibrateSensorsThroughTheDrivers(t *testing.T) {
	testenv.NoRace(t, "it keeps time with fake sensors that send whole rooms")
	w := sim.DefaultWorld()
	w.LiDAR.WholeSweep = true
	w.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}, TiltDeg: -6}
	w.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{0.4, 0.1, 1.4}, PanDeg: 20}
	clip := walkBefore(t, w, 150, aboutTheRoom)
	dir := t.TempDir()
	cameraAt, lidarAt := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	file := filepath.Join(dir, "room.yaml")
	writeFile(t, file, fmt.Appendf(nil, "sensors:\n  camera: {keypoints_tcp: {listen: %q}}\n  lidar: {driver: livox, livox: {listen: %q}}\n  radar: {enabled: false}\n  csi: {enabled: false}\n"+
		"extrinsics: {camera_intrinsics: {width_px: 640, height_px: 480, fx_px: 605, fy_px: 605, cx_px: 320, cy_px: 240}}\n", cameraAt, lidarAt))
	player, err := replay.NewPlayer(replay.Config{Data: clip, Loop: true, Pause: -1, Camera: &replay.CameraConfig{Addr: cameraAt}, LiDAR: &replay.LiDARConfig{Format: replay.LiDARLivox, Addr: lidarAt}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	played := make(chan error, 1)
	go func() { played <- player.Run(ctx) }()
	var out bytes.Buffer
	err = calibrateSensorsCmd{Config: file, Seconds: 14, JSON: true}.Run(t.Context(), &out)
	stop()
	if playErr := testenv.Receive(t, "the end of the player", played); playErr != nil {
		t.Error(playErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var r sensorsReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	lidar := frame.SensorPose{PositionM: r.RoomFromLiDAR.PositionM, PanDeg: r.RoomFromLiDAR.PanDeg, TiltDeg: r.RoomFromLiDAR.TiltDeg, RollDeg: r.RoomFromLiDAR.RollDeg}
	for k, v := range lidar.PositionM {
		// The fakes' stamps and the machine's load add to what the walk leaves.
		if math.Abs(v-w.LiDAR.RoomFromLiDAR.PositionM[k]) > 0.15 {
			t.Errorf("the LiDAR is at %.3f, want %.3f", lidar.PositionM, w.LiDAR.RoomFromLiDAR.PositionM)
		}
	}
	if math.Abs(lidar.PanDeg-20) > 3 || math.Abs(r.RoomFromCamera.TiltDeg+6) > 1.5 || math.Abs(r.RoomFromCamera.PositionM[2]-1.25) > 0.12 {
		t.Errorf("LiDAR %+v, camera %+v", lidar, r.RoomFromCamera)
	}
}

// TestPrintedPlacesAreAConfiguration that the daemon takes.
func TestPrintedPlacesAreAConfiguration(t *testing.T) {
	s := calibrationResult()
	var out bytes.Buffer
	lens := frame.Simulated.Lens()
	if err := printSensors(&out, s, &lens, true); err != nil {
		t.Fatal(err)
	}
	cfg, err := pipeline.ParseConfig(out.Bytes(), nil)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	e := cfg.Extrinsics
	if e.RoomFromCamera.PositionM[2] != 1.25 || e.RoomFromLiDAR.PanDeg != 25.13 || e.RoomFromRadar.PositionM[0] != -0.4 || math.Abs(e.Camera.FxPx-612) > 1e-9 || math.Abs(e.Camera.FyPx-612) > 1e-9 {
		t.Errorf("%+v, lens %+v:\n%s", e, e.Camera, out.String())
	}
}

func calibrationResult() *calibration.Sensors {
	return &calibration.Sensors{Camera: frame.CameraPose{PositionM: [3]float64{0, 0, 1.25}, TiltDeg: -6.004}, LiDAR: frame.SensorPose{PositionM: [3]float64{0.3, 0.1, 1.4}, PanDeg: 25.13},
		Radar: &frame.SensorPose{PositionM: [3]float64{-0.4, 0.05, 1.1}}, FocalPx: 612, FocalDeviationPx: 6, Used: 900, ResidualM: 0.02}
}
