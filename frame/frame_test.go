package frame

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b [3]float64) bool {
	for k := range 3 {
		if math.Abs(a[k]-b[k]) > 1e-9 {
			return false
		}
	}
	return true
}

// TestDirections states what the angles mean, in points a person can check.
func TestDirections(t *testing.T) {
	for name, c := range map[string]struct {
		pose     CameraPose
		in, want [3]float64 // camera frame, room frame
	}{
		"level: 3 m ahead":                  {CameraPose{PositionM: [3]float64{0, 0, 1.2}}, [3]float64{0, 0, 3}, [3]float64{0, 3, 1.2}},
		"level: 1 m right":                  {CameraPose{}, [3]float64{1, 0, 0}, [3]float64{1, 0, 0}},
		"level: 1 m down":                   {CameraPose{PositionM: [3]float64{0, 0, 1.2}}, [3]float64{0, 1, 0}, [3]float64{0, 0, 0.2}},
		"panned left: ahead is left":        {CameraPose{PanDeg: 90}, [3]float64{0, 0, 1}, [3]float64{-1, 0, 0}},
		"tilted up: ahead is up":            {CameraPose{TiltDeg: 90}, [3]float64{0, 0, 1}, [3]float64{0, 0, 1}},
		"rolled clockwise: up is right":     {CameraPose{RollDeg: 90}, [3]float64{0, -1, 0}, [3]float64{1, 0, 0}},
		"matrix":                            {CameraPose{Matrix: [][]float64{{1, 0, 0, 5}, {0, 0, 1, 6}, {0, -1, 0, 7}, {0, 0, 0, 1}}}, [3]float64{0, 0, 1}, [3]float64{5, 7, 7}},
		"panned and tilted: turns with pan": {CameraPose{PanDeg: 90, TiltDeg: 90}, [3]float64{1, 0, 0}, [3]float64{0, 1, 0}},
	} {
		if tr := c.pose.RoomFromCamera(); !near(tr.Apply(c.in), c.want) {
			t.Errorf("%s: %v, want %v", name, tr.Apply(c.in), c.want)
		}
	}
	lidar := (&SensorPose{PositionM: [3]float64{0, 0, 1}}).RoomFromSensor()
	if got := lidar.Apply([3]float64{3, 1, 0.5}); !near(got, [3]float64{-1, 3, 1.5}) { // ahead, left, up
		t.Errorf("lidar: %v", got)
	}
}

func TestTransformsAreRigid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		angle := rapid.Float64Range(-360, 360)
		c := CameraPose{PanDeg: angle.Draw(t, "pan"), TiltDeg: angle.Draw(t, "tilt"), RollDeg: angle.Draw(t, "roll")}
		s := SensorPose{PanDeg: angle.Draw(t, "pan"), TiltDeg: angle.Draw(t, "tilt"), PositionM: [3]float64{1, 2, 3}}
		a, b := c.RoomFromCamera(), s.RoomFromSensor()
		again, againS := CameraPoseOf(a), SensorPoseOf(b)
		ra, rb := again.RoomFromCamera(), againS.RoomFromSensor()
		for i := range 3 {
			if !near(ra.R[i], a.R[i]) || !near(rb.R[i], b.R[i]) {
				t.Fatalf("%+v became %+v, %+v became %+v", c, again, s, againS)
			}
		}
		if !isRotation(a.R) || !isRotation(b.R) {
			t.Fatal("no rotation")
		}
		v := rapid.Float64Range(-10, 10)
		p := [3]float64{v.Draw(t, "x"), v.Draw(t, "y"), v.Draw(t, "z")}
		ab := a.After(&b)
		if !near(ab.Apply(p), a.Apply(b.Apply(p))) {
			t.Fatal("composition differs")
		}
	})
}

// TestAssumed: what nobody gave is as in the network's training, and for a network
// for any room as usual, not as in the frame into which everything is brought.
func TestAssumed(t *testing.T) {
	own := Arrangement{CameraHeightM: 1, LiDARHeightM: 1, RadarHeightM: 1, DistanceM: 3, FocalPerWidth: 0.7}
	if got := own.Assumed(); got != own {
		t.Errorf("of an arrangement: %+v", got)
	}
	anywhere := AnyRoom
	if got := anywhere.Assumed(); got != Simulated {
		t.Errorf("for any room: %+v", got)
	}
}

// TestRigAt: LiDAR and radar stand beside the camera, level, and look along with it
// wherever it is and however it is tilted.
func TestRigAt(t *testing.T) {
	camera := CameraPose{PositionM: [3]float64{1, 2, 1.5}, PanDeg: 90, TiltDeg: -20, RollDeg: 5}
	rig := Simulated.RigAt(camera.RoomFromCamera())
	for name, c := range map[string]struct {
		t       Transform
		heightM float64
	}{"LiDAR": {rig.RoomFromLiDAR, 1.55}, "radar": {rig.RoomFromRadar, 1.45}} {
		if at := c.t.Apply([3]float64{}); !near(at, [3]float64{1, 2, c.heightM}) {
			t.Errorf("%s stands at %v", name, at)
		}
		if ahead := c.t.Apply([3]float64{3, 0, 0}); !near(ahead, [3]float64{-2, 2, c.heightM}) {
			t.Errorf("%s: 3 m ahead is %v", name, ahead)
		}
	}
}
