package person

import (
	"math"
	"testing"

	"posefuse/sensors"
)

func TestSeen(t *testing.T) {
	for name, c := range map[string]struct {
		x, y, score float64
		want        bool
	}{
		"inside":            {320, 240, 0.9, true},
		"just outside":      {-30, 500, 0.9, true},
		"far outside":       {-300, 240, 0.9, false},
		"unsure":            {320, 240, 0.1, false},
		"the corner":        {0, 0, 0.9, false},
		"on an edge":        {0, 240, 0.9, true},
		"no number":         {math.NaN(), 240, 0.9, false},
		"score of a corner": {0, 0, 0, false},
	} {
		k := sensors.Keypoints{Width: 640, Height: 480}
		k.XY[3], k.Score[3] = [2]float64{c.x, c.y}, c.score
		if seen(&k, 3) != c.want {
			t.Errorf("%s: %t", name, !c.want)
		}
	}
}

// figure is a person who stands upright, arms out, in the network's units.
func figure() (at [NumKeypoints][2]float64) {
	for j, p := range standing {
		at[j] = [2]float64{0.1 + 0.15*p[0], 0.05 + 0.15*p[1]}
	}
	for side, sign := range []float64{1, -1} {
		s := at[leftShoulder+side]
		at[7+side], at[9+side] = [2]float64{s[0] + sign*0.09, s[1]}, [2]float64{s[0] + sign*0.168, s[1]}
	}
	return at
}

// TestMissingKeypointsAreFilled: for a second by where they were, then along the
// limb, then from the trunk, each within a share of the trunk's length of where
// they are.
func TestMissingKeypointsAreFilled(t *testing.T) {
	const trunk = 0.15
	truth := figure()
	var all [NumKeypoints]bool
	for j := range all {
		all[j] = true
	}
	for name, c := range map[string]struct {
		missing []int
		ageNS   int64
		within  float64 // trunks
	}{
		"held":         {[]int{9, 15}, 900e6, 1e-9},
		"wrist":        {[]int{9}, 3e9, 0.05},
		"elbow":        {[]int{8}, 3e9, 0.05},
		"face":         {[]int{1, 2, 3, 4}, 3e9, 0.05},
		"knees":        {[]int{13, 14}, 3e9, 0.05},
		"legs":         {[]int{13, 14, 15, 16}, 3e9, 0.05},
		"one hip":      {[]int{12}, 3e9, 0.3},
		"one shoulder": {[]int{5, 6}, 900e6, 1e-9},
	} {
		var s skeleton
		at, have := truth, all
		if !s.fill(1e9, &testGround, &at, &have) || at != truth {
			t.Fatalf("%s: a whole figure changed", name)
		}
		for _, j := range c.missing {
			at[j], have[j] = [2]float64{}, false
		}
		if !s.fill(1e9+c.ageNS, &testGround, &at, &have) {
			t.Errorf("%s: not filled", name)
			continue
		}
		for j := range at {
			if d := math.Hypot(at[j][0]-truth[j][0], at[j][1]-truth[j][1]); d > c.within*trunk {
				t.Errorf("%s: joint %d is %.2f trunks away", name, j, d/trunk)
			}
		}
	}
}

func TestWithoutATrunkThereIsNobody(t *testing.T) {
	for name, missing := range map[string][]int{"no hips": {11, 12}, "no shoulders": {5, 6}, "nothing": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}} {
		var s skeleton
		at := figure()
		var have [NumKeypoints]bool
		for j := range have {
			have[j] = true
		}
		for _, j := range missing {
			have[j] = false
		}
		if s.fill(5e9, &testGround, &at, &have) {
			t.Errorf("%s: filled", name)
		}
	}
}
