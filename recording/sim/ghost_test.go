package sim

import (
	"math"
	"testing"

	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// TestEmptyRoom: no sensor sees a person in a room without one, and a camera that
// sees ghosts is unsure of them.
func TestEmptyRoom(t *testing.T) {
	m := NewProcedural(3, recording.Key{Subject: 2, Activity: 12}, MotionOptions{})
	for _, share := range []float64{0, 0.3} {
		c := newWorldClip(t, "mmfi", m, func(w *World) {
			w.Person.Absent, w.Camera.GhostShare, w.LiDAR.WholeSweep = true, share, true
			w.Radar.ClutterPoints = 50
		})
		ghosts, frames := 0, 200
		var k sensors.Keypoints
		for i := range frames {
			found, err := c.Keypoints(i, &k)
			if err != nil {
				t.Fatal(err)
			}
			if found {
				ghosts++
				for j, v := range k.Score {
					if v > ghostScoreHigh || math.IsNaN(k.XY[j][0]) {
						t.Fatalf("frame %d: a ghost's joint %d at %v with score %.2f", i, j, k.XY[j], v)
					}
				}
			}
		}
		if got := float64(ghosts) / float64(frames); math.Abs(got-share) > 0.1 {
			t.Errorf("%.2f of the frames show a ghost, want %.1f", got, share)
		}
		var scan LabelledScan
		if err := c.LabelledScan(5, &scan); err != nil {
			t.Fatal(err)
		}
		if n := len(personPoints(&scan)); n != 0 || len(scan.Surfaces) < 20_000 {
			t.Errorf("%d points of a person among %d", n, len(scan.Surfaces))
		}
		var f recording.Frame
		if err := c.FrameOf(5, modality.All, &f); err != nil {
			t.Fatal(err)
		}
		if len(f.MmWave) == 0 || len(f.CSIAmp) == 0 {
			t.Errorf("%d radar values, %d CSI values: an empty room has clutter and a channel", len(f.MmWave), len(f.CSIAmp))
		}
	}
}
