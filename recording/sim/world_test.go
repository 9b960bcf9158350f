package sim

import (
	"math"
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/sensors"
)

// newWorldClip opens a clip in the default world with a change.
func newWorldClip(t testing.TB, preset string, m Motion, change func(*World)) *Clip {
	t.Helper()
	return newTestClip(t, preset, m, func(cfg *Config, _ *Preset) {
		w := DefaultWorld()
		if change != nil {
			change(&w)
		}
		cfg.World = &w
	})
}

// The default world is the room a clip without a world is recorded in.
func TestDefaultWorldChangesNothing(t *testing.T) {
	m := NewProcedural(1, recording.Key{Subject: 5, Activity: 12}, MotionOptions{})
	a, b := newTestClip(t, "mmfi", m, nil), newWorldClip(t, "mmfi", m, nil)
	for _, i := range []int{0, 7, 40} {
		if !sameFrame(mustFrame(t, a, i), mustFrame(t, b, i)) {
			t.Errorf("frame %d differs", i)
		}
		if p, q := mustTruth(t, a, i), mustTruth(t, b, i); p != q {
			t.Errorf("truth %d differs", i)
		}
	}
}

func mustTruth(t testing.TB, c recording.Clip, i int) recording.Pose {
	t.Helper()
	p, err := c.Truth(i)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A sensor's frame is the one that package frame computes from the same numbers,
// by angles and by a matrix.
func TestMountsAgreeWithFrame(t *testing.T) {
	poses := []frame.SensorPose{
		{PositionM: [3]float64{0.3, -0.2, 1.25}},
		{PositionM: [3]float64{-1, 0.5, 2}, PanDeg: 25},
		{PositionM: [3]float64{0, 0, 1.6}, TiltDeg: -10},
		{PositionM: [3]float64{0.1, 0.2, 1}, PanDeg: -100, TiltDeg: 12, RollDeg: -7},
	}
	toFrame := func(v Vec) [3]float64 { return [3]float64{v[0], v[2], v[1]} }
	point := Vec{0.4, 1.1, 3}
	for _, s := range poses {
		want := s.RoomFromSensor()
		byMatrix := frame.SensorPose{Matrix: matrix(&want)}
		for _, pose := range []*frame.SensorPose{&s, &byMatrix} {
			m := newSensorMount(pose)
			p := m.pose(Vec{}, 0)
			got := want.Apply(p.fromRoom(point))
			if far(got, toFrame(point)) {
				t.Errorf("%+v: point %v comes back as %v", pose, toFrame(point), got)
			}
			if d := p.dirToRoom(p.dirFromRoom(Vec{1, 2, 3})); vecLength(vecSub(d, Vec{1, 2, 3})) > 1e-12 {
				t.Errorf("%+v: direction comes back as %v", pose, d)
			}
		}
		c := frame.CameraPose{PositionM: s.PositionM, PanDeg: s.PanDeg, TiltDeg: s.TiltDeg, RollDeg: s.RollDeg}
		roomFromCamera := c.RoomFromCamera()
		byMatrixCamera := frame.CameraPose{Matrix: matrix(&roomFromCamera)}
		for _, pose := range []*frame.CameraPose{&c, &byMatrixCamera} {
			m := newCameraMount(pose)
			p := m.pose(Vec{}, 0)
			q := p.fromRoom(point)
			if got := roomFromCamera.Apply([3]float64{-q[1], -q[2], q[0]}); far(got, toFrame(point)) {
				t.Errorf("camera %+v: point %v comes back as %v", pose, toFrame(point), got)
			}
		}
	}
}

func matrix(t *frame.Transform) [][]float64 {
	var m [][]float64
	for i := range 3 {
		m = append(m, append(append([]float64{}, t.R[i][:]...), t.T[i]))
	}
	return append(m, []float64{0, 0, 0, 1})
}

func far(a, b [3]float64) bool {
	return math.Abs(a[0]-b[0])+math.Abs(a[1]-b[1])+math.Abs(a[2]-b[2]) > 1e-9
}

// With exact sensors, whatever the arrangement: keypoints are the projection of
// the truth by the rig's intrinsics, and what the LiDAR calls the person lies on
// the person, in the room.
func TestRigDescribesTheSensors(t *testing.T) {
	arrangements := map[string]func(*World){
		"as MM-Fi": nil,
		"moved and tilted": func(w *World) {
			w.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0.3, -0.2, 1.5}, PanDeg: 6, TiltDeg: -9, RollDeg: 4}
			w.Camera.FocalPx, w.Camera.WidthPx, w.Camera.HeightPx, w.Camera.CentreUPx, w.Camera.CentreVPx = 900, 1280, 720, 650, 350
			w.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{-0.4, 0.1, 1.7}, PanDeg: 20, TiltDeg: -8, RollDeg: 3}
			w.Radar.RoomFromRadar = frame.SensorPose{PositionM: [3]float64{0.5, 0, 1.1}, PanDeg: 8, TiltDeg: -5}
			w.Person = PersonWorld{RightM: 0.4, FartherM: 0.6, TurnDeg: 40}
		},
		"LiDAR backwards": func(w *World) {
			w.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{0, 0, 0.95}, PanDeg: 180}
		},
		"LiDAR sideways, tilted, dense": func(w *World) {
			w.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{0, 0, 1.2}, PanDeg: -90, RollDeg: 6}
			w.LiDAR.WholeSweep, w.LiDAR.Beams = true, 128
		},
	}
	for name, change := range arrangements {
		c := newWorldClip(t, "clean", asymmetric(), change)
		rig, ok := frame.RigOf(c)
		if !ok {
			t.Fatal("a simulated clip has no rig")
		}
		f, truth := mustFrame(t, c, 5), mustTruth(t, c, 5)
		for j := 5; j < numKeypoints; j++ {
			p, in := truth[cocoFromH36M[j]], rig.Camera
			u, v := in.FxPx*p[0]/p[2]+in.CxPx, in.FyPx*p[1]/p[2]+in.CyPx
			if math.Hypot(u-f.RGB[j][0], v-f.RGB[j][1]) > 1e-6 {
				t.Errorf("%s: %s at %v, the truth projects to %g, %g", name, KeypointNames[j], f.RGB[j], u, v)
			}
		}
		pelvis := rig.RoomFromCamera.Apply(truth[0])
		if d := math.Hypot(pelvis[0]-c.motion.At(0)[0][0], pelvis[1]-c.motion.At(0)[0][2]); d > 0.3 {
			t.Errorf("%s: pelvis %v m from the standing place", name, d)
		}
		var scan LabelledScan
		if err := c.LabelledScan(5, &scan); err != nil {
			t.Fatal(err)
		}
		sk := c.motion.At(frameTime(5))
		var body Body
		var still Skeleton
		who := c.motion.Subject()
		body.Set(&who, &sk, &still)
		onPerson := 0
		for k, on := range scan.Surfaces {
			p := rig.RoomFromLiDAR.Apply([3]float64(scan.PointsM[3*k : 3*k+3]))
			gap := math.Inf(1)
			for i := range body.Capsules {
				cp := &body.Capsules[i]
				gap = min(gap, cp.AxisDistance(Vec{p[0], p[2], p[1]})-cp.RadiusM)
			}
			switch {
			case on == SurfacePerson:
				onPerson++
				if math.Abs(gap) > 0.08 { // an arm moves while the sweep passes
					t.Fatalf("%s: point %v of the person is %.3f m off the body", name, p, gap)
				}
			case gap < -0.03:
				t.Fatalf("%s: point %v of %v lies in the body", name, p, on)
			}
		}
		if onPerson < 150 {
			t.Errorf("%s: %d points on the person", name, onPerson)
		}
		var radarFrame sensors.RadarFrame
		near, all := 0, 0
		for i := range 30 {
			if err := c.Radar(i, &radarFrame); err != nil {
				t.Fatal(err)
			}
			for _, p := range radarFrame.Points {
				q := rig.RoomFromRadar.Apply([3]float64{float64(p.X), float64(p.Y), float64(p.Z)})
				all++
				if math.Hypot(q[0]-pelvis[0], q[1]-pelvis[1]) < 0.9 {
					near++
				}
			}
		}
		if all == 0 || near < all*9/10 {
			t.Errorf("%s: %d of %d radar points near the person", name, near, all)
		}
	}
}

