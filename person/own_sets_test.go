package person

import (
	"testing"

	"posefuse/frame"
	"posefuse/sensors"
)

// TestOwnSets: a detector that takes somebody else for a set or two is not
// followed, a person who moves is, and who comes later begins a window anew.
func TestOwnSets(t *testing.T) {
	const ms = 1_000_000
	type set struct {
		atMS      int64
		xM        float64
		elsewhere bool
		own       bool
		sinceMS   int64
	}
	for name, sets := range map[string][]set{
		"steps aside":               {{100, 0, false, true, 100}, {200, 0.3, false, true, 100}, {300, 0.6, false, true, 100}},
		"somebody else for once":    {{100, 0, false, true, 100}, {200, 0.8, false, false, 100}, {300, 0.05, false, true, 100}},
		"somebody else far away":    {{100, 0, false, true, 100}, {200, 1.5, true, false, 100}, {5900, 1.5, true, false, 100}, {6000, 0, false, true, 100}},
		"the other sensors err":     {{100, 1.5, true, false, 0}, {6000, 1.5, true, false, 0}, {6100, 1.5, true, true, 6100}, {6200, 1.5, true, true, 6100}},
		"elsewhere after a pause":   {{100, 0, false, true, 100}, {1300, 1, false, true, 1300}},
		"a pause and a small step":  {{100, 0, false, true, 100}, {1300, 0.3, false, true, 100}},
		"time that does not go on":  {{100, 0, false, true, 100}, {100, 0.1, false, true, 100}, {50, 0.2, false, true, 100}},
		"first seen by the side":    {{100, 1.5, true, false, 0}, {200, 0, false, true, 200}},
		"goes away after one tenth": {{100, 0, false, true, 100}, {200, 0.36, false, false, 100}, {300, 0.36, false, true, 100}},
	} {
		var o ownSets
		for _, s := range sets {
			if own := o.take(s.atMS*ms, s.xM, [2]float64{}, s.elsewhere); own != s.own || o.sinceNS != s.sinceMS*ms {
				t.Errorf("%s, %d ms: own %t since %d ms; want %t, %d", name, s.atMS, own, o.sinceNS/ms, s.own, s.sinceMS)
			}
		}
	}
}

// TestFoundAnew: who is found again soon and nearby goes on, others begin anew.
func TestFoundAnew(t *testing.T) {
	for name, c := range map[string]struct {
		atNS   int64
		placeM [2]float64
		anew   bool
	}{
		"soon and nearby":  {1_500e6, [2]float64{0.2, 3}, false},
		"soon, elsewhere":  {1_500e6, [2]float64{0.6, 3}, true},
		"nearby but later": {2_500e6, [2]float64{0.2, 3}, true},
	} {
		var o ownSets
		o.take(1e9, 0, [2]float64{0, 3}, false)
		o.found(c.atNS, c.placeM)
		if !o.take(c.atNS, 0.9, c.placeM, false) {
			t.Errorf("%s: the first set from the new place is not taken", name)
		}
		if anew := o.sinceNS != 1e9; anew != c.anew {
			t.Errorf("%s: anew %t", name, anew)
		}
	}
}

// TestStageLeavesSomebodyElseOut: the keypoints of a visitor 1.5 m aside of whom
// the LiDAR sees are not given to the network.
func TestStageLeavesSomebodyElseOut(t *testing.T) {
	rig := frame.Simulated.Rig()
	s := NewStage(rig, frame.Simulated, NewFinder(Config{LiDARAtM: rig.RoomFromLiDAR.T}))
	keypoints := func(rightM float64) *sensors.Keypoints {
		k := &sensors.Keypoints{Width: 640, Height: 480}
		for j, p := range standing {
			k.XY[j], k.Score[j] = [2]float64{320 + rightM/3.05*605 + 95*p[0], 235 + 95*p[1]}, 0.8
		}
		return k
	}
	var dst [2 * NumKeypoints]float32
	took := func(i int, rightM float64) bool {
		s.Cloud(int64(i)*100e6, column(0, 3), nil)
		ok := s.Keypoints(int64(i)*100e6, keypoints(rightM), dst[:])
		s.Advance()
		return ok
	}
	for i := 1; i <= 20; i++ {
		visitor := i == 1 || i == 10 || i == 11
		x := 0.0
		if visitor {
			x = 1.5
		}
		if ok := took(i, x); ok == visitor && i > 2 {
			t.Errorf("tick %d: visitor %t, taken %t", i, visitor, ok)
		}
		if dst[0] > 0.2 {
			t.Fatalf("tick %d: the nose is at %g", i, dst[0])
		}
	}
	if since := s.KeypointsSinceNS(); since <= 0 || since > 300e6 {
		t.Errorf("the window begins at %d ms", since/1e6)
	}
}

// column is the surface of a body that stands at a place, LiDAR frame of
// Simulated.
func column(x, y float32) (xyz []float32) {
	for z := float32(0.1); z < 1.7; z += 0.04 {
		for d := float32(-0.2); d <= 0.2; d += 0.04 {
			xyz = append(xyz, y-0.1, -(x + d), z-float32(frame.Simulated.LiDARHeightM))
		}
	}
	return xyz
}

// TestWindowBeginsWithAUsableSet: who was taken to be elsewhere is seen from a new
// place; until a set from there can be used, no window holds one from the old
// place, and it begins with the first that can.
func TestWindowBeginsWithAUsableSet(t *testing.T) {
	rig := frame.AnyRoom.Rig()
	s := NewStage(rig, frame.AnyRoom, NewFinder(Config{LiDARAtM: rig.RoomFromLiDAR.T}))
	var dst [ViewedKeypoints]float32
	took := func(tick int, x float32, joints int) bool {
		s.Cloud(int64(tick)*100e6, column(x, 3), nil)
		k := &sensors.Keypoints{Width: 640, Height: 480}
		w, h := float64(k.Width), float64(k.Height)
		focal := w * frame.AnyRoom.FocalPerWidth
		for j, p := range standing {
			k.XY[j] = [2]float64{w/2 + focal*(float64(x)+0.157*p[0])/3, h/2 + focal*0.157*p[1]/3}
			if j < joints || j == leftShoulder || j == rightShoulder { // too little for a pose
				k.Score[j] = 0.8
			}
		}
		ok := s.Keypoints(int64(tick)*100e6, k, dst[:])
		s.Advance()
		return ok
	}
	for tick := 1; tick <= 10; tick++ {
		if ok := took(tick, 0, NumKeypoints); !ok && tick > 2 {
			t.Fatalf("tick %d: a whole set is not usable", tick)
		}
	}
	before := s.KeypointsSinceNS()
	if before > 300e6 {
		t.Fatalf("the window begins at %d ms", before/1e6)
	}
	moved := 0 // ticks from which the person is seen from the new place
	for tick := 11; tick <= 40; tick++ {
		ok := took(tick, 1.2, 0)
		since := s.KeypointsSinceNS()
		if since == before {
			continue
		}
		moved++
		if usable := since <= int64(tick)*100e6; usable && !ok && since == int64(tick)*100e6 {
			t.Fatalf("tick %d: the window begins with a set that cannot be used", tick)
		}
	}
	if moved == 0 {
		t.Fatal("the person was not followed to the new place")
	}
	if ok := took(41, 1.2, NumKeypoints); !ok || s.KeypointsSinceNS() == before {
		t.Errorf("a whole set: usable %v, the window begins at %d ms", ok, s.KeypointsSinceNS()/1e6)
	}
}
