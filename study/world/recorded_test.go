package world

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/recording/sim"
)

// recordedIn returns a clip of a simulated data set, changed to the one row of a
// file, and the same clip simulated in that row's room.
func recordedIn(t *testing.T, row string) (base, changed, simulated recording.Clip) {
	t.Helper()
	f, err := Parse([]byte("name: test\nclips: [S05/A12]\nframes: 20\npreset: clean\nrows: [" + row + "]\n"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(ds recording.Dataset, err error) recording.Clip {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		c, err := ds.Open(f.Clips[0])
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	from, err := f.dataset(&f.Rows[0])
	if err != nil {
		t.Fatal(err)
	}
	simulatedIn, err := f.dataset(&f.Rows[1])
	return open(from, nil), open(f.recorded(from, &f.Rows[1])), open(simulatedIn, err)
}

func read(t *testing.T, c recording.Clip, i int) (f recording.Frame, truth recording.Pose) {
	t.Helper()
	if err := c.Frame(i, &f); err != nil {
		t.Fatal(err)
	}
	truth, err := c.Truth(i)
	if err != nil {
		t.Fatal(err)
	}
	return f, truth
}

// TestRecordingsAsSimulated: a recording that is changed to a room gives what the
// simulator gives there, but for what the sensors see of other sides.
func TestRecordingsAsSimulated(t *testing.T) {
	for name, c := range map[string]struct {
		row         string
		px, cloudMM float64 // most that keypoints and the cloud's middle may differ
	}{
		"tilt and roll": {"{name: x, world: {camera: {room_from_camera: {tilt_deg: -8, roll_deg: 5}}}}", 0.5, 1},
		"lens":          {"{name: x, world: {camera: {width_px: 1280, height_px: 720, centre_u_px: 640, centre_v_px: 360, focal_px: 914}}}", 0.5, 1},
		"camera higher": {"{name: x, world: {camera: {room_from_camera: {position_m: [0.2, 0, 1.4], pan_deg: 5}}}}", 12, 1},
		"LiDAR turned":  {"{name: x, world: {lidar: {room_from_lidar: {pan_deg: 90}}}}", 0, 30},
		"nearer":        {"{name: x, world: {person: {farther_m: -0.7, right_m: 0.3}}}", 12, 250},
		"missing":       {"{name: x, world: {camera: {missing: {joints: [left_ear, right_knee]}}}}", 0, 1},
		"late":          {"{name: x, world: {camera: {late_ms: 200}, radar: {late_ms: 100}}}", 1e-9, 1},
		"slow":          {"{name: x, world: {camera: {rate_hz: 5}}}", 1e-9, 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, changed, simulated := recordedIn(t, c.row)
			if a, b := mustRig(t, changed), mustRig(t, simulated); !nearRigs(&a, &b) {
				t.Errorf("rig %+v, simulated %+v", a, b)
			}
			for i := 3; i < 12; i++ {
				got, truth := read(t, changed, i)
				want, simulatedTruth := read(t, simulated, i)
				for j := range truth {
					if d := distance(truth[j], simulatedTruth[j]); d > 1e-6 {
						t.Fatalf("frame %d: joint %d of the truth is %.4f m off", i, j, d)
					}
				}
				for j := range got.RGB {
					if d := math.Hypot(got.RGB[j][0]-want.RGB[j][0], got.RGB[j][1]-want.RGB[j][1]); d > c.px {
						t.Errorf("frame %d: keypoint %d at %.1f, simulated %.1f", i, j, got.RGB[j], want.RGB[j])
					}
				}
				if a, b := middle(got.LiDAR, 3), middle(want.LiDAR, 3); 1000*distance(a, b) > c.cloudMM {
					t.Errorf("frame %d: the cloud's middle is at %.2f m, simulated %.2f", i, a, b)
				}
			}
		})
	}
}

func mustRig(t *testing.T, c recording.Clip) frame.Rig {
	t.Helper()
	r, ok := frame.RigOf(c)
	if !ok {
		t.Fatal("the clip has no arrangement")
	}
	return r
}

func nearRigs(a, b *frame.Rig) bool {
	same := func(p, q *frame.Transform) bool {
		for _, v := range [][3]float64{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}} {
			if distance(p.Apply(v), q.Apply(v)) > 1e-9 {
				return false
			}
		}
		return true
	}
	return same(&a.RoomFromCamera, &b.RoomFromCamera) && same(&a.RoomFromLiDAR, &b.RoomFromLiDAR) && same(&a.RoomFromRadar, &b.RoomFromRadar) && reflect.DeepEqual(a.Camera, b.Camera)
}

func distance(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

func middle(rows []float64, dim int) (m [3]float64) {
	n := float64(len(rows) / dim)
	for ; len(rows) >= dim; rows = rows[dim:] {
		for k := range m {
			m[k] += rows[k] / n
		}
	}
	return m
}

// TestRecordingsStayWhatTheyAre: the base is the recording to the bit, and so is of
// each row what it does not name.
func TestRecordingsStayWhatTheyAre(t *testing.T) {
	for row, same := range map[string][4]bool{ // camera, LiDAR, radar, CSI
		"{name: x, world: {}}": {true, true, true, true},
		"{name: x, world: {radar: {room_from_radar: {tilt_deg: 5}}}}":                                   {true, true, false, true},
		"{name: x, world: {lidar: {whole_sweep: true}}}":                                                {true, false, true, true},
		"{name: x, world: {radar: {clutter_points: 40}}}":                                               {true, true, false, true},
		"{name: x, world: {room: {furniture: [{kind: chair, at_m: [0.8, 3]}]}}}":                        {true, false, true, true},
		"{name: x, degradations: [{kind: modality-missing, severity: 1, modality: csi}]}":               {true, true, true, false},
		"{name: x, degradations: [{kind: modality-missing, severity: 1, modality: camera}]}":            {false, true, true, true},
		"{name: x, degradations: [{kind: modality-missing, severity: 1, end_s: 0.2, modality: lidar}]}": {true, true, true, true},
	} {
		base, changed, _ := recordedIn(t, row)
		a, truth := read(t, base, 5)
		b, moved := read(t, changed, 5)
		got := [4]bool{a.RGB == b.RGB, reflect.DeepEqual(a.LiDAR, b.LiDAR), reflect.DeepEqual(a.MmWave, b.MmWave), reflect.DeepEqual(a.CSIAmp, b.CSIAmp)}
		if got != same || truth != moved {
			t.Errorf("%s: unchanged %v, want %v; truth %t", row, got, same, truth == moved)
		}
		if strings.Contains(row, "whole_sweep") && (len(b.LiDAR) < 3*20_000 || !reflect.DeepEqual(b.LiDAR[:len(a.LiDAR)], a.LiDAR)) {
			t.Errorf("%d points of a whole sweep", len(b.LiDAR)/3)
		}
		if strings.Contains(row, "clutter") && len(b.MmWave) < len(a.MmWave)+5*20 {
			t.Errorf("%d radar points with clutter, %d without", len(b.MmWave)/5, len(a.MmWave)/5)
		}
	}
}

// TestPersonHidesTheRoom: no point of an added room lies behind a recorded one.
func TestPersonHidesTheRoom(t *testing.T) {
	base, changed, simulated := recordedIn(t, "{name: x, world: {lidar: {whole_sweep: true}}}")
	a, _ := read(t, base, 5)
	b, _ := read(t, changed, 5)
	s, _ := read(t, simulated, 5)
	if n, want := len(b.LiDAR)/3, len(s.LiDAR)/3; n > want+1000 || n < want-1500 {
		t.Errorf("%d points, simulated %d", n, want)
	}
	var n nearest
	n.of(a.LiDAR)
	for p := b.LiDAR[len(a.LiDAR):]; len(p) > 0; p = p[3:] {
		if n.hides(p) {
			t.Fatalf("%v is hidden", p[:3])
		}
	}
}

func TestNotApplicable(t *testing.T) {
	for row, want := range map[string]string{
		"{name: x, world: {person: {turn_deg: 30}}}":                           "world.person.turn_deg: nobody",
		"{name: x, world: {person: {height_m: 1.3}}}":                          "world.person.height_m",
		"{name: x, world: {person: {seated: true}}}":                           "world.person.seated",
		"{name: x, world: {misplaced: {fixed: true}}}":                         "world.misplaced",
		"{name: x, world: {room: {ahead_m: 4}}}":                               "world.room: a cropped cloud",
		"{name: x, world: {room: {ahead_m: 4}, lidar: {whole_sweep: true}}}":   "",
		"{name: x, world: {lidar: {whole_sweep: true, beams: 128}}}":           "world.lidar.beams",
		"{name: x, world: {camera: {late_ms: 150}}}":                           "world.camera.late_ms: there is a frame every 100 ms",
		"{name: x, world: {camera: {late_ms: -300, rate_hz: 5}}}":              "",
		"{name: x, world: {radar: {rate_hz: 20}}}":                             "world.radar.rate_hz",
		"{name: x, preset: hard}":                                              "preset",
		"{name: x, degradations: [{kind: occluder, severity: 1}]}":             "degradations: occluder",
		"{name: x, world: {camera: {room_from_camera: {tilt_deg: 3}}}}":        "",
		"{name: x, world: {room: {furniture: [{kind: bed, at_m: [1.3, 3]}]}}}": "",
	} {
		f, err := Parse([]byte("name: test\nrows: [" + row + "]\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.skips(&mmfi.Directory{}, &f.Rows[1]); (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", row, got, want)
		}
		if got := f.skips(nil, &f.Rows[1]); got != "" {
			t.Errorf("%s, simulated: %q", row, got)
		}
	}
}

// TestRoomsOfRecordings: a folder of MM-Fi's layout in the rooms of a file.
func TestRoomsOfRecordings(t *testing.T) {
	dir := t.TempDir()
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "mmfi", FramesPerClip: 14, Subjects: []int{5}, Activities: []int{12}})
	if err != nil {
		t.Fatal(err)
	}
	if err = ds.Write(t.Context(), dir, sim.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	from, err := mmfi.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse([]byte(`
name: recorded
clips: [S05/A12]
frames: 12
rows:
  - name: farther
    world: {person: {farther_m: 0.8}}
  - name: whole sweep
    world: {lidar: {whole_sweep: true}}
  - name: turned
    world: {person: {turn_deg: 90}}
`))
	if err != nil {
		t.Fatal(err)
	}
	net, card, err := model.LoadCheckpoint(paperModel)
	if err != nil {
		t.Fatal(err)
	}
	table, err := Evaluate(t.Context(), f, from, net, []Stage{Raw(net.Config, card.Window), Prepared(net.Config, card.Window, card.TrainedIn())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, found := table.Stages[0].Rows, table.Stages[1].Rows
	if table.Frames != 12 || raw[1].Ratio < 2 || found[1].Ratio > 1.3 || raw[2].Ratio < 3 || found[2].Ratio > 1.3 || table.Search != nil {
		t.Errorf("%d frames, raw %+v, found %+v", table.Frames, raw, found)
	}
	var text bytes.Buffer
	if err := table.Print(&text); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%-44s not of recordings: world.person.turn_deg: nobody saw the other side\n", "turned")
	if !strings.HasSuffix(text.String(), want) || !strings.Contains(text.String(), dir) {
		t.Errorf("the text lacks %q:\n%s", want, text.String())
	}
	if c := table.Chart(); len(c.Names) != 3 || len(c.Series[1].Values) != 3 {
		t.Errorf("chart %+v", c)
	}
	f.Rows[0].World.Person.Seated = true
	if _, err := Evaluate(t.Context(), f, from, net, []Stage{Raw(net.Config, card.Window)}, nil); err == nil || !strings.Contains(err.Error(), "the base cannot") {
		t.Errorf("a base that no recording can be: %v", err)
	}
}
