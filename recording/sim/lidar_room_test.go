package sim

import (
	"math"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
)

// A whole sweep is what the real captures are: five of six cells return, all
// around; the person is one or two of a hundred points; every point of the room
// lies on its shell.
func TestWholeSweep(t *testing.T) {
	for _, beams := range []int{32, 128} {
		c := newWorldClip(t, "mmfi", still(), func(w *World) { w.LiDAR.WholeSweep, w.LiDAR.Beams = true, beams })
		room := DefaultWorld().Room
		var scan LabelledScan
		if err := c.LabelledScan(2, &scan); err != nil {
			t.Fatal(err)
		}
		cells := float64(beams * ScanColumns)
		if share := float64(len(scan.Surfaces)) / cells; share < 0.80 || share > 0.85 { // 0.833 and 0.821 in the captures
			t.Errorf("%d beams: %.3f of the cells return", beams, share)
		}
		if share := scan.Share(SurfacePerson); share < 0.008 || share > 0.03 {
			t.Errorf("%d beams: %.4f of the points on the person", beams, share)
		}
		rig := c.Rig()
		quadrants := [4]int{}
		for k, on := range scan.Surfaces {
			p := scan.PointsM[3*k : 3*k+3]
			quadrants[int(math.Atan2(p[1], p[0])/(math.Pi/2)+2)%4]++
			if on != SurfaceRoom {
				continue
			}
			q := rig.RoomFromLiDAR.Apply([3]float64(p))
			gap := min(math.Abs(q[2]), math.Abs(q[2]-room.CeilingM), math.Abs(math.Abs(q[0])-room.SideM), math.Abs(q[1]-room.AheadM), math.Abs(q[1]+room.BehindM))
			if gap > 0.35 { // the sensor stands off its nominal place by some centimetres and degrees
				t.Fatalf("%d beams: %v of the room is %.2f m off its shell", beams, q, gap)
			}
		}
		for _, n := range quadrants {
			if float64(n) < cells*0.15 {
				t.Errorf("%d beams: points by quarter %v", beams, quadrants)
			}
		}
	}
}

// Patches without a return stay where they are; only few cells change from sweep to
// sweep.
func TestDeadCellsStay(t *testing.T) {
	c := newWorldClip(t, "mmfi", still(), func(w *World) { w.LiDAR.WholeSweep = true })
	var a, b Scan
	if err := c.Scan(2, &a); err != nil {
		t.Fatal(err)
	}
	if err := c.Scan(3, &b); err != nil {
		t.Fatal(err)
	}
	both, one := 0.0, 0.0
	for r := range ScanRows {
		for m := range ScanColumns {
			switch {
			case a.RangesMM[r][m] == 0 && b.RangesMM[r][m] == 0:
				both++
			case a.RangesMM[r][m] == 0 || b.RangesMM[r][m] == 0:
				one++
			}
		}
	}
	both, one = both/(ScanRows*ScanColumns), one/(ScanRows*ScanColumns)
	if both < 0.14 || both > 0.17 || one < 0.04 || one > 0.07 { // 0.151 and 0.058 in the capture
		t.Errorf("no return in two sweeps: %.3f of the cells, in one of them: %.3f", both, one)
	}
}

// Furniture is seen where it stands.
func TestFurnitureIsSeen(t *testing.T) {
	for _, f := range []Furniture{
		{Kind: "chair", AtM: [2]float64{0.9, 3.4}},
		{Kind: "chair", AtM: [2]float64{-0.9, 3.0}, Turn: 90},
		{Kind: "bed", AtM: [2]float64{1.6, 3.2}},
		{Kind: "box", AtM: [2]float64{-2, -1}, Size: [3]float64{0.6, 0.4, 1.1}},
	} {
		count := func(list []Furniture) int {
			c := newWorldClip(t, "clean", still(), func(w *World) { w.LiDAR.WholeSweep, w.Room.Furniture = true, list })
			var scan LabelledScan
			if err := c.LabelledScan(0, &scan); err != nil {
				t.Fatal(err)
			}
			rig, n := c.Rig(), 0
			for k, on := range scan.Surfaces {
				p := rig.RoomFromLiDAR.Apply([3]float64(scan.PointsM[3*k : 3*k+3]))
				if on == SurfaceFurniture && math.Hypot(p[0]-f.AtM[0], p[1]-f.AtM[1]) < 1.1 {
					n++
				}
			}
			return n
		}
		if with, without := count([]Furniture{f}), count(nil); with < without+40 {
			t.Errorf("%+v: %d points, %d without it", f, with, without)
		}
	}
}

