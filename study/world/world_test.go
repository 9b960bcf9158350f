package world

import (
	"bytes"
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/model/shipped"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/train"
)

// The shipped files of rooms are whole: each row differs from the base, and a row's
// world changes only what it names.
func TestShippedFiles(t *testing.T) {
	for path, rows := range map[string]int{"../../configs/worlds/rude.yaml": 50, "../../configs/worlds/small.yaml": 4} {
		f, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Rows) < rows || f.Rows[0].Name != BaseName {
			t.Errorf("%s: %d rows, the first %q", path, len(f.Rows), f.Rows[0].Name)
		}
		base := f.Rows[0].World
		for _, r := range f.Rows[1:] {
			w := r.World
			w.Name = base.Name
			if equal(t, &w, &base) && len(r.Degradations) == 0 && r.Preset == f.Rows[0].Preset && !r.Untold {
				t.Errorf("%s: %q is the base", path, r.Name)
			}
			if w.LiDAR.Beams == 0 || w.Camera.FocalPx == 0 || w.Room.CeilingM == 0 {
				t.Errorf("%s: %q lost keys of the base: %+v", path, r.Name, w)
			}
		}
	}
}

// equal reports whether two worlds print the same.
func equal(t *testing.T, a, b *sim.World) bool {
	t.Helper()
	x, err1 := yaml.Marshal(a)
	y, err2 := yaml.Marshal(b)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return bytes.Equal(x, y)
}

func TestParse(t *testing.T) {
	f, err := Parse([]byte(`
name: test
clips: [S07/A12, S08/A01]
frames: 5
seed: 3
base: {camera: {focal_px: 700, room_from_camera: {position_m: [0, 0, 1.1]}}}
rows:
  - name: tilted
    world: {camera: {room_from_camera: {tilt_deg: -4}}}
  - name: dark
    preset: mmfi-2
    degradations: [{kind: dark-room, severity: 2, start_s: 0.1, end_s: 0.3}]
`))
	if err != nil {
		t.Fatal(err)
	}
	tilted, dark := f.Rows[1], f.Rows[2]
	if c := tilted.World.Camera; c.FocalPx != 700 || c.RoomFromCamera.PositionM[2] != 1.1 || c.RoomFromCamera.TiltDeg != -4 || c.WidthPx != 640 {
		t.Errorf("camera %+v", c)
	}
	if d := dark.Degradations; len(d) != 1 || d[0].Kind != sim.DarkRoom || d[0].Severity != 2 || d[0].StartS != 0.1 || d[0].EndS != 0.3 || dark.Preset != "mmfi-2" {
		t.Errorf("dark %+v", dark)
	}
	if f.Seed != 3 || f.Frames != 5 || len(f.Clips) != 2 || f.Clips[0] != (recording.Key{Subject: 7, Activity: 12}) {
		t.Errorf("%+v", f)
	}
}

