package person

import (
	"math"
	"testing"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/recording/sim"

	"pgregory.net/rapid"
)

// testGround is such that figure stands on the floor: its ankles are 1.74 trunks
// of 0.15 below the hips at 0.05.
var testGround = ground{cameraM: 0.09 + (0.05+1.74*0.15)/0.62, distanceM: 3.05, perM: 0.62}

// TestLegsThatNothingSees: of simulated people who do what MM-Fi's do, seen from
// the front, knees and ankles are guessed from trunk and floor within a few
// centimetres while both feet are on the floor.
func TestLegsThatNothingSees(t *testing.T) {
	a := frame.Simulated
	g := ground{a.CameraHeightM, a.DistanceM, screenPerM(&a)}
	h36m := map[int]int{leftShoulder: 11, rightShoulder: 14, leftHip: 4, rightHip: 1, leftKnee: 5, leftKnee + 1: 2, leftAnkle: 6, rightAnkle: 3}
	for name, c := range map[string]struct {
		activity   int
		meanM, max float64
	}{
		"arms":  {1, 0.03, 0.06},
		"squat": {12, 0.07, 0.18},
	} {
		for _, subject := range []int{2, 11, 23} {
			m := sim.NewProcedural(5, recording.Key{Subject: subject, Activity: c.activity}, sim.MotionOptions{Clean: true})
			var s skeleton
			sum, most, n := 0.0, 0.0, 0.0
			for i := range 100 {
				sk := m.At(float64(i) / 10)
				var at [NumKeypoints][2]float64
				var have [NumKeypoints]bool
				for j, from := range h36m {
					v := sk[from]
					at[j], have[j] = g.on(v[0], v[1], v[2]-sk[0][2]), j < leftKnee
				}
				truth := at
				if !s.fill(int64(i+1)*1e8, &g, &at, &have) {
					t.Fatal("not filled")
				}
				for j := leftKnee; j < NumKeypoints; j++ {
					d := math.Hypot(at[j][0]-truth[j][0], at[j][1]-truth[j][1]) / g.perM
					sum, most, n = sum+d, max(most, d), n+1
				}
			}
			t.Logf("%s, subject %d: %.3f m on average, %.3f at most", name, subject, sum/n, most)
			if sum/n > c.meanM || most > c.max {
				t.Errorf("%s, subject %d: %.3f m on average, %.3f at most; want %.2f and %.2f", name, subject, sum/n, most, c.meanM, c.max)
			}
		}
	}
}

// TestLegsAreLegs: whatever is known of a person, ankles are not below the floor,
// and everything is a number.
func TestLegsAreLegs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := frame.Simulated
		g := ground{a.CameraHeightM, a.DistanceM, screenPerM(&a)}
		var s skeleton
		v := rapid.Float64Range(-1, 1)
		for i := range 3 {
			var at [NumKeypoints][2]float64
			var have [NumKeypoints]bool
			for j := range at {
				at[j], have[j] = [2]float64{v.Draw(t, "x"), v.Draw(t, "y")}, rapid.Bool().Draw(t, "have")
			}
			seen := have
			if !s.fill(int64(i)*2e9, &g, &at, &have) {
				continue
			}
			for j, p := range at {
				if math.IsNaN(p[0]+p[1]) || math.IsInf(p[0]+p[1], 0) {
					t.Fatalf("joint %d at %v", j, p)
				}
				if j >= leftAnkle && !seen[j] && p[1] > g.perM*(g.cameraM-ankleM)+1e-9 {
					t.Fatalf("ankle %d below the floor: %v", j, p)
				}
			}
		}
	})
}