// The radar's static clutter is as dense and as still as in the capture.
func TestStaticClutter(t *testing.T) {
	const points = 156.0 // awr1843_oob_sdk3.6_mer1.dat, median of 141 to 169
	m := NewProcedural(1, recording.Key{Subject: 5, Activity: 12}, MotionOptions{})
	with := newWorldClip(t, "mmfi", m, func(w *World) { w.Radar.ClutterPoints = points })
	before := len(newWorldClip(t, "mmfi", m, nil).place.reflectors)
	if before != 0 {
		t.Fatalf("%d reflectors without clutter", before)
	}
	bins := map[int]float64{}
	n, frames := 0.0, 40
	for i := range frames {
		var r radarScatterers
		with.staticClutter(i, &r)
		for _, d := range r.dets {
			bins[int(math.Round(d.dopplerMPS/with.preset.Radar.DopplerBinMPS))]++
			n++
			p := Vec{d.rangeM, 0, 0}
			if p[0] <= 0 || p[0] > clutterReachM+0.1 {
				t.Fatalf("clutter at %g m", p[0])
			}
		}
	}
	if mean := n / float64(frames); math.Abs(mean-points) > 8 {
		t.Errorf("%.1f static points a frame, want %g", mean, points)
	}
	for bin, want := range map[int]float64{-2: .036, -1: .309, 0: .312, 1: .306, 2: .038} {
		if got := bins[bin] / n; math.Abs(got-want) > 0.03 {
			t.Errorf("Doppler bin %d: share %.3f, want %.3f", bin, got, want)
		}
	}
}

// Making a whole sweep allocates nothing once the room has been cast.
func TestWholeSweepAllocatesNothing(t *testing.T) {
	c := newWorldClip(t, "mmfi", still(), func(w *World) { w.LiDAR.WholeSweep = true })
	sc := newScratch(grid)
	var f recording.Frame
	i := 0
	allocs := testenv.AllocsPerRun(10, func() {
		c.lidar(i, sc)
		f.LiDAR = sc.depth.appendPoints(f.LiDAR[:0])
		i++
	})
	if allocs > 1 { // growth of the cloud by a few points
		t.Errorf("%g allocations a sweep", allocs)
	}
}

func TestMissingKeypoints(t *testing.T) {
	c := newWorldClip(t, "mmfi", still(), func(w *World) {
		w.Camera.Missing = MissingKeypoints{Joints: []string{"left_ear"}, Share: 0.1}
	})
	base := newTestClip(t, "mmfi", still(), nil)
	gone := 0
	const frames = 60
	for i := range frames {
		f, b := mustFrame(t, c, i), mustFrame(t, base, i)
		for j, xy := range f.RGB {
			switch {
			case xy == [2]float64{}:
				gone++
			case j == 3:
				t.Fatalf("frame %d: the left ear is at %v", i, xy)
			case xy != b.RGB[j]:
				t.Fatalf("frame %d: %s moved", i, KeypointNames[j])
			}
		}
	}
	if share := float64(gone-frames) / (frames * (numKeypoints - 1)); share < 0.07 || share > 0.13 {
		t.Errorf("%.3f of the other keypoints are missing", share)
	}
}

// A placed person stands, faces and is as tall as the world says.
func TestPlacedPerson(t *testing.T) {
	m := NewProcedural(1, recording.Key{Subject: 5, Activity: 12}, MotionOptions{})
	w := PersonWorld{RightM: 0.8, FartherM: -0.5, TurnDeg: 90, HeightM: 1.25}
	p := w.placed(m)
	a, b := m.At(0), p.At(0)
	if d := vecSub(b[0], a[0]); math.Abs(d[0]-0.8) > 1e-12 || math.Abs(d[2]+0.5) > 1e-12 {
		t.Errorf("pelvis moved by %v", d)
	}
	if h := p.Subject().HeightM; math.Abs(h-1.25) > 1e-12 {
		t.Errorf("height %g m", h)
	}
	if got, want := b[10][1]/a[10][1], 1.25/m.Subject().HeightM; math.Abs(got-want) > 1e-12 {
		t.Errorf("head higher by %g, want %g", got, want)
	}
	if f, g := facing(&a), facing(&b); math.Abs(g[0]+f[2]) > 1e-9 || math.Abs(g[2]-f[0]) > 1e-9 {
		t.Errorf("faced %v, now %v: want a quarter to the person's left", f, g)
	}
}