// Errors name the path of the key and what is known there.
func TestParseErrors(t *testing.T) {
	for want, doc := range map[string]string{
		"the file is empty":                                                                   "",
		"more than one YAML document":                                                         "name: a\n---\nname: b\n",
		`name: "": give the table a short name`:                                               "frames: 3\n",
		"colour: unknown key (line 2): use name, clips":                                       "name: a\ncolour: blue\n",
		"rows[0].world.lidar.beam: unknown key (line 4)":                                      "name: a\nrows:\n  - name: x\n    world: {lidar: {beam: 3}}\n",
		"rows[0].world.room.furniture[0].at: unknown key":                                     "name: a\nrows: [{name: x, world: {room: {furniture: [{kind: bed, at: [1, 2]}]}}}]\n",
		"base.person.depth: unknown key (line 2): use right_m, farther_m, turn_deg, height_m": "name: a\nbase: {person: {depth: 3}}\n",
		"rows[0].world: line 2: cannot unmarshal":                                             "name: a\nrows: [{name: x, world: {camera: {focal_px: long}}}]\n",
		"rows[0].world.camera.focal_px: 0 is out of range":                                    "name: a\nrows: [{name: x, world: {camera: {focal_px: 0}}}]\n",
		"rows[1].name: \"x\": give each row a name of its own":                                "name: a\nrows: [{name: x}, {name: x}]\n",
		"rows[0].name: \"base\": give each row":                                               "name: a\nrows: [{name: base}]\n",
		"rows[0].preset: \"rude\" is unknown":                                                 "name: a\nrows: [{name: x, preset: rude}]\n",
		"rows[0].degradations[0]: unknown degradation \"fog\"":                                "name: a\nrows: [{name: x, degradations: [{kind: fog, severity: 1}]}]\n",
		"rows[0].degradations[0].level: unknown key":                                          "name: a\nrows: [{name: x, degradations: [{kind: occluder, level: 1}]}]\n",
		"clips[0]: \"S41/A01\": want a clip":                                                  "name: a\nclips: [S41/A01]\n",
		"clips[1]: \"S5/A1\": want a clip":                                                    "name: a\nclips: [S05/A01, S5/A1]\n",
		"clips: none":                                                                         "name: a\nclips: []\n",
		"frames: 0 is out of range":                                                           "name: a\nframes: 0\n",
		"base.room.ahead_m: 0.2 is out of range":                                              "name: a\nbase: {room: {ahead_m: 0.2}}\n",
		"line 1: did not find expected":                                                       "name: {a\n",
	} {
		if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", doc, want, err)
		}
	}
	if _, err := ReadFile("no such file.yaml"); err == nil || !strings.Contains(err.Error(), "no such file.yaml") {
		t.Errorf("missing file: %v", err)
	}
}

// Whatever a file says, it is refused or its rooms can be recorded.
func FuzzParse(f *testing.F) {
	for _, path := range []string{"../../configs/worlds/rude.yaml", "../../configs/worlds/small.yaml"} {
		doc, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte("name: a\nbase: &b {person: {farther_m: 1}}\nrows: [{name: x, world: {<<: *b, lidar: {whole_sweep: true}}}]\n"))
	f.Add([]byte("name: a\nrows: [{name: x, world: {camera: {room_from_camera: {matrix: [[1,0,0,0],[0,0,1,0],[0,-1,0,1],[0,0,0,1]]}}}}]\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		file, err := Parse(doc)
		if err != nil {
			return
		}
		for i := range file.Rows {
			ds, err := file.dataset(&file.Rows[i])
			if err != nil {
				t.Fatalf("row %q passed the check: %v", file.Rows[i].Name, err)
			}
			clip, err := ds.Clip(file.Clips[0])
			if err != nil {
				t.Fatal(err)
			}
			var fr recording.Frame
			if err := clip.Frame(0, &fr); err != nil {
				t.Fatal(err)
			}
			for _, xs := range [][]float64{fr.LiDAR, fr.MmWave} {
				for _, x := range xs {
					if math.IsNaN(x) || math.IsInf(x, 0) {
						t.Fatalf("row %q: a point at %g", file.Rows[i].Name, x)
					}
				}
			}
		}
	})
}

// paperModel is a network of recipe paper: it takes what the sensors send as it is,
// and so shows what finding the person is worth.
const paperModel = "../../model/checkpoints/paper"

