package person

import (
	"math"
	"testing"

	"posefuse/frame"
	"posefuse/sensors"
)

// TestCameraAloneWithoutFeet: a person whose feet are out of sight has no known
// distance; after a second of that poses are given where a trunk of the usual length
// looks as large, however near, and not once the camera sees nobody.
func TestCameraAloneWithoutFeet(t *testing.T) {
	for _, pxPerM := range []float64{90, 200, 300} {
		cameraAloneWithoutFeet(t, pxPerM)
	}
}

func cameraAloneWithoutFeet(t *testing.T, pxPerM float64) {
	rig := frame.Simulated.Rig()
	s := NewStage(rig, frame.Simulated, NewFinder(Config{LiDARAtM: rig.RoomFromLiDAR.T}))
	k := sensors.Keypoints{Width: 640, Height: 480}
	for j, p := range standing {
		k.XY[j], k.Score[j] = [2]float64{320 + pxPerM*p[0], 300 + pxPerM*p[1]}, 0.8
	}
	for _, j := range []int{13, 14, leftAnkle, rightAnkle} {
		k.XY[j], k.Score[j] = [2]float64{}, 0
	}
	var dst [2 * NumKeypoints]float32
	tick := func(i int, seen bool) bool {
		if seen {
			s.Keypoints(int64(i)*100e6, &k, dst[:])
		} else {
			s.Cloud(int64(i)*100e6, nil, nil)
		}
		_, there := s.CameraFromArrangement()
		s.Advance()
		return there
	}
	for i := 1; i <= 20; i++ {
		if there, want := tick(i, true), i > 11; there != want && i != 11 {
			t.Fatalf("tick %d: somebody is there: %t", i, there)
		}
	}
	if !s.Assumed() {
		t.Error("the distance is not said to be a guess")
	}
	trunkM := float64(dst[2*leftHip+1]+dst[2*rightHip+1]-dst[2*leftShoulder+1]-dst[2*rightShoulder+1]) / 2 / screenPerM(&frame.Simulated)
	if math.Abs(trunkM-uprightM) > 0.02 {
		t.Errorf("%v pixels a metre: the trunk is %.2f m long", pxPerM, trunkM)
	}
	for i := 21; i <= 40; i++ {
		tick(i, false)
	}
	if tick(41, false) || s.Assumed() {
		t.Error("somebody is there whom no sensor sees")
	}
}

// TestFollowingIsToldInSeconds: whatever the ticks a second, a place that steps
// aside is followed as fast.
func TestFollowingIsToldInSeconds(t *testing.T) {
	rig := frame.Simulated.Rig()
	var after []float64
	for _, periodNS := range []int64{200e6, 100e6, 50e6} {
		s := NewStage(rig, frame.Simulated, NewFinder(Config{LiDARAtM: rig.RoomFromLiDAR.T}))
		var p spot
		for s.atNS = periodNS; s.atNS <= 15e9; s.atNS += periodNS {
			at := [2]float64{1.5, 4}
			if s.atNS > 10e9 {
				at[0] += 0.5
			}
			p.move(s, at)
		}
		after = append(after, p.at[0]-1.5)
	}
	for i, m := range after {
		if want := 0.5 * (1 - math.Exp(-5/4.95)); math.Abs(m-want) > 0.01 {
			t.Errorf("period %d: %.3f m of 0.5 after five seconds, want %.3f", i, m, want)
		}
	}
}
