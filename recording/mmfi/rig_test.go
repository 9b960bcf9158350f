package mmfi

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// drawRig draws an arrangement such as rooms have.
func drawRig(t *rapid.T) frame.Rig {
	angle, at := rapid.Float64Range(-90, 90), rapid.Float64Range(-3, 3)
	place := func(name string) [3]float64 {
		return [3]float64{at.Draw(t, name+" x"), at.Draw(t, name+" y"), at.Draw(t, name+" z")}
	}
	camera := frame.CameraPose{PositionM: place("camera"), PanDeg: angle.Draw(t, "pan"), TiltDeg: angle.Draw(t, "tilt")}
	lidar := frame.SensorPose{PositionM: place("lidar"), PanDeg: angle.Draw(t, "lidar pan")}
	radar := frame.SensorPose{PositionM: place("radar"), RollDeg: angle.Draw(t, "radar roll")}
	r := frame.Rig{RoomFromCamera: camera.RoomFromCamera(), RoomFromLiDAR: lidar.RoomFromSensor(), RoomFromRadar: radar.RoomFromSensor(),
		Camera: frame.Intrinsics{WidthPx: 1280, HeightPx: 720, FxPx: rapid.Float64Range(880, 930).Draw(t, "fx"), FyPx: 905.1, CxPx: 640.25, CyPx: 361}}
	if rapid.Bool().Draw(t, "distorted") {
		r.Camera.Distortion = []float64{0.1, -0.02}
	}
	return r
}

func TestRigKeepsEveryBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRig(t)
		b, err := EncodeRig(&want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseRig(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: %+v became %+v", err, want, got)
		}
	})
}

func TestRigIsChecked(t *testing.T) {
	good := frame.Simulated.Rig()
	b, err := EncodeRig(&good)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, says string }{
		"another file":    {string(b), "{}", "schema 0"},
		"no file":         {string(b), "", "no arrangement of sensors"},
		"an unknown key":  {`"schema"`, `"sensors": 3, "schema"`, "sensors"},
		"a later schema":  {`"schema": 1`, `"schema": 2`, "schema 2"},
		"a place missing": {`"room_from_lidar"`, `"room_from_radar"`, "room_from_lidar"},
		"no rotation":     {"[\n      1,", "[\n      2,", "rotation"},
		"no lens":         {`"fx_px": 605`, `"fx_px": 0`, "camera_intrinsics.fx_px"},
	} {
		changed := strings.Replace(string(b), c.from, c.to, 1)
		if changed == string(b) {
			t.Fatalf("%s: nothing was changed in %s", name, b)
		}
		if _, err := ParseRig([]byte(changed)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// scoredClip is testClip with scores and one frame in which nobody was found.
type scoredClip struct{ testClip }

func (c scoredClip) Frame(i int, f *recording.Frame) error {
	if err := c.testClip.Frame(i, f); err != nil {
		return err
	}
	f.Scores = make([]float64, 17)
	if i == 1 {
		f.RGB = [17][2]float64{}
		return nil
	}
	f.RGB[3] = [2]float64{320.5, 100}
	for j := range f.Scores {
		f.Scores[j] = float64(i+1) / float64(j+3)
	}
	return nil
}

// TestRecordingsKeepWhatIsNeeded: a folder with scores, arrangement and background
// gives them back, and one without says what it lacks.
func TestRecordingsKeepWhatIsNeeded(t *testing.T) {
	root := t.TempDir()
	clip := scoredClip{testClip{key: recording.Key{Subject: 3, Activity: 4}, frames: 3}}
	if err := WriteClip(root, clip, nil); err != nil {
		t.Fatal(err)
	}
	bare := t.TempDir()
	writeTestClip(t, bare, clip.Key(), 3)
	rig := frame.Simulated.Rig()
	b, err := EncodeRig(&rig)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{RigName: b, BackgroundName: []byte("what was learned")} {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		root  string
		whole bool
		lacks int
	}{{root, true, 0}, {bare, false, 3}} {
		d, err := Open(c.root)
		if err != nil {
			t.Fatal(err)
		}
		if lines := d.Lacks(); len(lines) != c.lacks {
			t.Errorf("lacks %q", lines)
		}
		got, err := d.Open(clip.Key())
		if err != nil {
			t.Fatal(err)
		}
		if noted, ok := frame.RigOf(got); ok != c.whole || ok && !reflect.DeepEqual(noted, rig) {
			t.Errorf("arrangement %+v, %t", noted, ok)
		}
		if b := got.(recording.Backgrounded).Background(); (b != nil) != c.whole || c.whole && !bytes.Equal(b, []byte("what was learned")) {
			t.Errorf("background %q", b)
		}
		var f, want recording.Frame
		for i := range 3 {
			if err := recording.ReadFrame(got, i, modality.Of(modality.Camera), &f); err != nil {
				t.Fatal(err)
			}
			if err := clip.Frame(i, &want); err != nil {
				t.Fatal(err)
			}
			if !c.whole {
				want.Scores = nil
			}
			if !slices.Equal(f.Scores, want.Scores) || c.whole && f.Absent.Has(modality.Camera) != (i == 1) {
				t.Errorf("frame %d: scores %v, want %v; absent %v", i+1, f.Scores, want.Scores, f.Absent)
			}
		}
	}
}

func TestBrokenCompanionsAreRefused(t *testing.T) {
	key := recording.Key{Subject: 3, Activity: 4}
	for name, c := range map[string]struct {
		file    func(root string) string
		content []byte
	}{
		"arrangement": {func(root string) string { return filepath.Join(root, RigName) }, []byte("{")},
		"scores":      {func(root string) string { return filepath.Join(root, filepath.FromSlash(Path(key)), scoresName) }, []byte("no array")},
	} {
		root := t.TempDir()
		writeTestClip(t, root, key, 2)
		path := c.file(root)
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(root)
		if err == nil {
			_, err = d.Open(key)
		}
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRig(f *testing.F) {
	rig := frame.Simulated.Rig()
	b, err := EncodeRig(&rig)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema": 1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		rig, err := ParseRig(b)
		if err != nil {
			return
		}
		for _, v := range []float64{rig.Camera.FxPx, rig.RoomFromCamera.T[0], rig.RoomFromLiDAR.R[1][1], rig.RoomFromRadar.T[2]} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%+v", rig)
			}
		}
		again, err := EncodeRig(&rig)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParseRig(again); err != nil || !reflect.DeepEqual(same.RoomFromCamera, rig.RoomFromCamera) {
			t.Fatalf("written again it differs: %v", err)
		}
	})
}