// Worlds change what they say and nothing else: the same movement, noise and
// errors, so that rows of a table can be compared.
func TestWorldsArePaired(t *testing.T) {
	m := NewProcedural(1, recording.Key{Subject: 5, Activity: 12}, MotionOptions{})
	base := mustFrame(t, newTestClip(t, "mmfi", m, nil), 3)
	for name, c := range map[string]struct {
		change func(*World)
		want   [4]bool // camera, LiDAR, radar, CSI differ
	}{
		"focal length":    {func(w *World) { w.Camera.FocalPx *= 1.25 }, [4]bool{true, false, false, false}},
		"one ear missing": {func(w *World) { w.Camera.Missing.Joints = []string{"left_ear"} }, [4]bool{true, false, false, false}},
		"LiDAR turned":    {func(w *World) { w.LiDAR.RoomFromLiDAR.PanDeg = 90 }, [4]bool{false, true, false, false}},
		"whole sweep":     {func(w *World) { w.LiDAR.WholeSweep = true }, [4]bool{false, true, false, false}},
		"clutter":         {func(w *World) { w.Radar.ClutterPoints = 100 }, [4]bool{false, false, true, false}},
		"chair behind": {func(w *World) {
			w.Room.Furniture = []Furniture{{Kind: "chair", AtM: [2]float64{0, 3.7}}}
		}, [4]bool{false, true, false, false}},
		"camera late":   {func(w *World) { w.Camera.LateMS = 100 }, [4]bool{true, false, false, false}},
		"LiDAR at 5 Hz": {func(w *World) { w.LiDAR.RateHz = 5 }, [4]bool{false, true, false, false}},
		"seated":        {func(w *World) { w.Person.Seated = true }, [4]bool{true, true, true, true}},
	} {
		got := changed(base, mustFrame(t, newWorldClip(t, "mmfi", m, c.change), 3))
		if got != c.want {
			t.Errorf("%s changes %v, want %v", name, got, c.want)
		}
	}
	whole := newWorldClip(t, "mmfi", m, func(w *World) { w.LiDAR.WholeSweep = true })
	crop := newTestClip(t, "mmfi", m, nil)
	var a, b LabelledScan
	if err := whole.LabelledScan(3, &a); err != nil {
		t.Fatal(err)
	}
	if err := crop.LabelledScan(3, &b); err != nil {
		t.Fatal(err)
	}
	if pa, pb := personPoints(&a), personPoints(&b); len(pa) == 0 || len(pa) != len(pb) || pa[0] != pb[0] || pa[len(pa)-1] != pb[len(pb)-1] {
		t.Errorf("%d points of the person in the whole sweep, %d in the crop", len(pa), len(pb))
	}
}

