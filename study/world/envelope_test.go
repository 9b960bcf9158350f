package world

import (
	"maps"
	"slices"
	"testing"

	"posefuse/frame"
	"posefuse/model"
)

// TestEnvelopeOfATable: rooms in which the model holds stretch the ranges of
// whatever they differ in; only a room that differs in one thing alone limits.
func TestEnvelopeOfATable(t *testing.T) {
	f, err := Parse([]byte(`
name: t
clips: [S05/A12]
frames: 1
rows:
  - {name: low, world: {camera: {room_from_camera: {position_m: [0, 0, 0.5]}}}}
  - {name: higher, world: {camera: {room_from_camera: {position_m: [0, 0, 1.3]}}}}
  - {name: too high, world: {camera: {room_from_camera: {position_m: [0, 0, 1.7]}}}}
  - {name: high and tilted, world: {camera: {room_from_camera: {position_m: [0, 0, 2.1], tilt_deg: -15}}}}
  - {name: higher and far, world: {camera: {room_from_camera: {position_m: [0, 0, 1.4]}}, person: {farther_m: 1}}}
  - {name: turned, world: {person: {turn_deg: -90}}}
  - {name: chair and aside, world: {person: {right_m: -0.5}, room: {furniture: [{kind: chair, at_m: [1, 3.6]}]}}}
  - {name: crowd, degradations: [{kind: second-person, severity: 1}]}
  - {name: lens, world: {camera: {width_px: 1280, height_px: 720, centre_u_px: 640, centre_v_px: 360, focal_px: 640}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	mm := map[string]float64{BaseName: 60, "low": 66, "higher": 63, "too high": 90, "high and tilted": 72, "higher and far": 120, "turned": 180, "chair and aside": 75, "crowd": 100, "lens": 60.04}
	table := &Table{Data: "d", Frames: 1, Stages: []StageScores{{Name: "raw"}, {Name: "prepared"}}}
	for _, r := range f.Rows {
		table.Stages[0].Rows = append(table.Stages[0].Rows, RowScore{Name: r.Name, FusedMM: 1000, Ratio: 1})
		table.Stages[1].Rows = append(table.Stages[1].Rows, RowScore{Name: r.Name, FusedMM: mm[r.Name], Ratio: mm[r.Name] / 60})
	}
	e, err := table.Envelope(f)
	if err != nil {
		t.Fatal(err)
	}
	for q, want := range map[frame.Quantity]model.Range{
		frame.CameraHeight: {Min: 0.5, Max: 1.3, MM: 66, Ratio: 1.1}, // "too high" ends it, and 2.1 m lies beyond
		frame.CameraTilt:   {Min: -15, Max: 0, MM: 72, Ratio: 1.2},
		frame.Distance:     {Min: 3.1, Max: 3.1, MM: 60, Ratio: 1}, // two things differed where it did not hold
		frame.Turned:       {Min: 0, Max: 0, MM: 60, Ratio: 1},
		frame.Aside:        {Min: 0, Max: 0.5, MM: 75, Ratio: 1.25}, // though a chair was there
		frame.CameraFocal:  {Min: 0.5, Max: 0.945, MM: 60, Ratio: 1},
		frame.LiDARHeight:  {Min: 0.95, Max: 0.95, MM: 60, Ratio: 1},
	} {
		if got := e.Ranges[q]; got != want {
			t.Errorf("%s: %+v, want %+v", q, got, want)
		}
	}
	for name, want := range map[string]model.RoomScore{
		"turned":          {Name: "turned", MM: 180, Ratio: 3, Differs: map[frame.Quantity]float64{frame.Turned: 90}},
		"crowd":           {Name: "crowd", MM: 100, Ratio: 1.67, Else: true},
		"chair and aside": {Name: "chair and aside", MM: 75, Ratio: 1.25, Else: true, Differs: map[frame.Quantity]float64{frame.Aside: 0.5}},
		"lens":            {Name: "lens", MM: 60, Ratio: 1, Differs: map[frame.Quantity]float64{frame.CameraFocal: 0.5}},
	} {
		i := slices.IndexFunc(e.Rooms, func(r model.RoomScore) bool { return r.Name == name })
		if got := e.Rooms[i]; !maps.Equal(got.Differs, want.Differs) || got.MM != want.MM || got.Ratio != want.Ratio || got.Else != want.Else {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if e.BaseMM != 60 || e.Base[frame.Distance] != 3.1 || e.Rooms[0].Name != BaseName {
		t.Errorf("base %v, %v", e.BaseMM, e.Base)
	}
}
