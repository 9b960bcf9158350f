package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"posefuse/pipeline"
	"posefuse/study/world"
)

// The row of the rude world that is named after the template is the template.
func TestRudeWorldHoldsTheTemplate(t *testing.T) {
	cfg, err := pipeline.LoadConfig("../../configs/clinic.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../../configs/worlds/rude.yaml", "../../configs/worlds/small.yaml"} {
		f, err := world.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, r := range f.Rows {
			if r.Name != "configs/clinic.yaml" {
				continue
			}
			found = true
			w := r.World
			if e := cfg.Extrinsics; !reflect.DeepEqual(w.Camera.RoomFromCamera, *e.RoomFromCamera) ||
				!reflect.DeepEqual(w.LiDAR.RoomFromLiDAR, *e.RoomFromLiDAR) || !reflect.DeepEqual(w.Radar.RoomFromRadar, *e.RoomFromRadar) {
				t.Errorf("%s: camera %+v, LiDAR %+v, radar %+v; the template says otherwise", path, w.Camera.RoomFromCamera, w.LiDAR.RoomFromLiDAR, w.Radar.RoomFromRadar)
			}
		}
		if !found {
			t.Errorf("%s has no row of the template", path)
		}
	}
}

func TestEvalWorld(t *testing.T) {
	doc := "name: two rooms\nclips: [S03/A07]\nframes: 20\nrows:\n  - name: chair\n    world: {room: {furniture: [{kind: chair, at_m: [0, 3.6]}]}}\n"
	dir := t.TempDir()
	file, drawn := filepath.Join(dir, "rooms.yaml"), filepath.Join(dir, "rooms.svg")
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	out := string(printed(t, func() error { return evalCmd{World: file, Plot: drawn, Stride: 1}.Run(t.Context()) }))
	for _, want := range []string{"model ", "two rooms", "prepared mm", "base  ", "chair  ", " frames a row"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if b, err := os.ReadFile(drawn); err != nil || !strings.Contains(string(b), "<svg") {
		t.Errorf("the plot: %v", err)
	}
	if out := string(printed(t, func() error {
		return evalCmd{World: file, JSON: true, Raw: true, Stride: 1, Model: paperModel}.Run(t.Context())
	})); !strings.Contains(out, `"fused_mm":`) || strings.Contains(out, "prepared") {
		t.Errorf("JSON: %s", out)
	}
	for want, c := range map[string]evalCmd{
		"leave --mars and --mocap out":            {World: file, Stride: 1, dataFlags: dataFlags{Mocap: "x"}},
		"leave --mmfi out":                        {World: file, Stride: 1, Card: "x", dataFlags: dataFlags{MMFi: "x"}},
		"open data set":                           {World: file, Stride: 1, dataFlags: dataFlags{MMFi: filepath.Join(dir, "none")}},
		"its file names the clips":                {World: file, Stride: 1, Clips: "S01/A01"},
		"ends in .svg or .png":                    {World: file, Stride: 1, Plot: "rooms.pdf"},
		"no such file":                            {World: filepath.Join(dir, "none.yaml"), Stride: 1},
		"are about a table of rooms: add --world": {Plot: drawn, Stride: 1},
	} {
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