func personPoints(s *LabelledScan) (out [][3]float64) {
	for k, on := range s.Surfaces {
		if on == SurfacePerson {
			out = append(out, [3]float64(s.PointsM[3*k:3*k+3]))
		}
	}
	return out
}

// A LiDAR turned by a quarter gives the same points, turned.
func TestLidarTurnedAboutItself(t *testing.T) {
	m := still()
	a := mustFrame(t, newTestClip(t, "mmfi", m, nil), 3)
	for _, pan := range []float64{90, 180, -90} {
		b := mustFrame(t, newWorldClip(t, "mmfi", m, func(w *World) { w.LiDAR.RoomFromLiDAR.PanDeg = pan }), 3)
		if len(a.LiDAR) != len(b.LiDAR) {
			t.Fatalf("pan %g: %d values instead of %d", pan, len(b.LiDAR), len(a.LiDAR))
		}
		s, c := math.Sincos(pan * math.Pi / 180)
		seen := map[[3]int]bool{}
		round := func(x, y, z float64) [3]int {
			return [3]int{int(math.Round(x * 1e4)), int(math.Round(y * 1e4)), int(math.Round(z * 1e4))}
		}
		for k := 0; k < len(b.LiDAR); k += 3 {
			x, y := b.LiDAR[k], b.LiDAR[k+1]
			seen[round(c*x-s*y, s*x+c*y, b.LiDAR[k+2])] = true
		}
		missing := 0
		for k := 0; k < len(a.LiDAR); k += 3 {
			if !seen[round(a.LiDAR[k], a.LiDAR[k+1], a.LiDAR[k+2])] {
				missing++
			}
		}
		if missing > len(a.LiDAR)/3/50 { // rounding of a range at half a millimetre
			t.Errorf("pan %g: %d of %d points are elsewhere", pan, missing, len(a.LiDAR)/3)
		}
	}
}

