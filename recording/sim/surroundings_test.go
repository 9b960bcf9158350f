package sim

import (
	"slices"
	"testing"

	"posefuse/recording"
)

// What surrounds a person is the part of a frame that is not theirs: every point
// of the room that nobody hides, the furniture, and the same static clutter.
func TestSurroundings(t *testing.T) {
	m := NewProcedural(1, recording.Key{Subject: 5, Activity: 12}, MotionOptions{})
	for name, change := range map[string]func(*World){
		"whole sweep": func(w *World) { w.LiDAR.WholeSweep, w.LiDAR.RoomFromLiDAR.PanDeg = true, 90 },
		"furniture":   func(w *World) { w.Room.Furniture = []Furniture{{Kind: "chair", AtM: [2]float64{1, 3}}} },
		"clutter":     func(w *World) { w.Radar.ClutterPoints = 60 },
		"nothing":     func(*World) {},
	} {
		c := newWorldClip(t, "mmfi", m, change)
		var around Surroundings
		if err := c.Surroundings(4, &around); err != nil {
			t.Fatal(err)
		}
		var scan LabelledScan
		if err := c.LabelledScan(4, &scan); err != nil {
			t.Fatal(err)
		}
		have := map[[3]float64]bool{}
		for p := around.LiDAR; len(p) > 0; p = p[3:] {
			have[[3]float64(p[:3])] = true
		}
		want, missing := 0, 0
		for k, on := range scan.Surfaces {
			if on == SurfaceRoom && name == "whole sweep" || on == SurfaceFurniture && name != "nothing" && name != "clutter" {
				want++
				if !have[[3]float64(scan.PointsM[3*k:3*k+3])] {
					missing++
				}
			}
		}
		// Of a crop some furniture is the environment's own, and its noise depends
		// on what hides it.
		if name == "whole sweep" && (want < 20_000 || missing > 0) || name == "furniture" && (len(have) < 30 || len(have) > want+30) || name == "nothing" && len(have) != 0 {
			t.Errorf("%s: %d points around, %d wanted, %d missing", name, len(have), want, missing)
		}
		rows := mustFrame(t, c, 4).MmWave
		if n := len(around.Radar); name == "clutter" && (n < 5*30 || !slices.Equal(around.Radar, rows[len(rows)-n:])) || name != "clutter" && n != 0 {
			t.Errorf("%s: %d values of clutter", name, n)
		}
	}
	c := newWorldClip(t, "mmfi", m, nil)
	if err := c.Surroundings(-1, &Surroundings{}); err == nil {
		t.Error("a frame below zero is taken")
	}
}
