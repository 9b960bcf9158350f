package pipeline

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/model"
	"posefuse/person"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// wholeRoomConfig has the sensors where the simulator has them, and somebody is
// searched.
func wholeRoomConfig(cfg Config) Config {
	cfg.Person.Enabled = true
	cfg.Extrinsics.RoomFromCamera = &frame.CameraPose{PositionM: [3]float64{0, 0, 0.90}}
	cfg.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{0, 0, 0.95}}
	cfg.Extrinsics.RoomFromRadar = &frame.SensorPose{PositionM: [3]float64{0, 0, 0.85}}
	return cfg
}

// sweeps returns whole sweeps of a room with a patient who does squats and a chair
// behind them.
func sweeps(t *testing.T, n int) (out []*sensors.Sample, own []int) {
	t.Helper()
	w := sim.WholeRoom(sim.ScanRows, 0)
	w.Room.Furniture = []sim.Furniture{{Kind: "chair", AtM: [2]float64{0.7, 3.4}}}
	key := recording.Key{Subject: 5, Activity: 12}
	clip, err := sim.NewClip(sim.Config{Seed: 6, Preset: "mmfi", FramesPerClip: n, World: &w}, sim.NewProcedural(6, key, sim.MotionOptions{Frames: n}))
	if err != nil {
		t.Fatal(err)
	}
	var scan sim.LabelledScan
	for i := range n {
		if err := clip.LabelledScan(i, &scan); err != nil {
			t.Fatal(err)
		}
		s := &sensors.Sample{Modality: modality.LiDAR, CaptureNS: int64(i+1) * 100e6, Cloud: &sensors.PointCloud{}}
		for _, v := range scan.PointsM {
			s.Cloud.XYZ = append(s.Cloud.XYZ, float32(v))
		}
		out, own = append(out, s), append(own, int(scan.Share(sim.SurfacePerson)*float64(len(scan.Surfaces))+0.5))
	}
	return out, own
}

// TestRestartWithThePatientInTheRoom: a daemon that starts while the patient is
// there finds them in the first sweep, with what the run before had learned of the
// room and without. What it has learned, with the patient in the room all the time,
// is the room alone.
func TestRestartWithThePatientInTheRoom(t *testing.T) {
	cfg := wholeRoomConfig(DefaultConfig())
	cfg.Sensors.Camera.Enabled, cfg.Sensors.Radar.Enabled = false, false // which would have to agree
	all, own := sweeps(t, 330)
	buf := make([]float32, 384*model.LiDARPointDim)
	start := func() *personStage { return cfg.personStage(frame.Simulated) }
	dir := t.TempDir()
	before := start()
	for _, s := range all[:300] {
		before.LiDAR(buf, s)
		before.End(modality.Of(modality.LiDAR))
	}
	if err := before.save(dir); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"kept": dir, "lost": t.TempDir()} {
		s := start()
		if err := s.load(from); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for k, sweep := range all[300:] {
			again := *sweep
			again.CaptureNS = int64(k+1) * 100e6 // the clock of the new run
			s.LiDAR(buf, &again)
			place := s.End(modality.Of(modality.LiDAR))
			got := s.TakeSearched()
			track, there, _ := s.Person()
			if !place.Found || !there || track.PlaceM[1] < 2.7 || track.PlaceM[1] > 3.4 {
				t.Fatalf("background %s, sweep %d: found %t, the track %+v", name, k+1, place.Found, track)
			}
			if n := got[person.Person]; n < own[300+k]*85/100 || n > own[300+k]*120/100 {
				t.Errorf("background %s, sweep %d: %d points of a person who has %d", name, k+1, n, own[300+k])
			}
			if known := got[person.Background] > 10*got[person.Other]; known != (name == "kept") && k == 0 {
				t.Errorf("background %s: %d points are background and %d new", name, got[person.Background], got[person.Other])
			}
		}
	}
}

// TestBackgroundThatCannotBeUsed: the daemon says in one line which file and what
// to do, and goes on.
func TestBackgroundThatCannotBeUsed(t *testing.T) {
	elsewhere := wholeRoomConfig(DefaultConfig())
	elsewhere.Extrinsics.RoomFromLiDAR = &frame.SensorPose{PositionM: [3]float64{1, 0, 1.4}}
	other := elsewhere.personStage(frame.Simulated)
	dir := t.TempDir()
	if err := other.save(dir); err != nil {
		t.Fatal(err)
	}
	moved, err := os.ReadFile(filepath.Join(dir, backgroundFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"not one":          {[]byte("{}"), "no background of this version: delete the file"},
		"cut short":        {moved[:len(moved)/2], "cut short or changed: delete the file"},
		"another place":    {moved, "another place of the LiDAR"},
		"nothing, as disk": {nil, "no background of this version"},
	} {
		t.Run(name, func(t *testing.T) {
			var log lockedBuffer
			cfg := wholeRoomConfig(testConfig(t))
			path := filepath.Join(cfg.StateDir, backgroundFile)
			if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			d := startDaemonLogging(t, cfg, newFakeModel("m"), slog.New(slog.NewTextHandler(&log, nil)))
			next(t, d.subscribe(t, "pose"), func(p *message.Pose) bool { return p.Seq > 3 })
			if err := d.stop(); err != nil {
				t.Fatal(err)
			}
			lines := 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, backgroundFile) {
					lines++
					if !strings.Contains(line, c.says) || !strings.Contains(line, path) || !strings.Contains(line, "learned anew") {
						t.Errorf("the log says %s", line)
					}
				}
			}
			if lines != 1 {
				t.Errorf("%d lines about the file:\n%s", lines, log.String())
			}
			// What is learned from now on replaces it.
			fresh := cfg.personStage(frame.Simulated)
			testenv.Wait(t, "the file is replaced", func() bool { return fresh.load(cfg.StateDir) == nil })
		})
	}
}