// The world's errors name their keys.
func TestWorldCheck(t *testing.T) {
	for want, change := range map[string]func(*World){
		"camera.room_from_camera: [0 0 -0.2] m is not inside the room": func(w *World) { w.Camera.RoomFromCamera.PositionM[2] = -0.2 },
		"lidar.room_from_lidar: [0 5 0.95] m is not inside":            func(w *World) { w.LiDAR.RoomFromLiDAR.PositionM[1] = 5 },
		"radar.room_from_radar.tilt_deg: 500 is out of range":          func(w *World) { w.Radar.RoomFromRadar.TiltDeg = 500 },
		"lidar.beams: 64: want 32 or 128":                              func(w *World) { w.LiDAR.Beams = 64 },
		"camera.focal_px: 0 is out of range":                           func(w *World) { w.Camera.FocalPx = 0 },
		`camera.missing.joints: "left_foot" is unknown`:                func(w *World) { w.Camera.Missing.Joints = []string{"left_foot"} },
		"camera.missing.share: NaN is out of range":                    func(w *World) { w.Camera.Missing.Share = math.NaN() },
		"person.farther_m: -4 is out of range":                         func(w *World) { w.Person.FartherM = -4 },
		"person: stands at (3.5, 3.1) m, which is not inside":          func(w *World) { w.Person.RightM = 3.5 },
		"person: stands within 0.5 m of lidar.room_from_lidar":         func(w *World) { w.LiDAR.RoomFromLiDAR.PositionM[1] = 2.9 },
		"room.ceiling_m: 1 is out of range":                            func(w *World) { w.Room.CeilingM = 1 },
		`room.furniture[0].kind: "sofa" is unknown`:                    func(w *World) { w.Room.Furniture = []Furniture{{Kind: "sofa", AtM: [2]float64{0, 3.6}}} },
		"room.furniture[0].at_m: [9 3] is not inside":                  func(w *World) { w.Room.Furniture = []Furniture{{Kind: "bed", AtM: [2]float64{9, 3}}} },
		"room.furniture[0].size_m: [0 1 1]: side 1 of a box is from 0": func(w *World) {
			w.Room.Furniture = []Furniture{{Kind: "box", AtM: [2]float64{0, 3}, Size: [3]float64{0, 1, 1}}}
		},
		"room.furniture[0].turn_deg: 45: want 0, 90, 180 or 270":    func(w *World) { w.Room.Furniture = []Furniture{{Kind: "bed", AtM: [2]float64{0, 3}, Turn: 45}} },
		"radar.clutter_points: 1000 is out of range, want 0 to 200": func(w *World) { w.Radar.ClutterPoints = 1000 },
		"camera.late_ms: 5000 is out of range":                      func(w *World) { w.Camera.LateMS = 5000 },
		"radar.rate_hz: 0.1 is out of range":                        func(w *World) { w.Radar.RateHz = 0.1 },
		"camera.room_from_camera.matrix: its 3 x 3 part is no rotation": func(w *World) {
			w.Camera.RoomFromCamera = frame.CameraPose{Matrix: [][]float64{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, -1, 1}, {0, 0, 0, 1}}}
		},
	} {
		w := DefaultWorld()
		change(&w)
		if _, err := NewDataset(Config{World: &w}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	w := DefaultWorld()
	if p := w.Check(); len(p) > 0 {
		t.Errorf("the default world: %v", p)
	}
}

// The golden hashes of a room in which everything differs, made when worlds came
// into being, on amd64: published tables name these rooms, on any processor.
func TestGoldenWorld(t *testing.T) {
	want := [4]string{
		"07ba31489a88d6525fc19cd886f8cda7cdea061013a8a388cf455be7860ec8eb",
		"43378b5f047f7fe632b8295f4b54b3f1686e5f44b1089fec8b0ceb401c31b461",
		"dd8650b349dd59a70c11ac9ffdad5ad60c52e8ee5f67f97c98beb3b1cf50cca2",
		goldenCSI,
	}
	got := hashClip(t, newWorldClip(t, "mmfi", asymmetric(), func(w *World) {
		w.Camera.RoomFromCamera = frame.CameraPose{PositionM: [3]float64{0.3, -0.2, 1.5}, PanDeg: 6, TiltDeg: -9, RollDeg: 4}
		w.Camera.FocalPx, w.Camera.Missing.Share, w.Camera.LateMS = 700, 0.1, 30
		w.LiDAR.RoomFromLiDAR = frame.SensorPose{PositionM: [3]float64{-0.4, 0.1, 1.7}, PanDeg: 100, TiltDeg: -8, RollDeg: 3}
		w.LiDAR.WholeSweep = true
		w.Radar.RoomFromRadar = frame.SensorPose{PositionM: [3]float64{0.5, 0, 1.1}, PanDeg: 8, TiltDeg: -5}
		w.Radar.ClutterPoints = 60
		w.Room.Furniture = []Furniture{{Kind: "chair", AtM: [2]float64{0.4, 3.8}, Turn: 90}, {Kind: "bed", AtM: [2]float64{-1.5, 2.5}}}
	}))
	for m := range want {
		if got[m] != want[m] {
			t.Errorf("sensor %d: hash %s, want %s", m, got[m], want[m])
		}
	}
}
