package exercise_test

import (
	"math"
	"testing"

	"posefuse/exercise"
	"posefuse/recording/sim"
)

// TestPoseErrors: poses that are true have no error and all of the movement; those
// that go half of the way to the first pose show half of it and too little at the
// deepest; a skeleton that only moves or turns has none of that.
func TestPoseErrors(t *testing.T) {
	defs, err := exercise.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	_, squats := set(3, 12, 4, sim.MotionOptions{})
	var truth, half, moved []exercise.Skeleton
	for i, pose := range squats {
		s := exercise.Skeleton(pose)
		var h, away exercise.Skeleton
		for j := range s {
			first := s[j]
			if i > 0 {
				first = truth[0][j]
			}
			for k := range 3 {
				h[j][k] = (s[j][k] + first[k]) / 2
			}
			away[j] = [3]float64{-s[j][2] + 0.5, s[j][1] - 0.1, s[j][0] + 1} // turned by 90 degrees about the vertical
		}
		truth, half, moved = append(truth, s), append(half, h), append(moved, away)
	}
	measure := func(poses []exercise.Skeleton) (exercise.Figures, exercise.DeepestError) {
		e := exercise.NewPoseErrors(defs)
		e.Clip("A12", truth, poses)
		deepest := e.Deepest()
		if len(deepest) != 1 || deepest[0].Name != "squat" || deepest[0].Angle != "kneeFlexion" || deepest[0].Frames < 5 {
			t.Fatalf("at the deepest: %+v", deepest)
		}
		return e.Figures(), deepest[0]
	}
	for name, poses := range map[string][]exercise.Skeleton{"true": truth, "moved and turned": moved} {
		f, d := measure(poses)
		if f.MovementShare["A12"] != 1 || math.Abs(d.BiasDeg) > 0.01 || d.SDDeg > 0.01 {
			t.Errorf("%s: %v of the movement, %+v", name, f.MovementShare, d)
		}
		for angle, sd := range f.AngleSDDeg {
			if sd > 0.01 {
				t.Errorf("%s: %s is off by %.2f degrees", name, angle, sd)
			}
		}
	}
	f, d := measure(half)
	if share := f.MovementShare["A12"]; share < 0.3 || share > 0.75 {
		t.Errorf("half the movement counts as %.2f of it", share)
	}
	if d.BiasDeg > -10 || f.AngleSDDeg["kneeFlexion"] < 5 {
		t.Errorf("half the movement: %+v, knee off by %.1f degrees", d, f.AngleSDDeg["kneeFlexion"])
	}
}
