package frame

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestMeasuresAreWhatWasWritten: a rig measures what its poses say.
func TestMeasuresAreWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		angle := func(name string, most float64) float64 { return rapid.Float64Range(-most, most).Draw(t, name) }
		length := func(name string) float64 { return rapid.Float64Range(-3, 3).Draw(t, name) }
		c := CameraPose{PositionM: [3]float64{length("x"), length("y"), length("z")}, PanDeg: angle("pan", 180), TiltDeg: angle("tilt", 80), RollDeg: angle("roll", 80)}
		l := SensorPose{PositionM: [3]float64{length("x"), length("y"), length("z")}, PanDeg: angle("pan", 180), TiltDeg: angle("tilt", 80), RollDeg: angle("roll", 80)}
		r := Rig{RoomFromCamera: c.RoomFromCamera(), RoomFromLiDAR: l.RoomFromSensor(), RoomFromRadar: (&SensorPose{}).RoomFromSensor(),
			Camera: Intrinsics{WidthPx: 640, FxPx: 480}}
		turn := math.Abs(math.Remainder(l.PanDeg-c.PanDeg, 360))
		want := Measures{
			CameraHeight: c.PositionM[2], CameraTilt: c.TiltDeg, CameraRoll: math.Abs(c.RollDeg), CameraFocal: 0.75,
			LiDARHeight: l.PositionM[2], LiDARTilt: l.TiltDeg, LiDARRoll: math.Abs(l.RollDeg), LiDARTurn: turn,
			LiDARApart:  math.Hypot(l.PositionM[0]-c.PositionM[0], l.PositionM[1]-c.PositionM[1]),
			RadarHeight: 0, RadarTilt: 0, RadarRoll: 0,
		}
		got := r.Measure()
		for q, v := range want {
			if math.Abs(got[q]-v) > 1e-6 {
				t.Fatalf("%s is %v, want %v", q, got[q], v)
			}
		}
		for q := range got {
			if Tolerances[q] <= 0 {
				t.Fatalf("%s has no tolerance", q)
			}
		}
		// A place that the camera's frame has ahead and to the left.
		ahead, left := rapid.Float64Range(1, 6).Draw(t, "ahead"), rapid.Float64Range(-2, 2).Draw(t, "left")
		sin, cos := math.Sincos(c.PanDeg * math.Pi / 180)
		at := [2]float64{c.PositionM[0] - ahead*sin - left*cos, c.PositionM[1] + ahead*cos - left*sin}
		if d, a := r.MeasurePlace(at); math.Abs(d-ahead) > 1e-6 || math.Abs(a-math.Abs(left)) > 1e-6 {
			t.Fatalf("at %v ahead and %v aside, want %v and %v", d, a, ahead, left)
		}
	})
}

func TestArrangementsAreChecked(t *testing.T) {
	if err := Simulated.Validate(); err != nil {
		t.Error(err)
	}
	if m := Simulated; m.Rig().RoomFromLiDAR.T[2] != 0.95 {
		t.Errorf("%+v", m.Rig())
	}
	for name, change := range map[string]func(*Arrangement){
		"below the floor": func(a *Arrangement) { a.CameraHeightM = -0.1 },
		"no lens":         func(a *Arrangement) { a.FocalPerWidth = 0 },
		"no number":       func(a *Arrangement) { a.DistanceM = math.NaN() },
	} {
		a := Simulated
		change(&a)
		if a.Validate() == nil {
			t.Errorf("%s: nothing is wrong with %+v", name, a)
		}
	}
}