// The small table with a network of recipe paper: a sensor that a row leaves alone has the
// base's error to the bit, what a row changes has another.
func TestSmallTable(t *testing.T) {
	net, card, err := model.LoadCheckpoint(paperModel)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile("../../configs/worlds/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	table, err := Evaluate(context.Background(), f, nil, net, []Stage{Raw(net.Config, card.Window)}, func(d, _ int) { done = d })
	if err != nil {
		t.Fatal(err)
	}
	if done != len(f.Rows) || len(table.Stages) != 1 || len(table.Stages[0].Rows) != len(f.Rows) {
		t.Fatalf("%d of %d rooms in %+v", done, len(f.Rows), table)
	}
	rows := map[string]RowScore{}
	for _, r := range table.Stages[0].Rows {
		rows[r.Name] = r
	}
	base := rows[BaseName]
	if base.Ratio != 1 || base.FusedMM < 20 || base.FusedMM > 300 {
		t.Errorf("base %+v", base)
	}
	for name, same := range map[string]map[string]bool{
		"whole sweep, 32 beams": {"R": true, "L": false, "M": true, "W": true},
		"patient 0.5 m farther": {"R": false, "L": false, "M": false, "W": false},
		"focal length x 1.25":   {"R": false, "L": true, "M": true, "W": true},
		"configs/clinic.yaml":   {"R": false, "L": false, "M": false, "W": false},
	} {
		r, ok := rows[name]
		if !ok {
			t.Errorf("no row %q", name)
			continue
		}
		for letter, want := range same {
			if got := r.AloneMM[letter] == base.AloneMM[letter]; got != want {
				t.Errorf("%s: %s alone %.3f mm, base %.3f", name, letter, r.AloneMM[letter], base.AloneMM[letter])
			}
		}
		if math.Abs(r.Ratio-r.FusedMM/base.FusedMM) > 1e-12 || r.FusedMM == base.FusedMM {
			t.Errorf("%s: ratio %g of %g mm to %g mm", name, r.Ratio, r.FusedMM, base.FusedMM)
		}
	}
	var text bytes.Buffer
	if err = table.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"raw mm", "simulated sensors", "12 frames a row", "focal length x 1.25", " W mm"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	drawn, err := table.Chart().SVG()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"whole sweep, 32 beams", "MPJPE, mm"} {
		if !bytes.Contains(drawn, []byte(want)) {
			t.Errorf("the chart lacks %q", want)
		}
	}
}

// In the small table's rooms at least 95 of 100 points of the person reach the
// network, and of what reaches it at most a tenth lies on something else.
func TestPersonIsFoundInSmallTable(t *testing.T) {
	f, err := ReadFile("../../configs/worlds/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Rows {
		r := &f.Rows[i]
		ds, err := f.dataset(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := search(t.Context(), ds, f.Clips, frame.Simulated, false)
		if err != nil {
			t.Fatal(err)
		}
		if got.Kept < 0.95 || got.Foreign > 0.10 {
			t.Errorf("%s: %.3f of the person kept, %.3f of what was found is something else", r.Name, got.Kept, got.Foreign)
		}
		if whole := r.World.LiDAR.WholeSweep; (got.Points > 20_000) != whole {
			t.Errorf("%s: %.0f points a sweep", r.Name, got.Points)
		}
	}
}

// With two ways to the network the text has a column of each, and the chart bars of
// both.
func TestTwoStages(t *testing.T) {
	table := &Table{Name: "two", Data: "made up", Stages: []StageScores{
		{Name: "raw", Rows: []RowScore{{Name: "base", FusedMM: 60, Ratio: 1, AloneMM: map[string]float64{"L": 130}}, {Name: "far", FusedMM: 240, Ratio: 4, AloneMM: map[string]float64{"L": 500}}, {Name: "nobody", Empty: true}}},
		{Name: "room", Rows: []RowScore{{Name: "base", FusedMM: 61, Ratio: 1, AloneMM: map[string]float64{"L": 131}}, {Name: "far", FusedMM: 73.2, Ratio: 1.2, Found: train.Found{Ticks: 8, Somebody: 6}, AloneMM: map[string]float64{"L": 140}}, {Name: "nobody", Empty: true, Found: train.Found{Ticks: 8, Somebody: 2}}}},
	}, Search: []SearchScore{{}, {Kept: 0.97, Foreign: 0.015, Points: 27000}, {}}}
	var text bytes.Buffer
	if err := table.Print(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if got := lines[len(lines)-1]; strings.Join(strings.Fields(got), " ") != "nobody empty: somebody in 25.0 % of the frames" {
		t.Errorf("the empty room: %q", got)
	}
	if got := strings.Fields(lines[len(lines)-2]); strings.Join(got, " ") != "far 240.0 4.00 73.2 1.20 0.0 140.0 75.0 27000 97.0 1.5" {
		t.Errorf("last row %q", got)
	}
	c := table.Chart()
	if len(c.Names) != 2 || len(c.Series) != 2 || c.Series[1].Name != "room" || c.Series[1].Values[1] != 73.2 {
		t.Errorf("chart %+v", c)
	}
}

// fourClips is the small file with four movements of 40 frames.
func fourClips(t *testing.T) *File {
	t.Helper()
	f, err := ReadFile("../../configs/worlds/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f.Frames = 40
	f.Clips = []recording.Key{{Subject: 5, Activity: 1}, {Subject: 5, Activity: 12}, {Subject: 10, Activity: 13}, {Subject: 15, Activity: 17}}
	return f
}

// TestPersonFoundInRoomsThatDiffer: with the person found and brought into the
// model's arrangement no room of the small file costs more than 1.3 times the
// base, without an oracle, where without it each costs 1.7 times and more.
func TestPersonFoundInRoomsThatDiffer(t *testing.T) {
	net, card, err := model.LoadCheckpoint(paperModel)
	if err != nil {
		t.Fatal(err)
	}
	f := fourClips(t)
	table, err := Evaluate(t.Context(), f, nil, net, []Stage{Raw(net.Config, card.Window), Prepared(net.Config, card.Window, card.TrainedIn())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range table.Stages[1].Rows {
		raw := table.Stages[0].Rows[i]
		t.Logf("%-24s raw %.0f mm (%.2f), person found %.0f mm (%.2f)", r.Name, raw.FusedMM, raw.Ratio, r.FusedMM, r.Ratio)
		if r.Ratio > 1.3 {
			t.Errorf("%s: %.2f of the base's error with the person found", r.Name, r.Ratio)
		}
		if r.Name != BaseName && (raw.Ratio < 1.7 || r.FusedMM > raw.FusedMM) {
			t.Errorf("%s: %.0f mm with the person found, %.0f without", r.Name, r.FusedMM, raw.FusedMM)
		}
	}
}

// TestShippedModel: the model that comes with the program holds in the rooms of the
// small file, as its card says.
func TestShippedModel(t *testing.T) {
	net, card, err := shipped.Load()
	if err != nil {
		t.Fatal(err)
	}
	f := fourClips(t)
	table, err := Evaluate(t.Context(), f, nil, net, []Stage{Prepared(net.Config, card.Window, card.TrainedIn())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table.Stages[0].Rows {
		if r.Ratio > 1.3 || r.FusedMM > 1.5*card.Envelope.BaseMM {
			t.Errorf("%s: %.0f mm, %.2f of the base's; the card says %.0f", r.Name, r.FusedMM, r.Ratio, card.Envelope.BaseMM)
		}
	}
}

// TestUntold: where nobody said how the sensors stand nothing is lost if they stand as
// assumed, and much if they do not.
func TestUntold(t *testing.T) {
	net, card, err := shipped.Load()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse([]byte(`
name: untold
clips: [S05/A12]
frames: 30
rows:
  - name: as assumed
    untold: true
  - name: tilted
    untold: true
    world: {camera: {room_from_camera: {tilt_deg: -10}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	table, err := Evaluate(t.Context(), f, nil, net, []Stage{Prepared(net.Config, card.Window, card.TrainedIn())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := table.Stages[0].Rows
	if base := rows[0].FusedMM; rows[1].FusedMM != base || rows[2].FusedMM < 1.5*base || table.Search[1] != table.Search[0] || !f.differsElse(&f.Rows[1]) {
		t.Errorf("scores %+v, search %+v", rows, table.Search)
	}
}
