package calibration

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/frame"
)

func openCVNames(side string) (names []string) {
	for _, i := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14} {
		names = append(names, fmt.Sprintf("%s%02d.jpg", side, i))
	}
	return names
}

// TestCalibrateRealPictures: OpenCV's own result for the left camera, which its
// documentation package holds in left_intrinsics.yml, is fx = fy = 535.9, cx 342.3,
// cy 235.6, k1 -0.266, with a mean reprojection error of 0.39 px, 1.2 px of it in
// one picture. The right one has a similar lens.
func TestCalibrateRealPictures(t *testing.T) {
	for side, want := range map[string][5]float64{"left": {535.9, 535.9, 342.3, 235.6, -0.266}, "right": {538, 538, 327, 249, -0.29}} {
		var views []View
		for _, name := range openCVNames(side) {
			v, err := Find(name, picture(t, name), a4Board)
			if err != nil {
				t.Fatal(err)
			}
			views = append(views, v)
		}
		c, err := Calibrate(views, a4Board)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: fx %.1f ± %.1f, fy %.1f, cx %.1f, cy %.1f ± %.1f, distortion %.4f, RMS %.3f px, lacking %q", side,
			c.Lens.FxPx, c.Deviation[0], c.Lens.FyPx, c.Lens.CxPx, c.Lens.CyPx, c.Deviation[3], c.Lens.Distortion, c.RMSPx, c.Lacking())
		for i, got := range []float64{c.Lens.FxPx, c.Lens.FyPx, c.Lens.CxPx, c.Lens.CyPx, c.Lens.Distortion[0]} {
			if within := [5]float64{3.5, 3.5, 3, 3, 0.03}[i]; math.Abs(got-want[i]) > within {
				t.Errorf("%s: parameter %d is %v, want %v within %v", side, i, got, want[i], within)
			}
		}
		if c.RMSPx > 0.3 || slices.ContainsFunc(c.Views, func(v ViewScore) bool { return !v.Used || v.RMSPx > 0.4 }) {
			t.Errorf("%s: RMS %v px, views %+v", side, c.RMSPx, c.Views)
		}
		if c.Deviation[0] < 0.1 || c.Deviation[0] > 1.5 {
			t.Errorf("%s: fx is known to %v px", side, c.Deviation[0])
		}
	}
}

// views projects a board held in many ways, each corner off by noise pixels.
func views(lens frame.Intrinsics, b Board, n int, noise float64, r *rand.Rand) (out []View) {
	for i := 0; len(out) < n; i++ {
		u := func(most float64) float64 { return most * (2*r.Float64() - 1) }
		s := scene{lens: lens, board: b, cameraFromBoard: held(b, vec{u(0.12), u(0.08), 0.42 + u(0.1)}, u(35), u(35), u(40))}
		v := View{Name: fmt.Sprintf("view %d", len(out)+1), Width: int(lens.WidthPx), Height: int(lens.HeightPx)}
		inside := true
		for row := range b.Rows {
			for col := range b.Columns {
				x, y := s.corner(col, row)
				inside = inside && x > 0 && y > 0 && x < lens.WidthPx && y < lens.HeightPx
				v.Points = append(v.Points, Point{Column: col, Row: row, X: x + noise*r.NormFloat64(), Y: y + noise*r.NormFloat64()})
			}
		}
		if inside {
			out = append(out, v)
		}
		if i > 10000 {
			panic("no view has the board in the picture")
		}
	}
	return out
}

// TestTruthIsFound: of exact corners the exact lens, whatever it is.
func TestTruthIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, lo, hi float64) float64 { return rapid.Float64Range(lo, hi).Draw(t, name) }
		lens := frame.Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: draw("fx", 450, 900), CxPx: draw("cx", 290, 350), CyPx: draw("cy", 210, 270)}
		lens.FyPx = lens.FxPx * draw("aspect", 0.97, 1.03)
		lens.Distortion = []float64{draw("k1", -0.3, 0.2), draw("k2", -0.05, 0.1), draw("p1", -0.002, 0.002), draw("p2", -0.002, 0.002), 0.02}
		if !sound(lens) {
			t.Skip("no lens")
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		c, err := Calibrate(views(lens, a4Board, 12, 1e-6, r), a4Board)
		if err != nil {
			t.Fatal(err)
		}
		for i, pair := range [][2]float64{{c.Lens.FxPx, lens.FxPx}, {c.Lens.FyPx, lens.FyPx}, {c.Lens.CxPx, lens.CxPx}, {c.Lens.CyPx, lens.CyPx},
			{100 * c.Lens.Distortion[0], 100 * lens.Distortion[0]}, {1000 * c.Lens.Distortion[2], 1000 * lens.Distortion[2]}} {
			if math.Abs(pair[0]-pair[1]) > 0.01 {
				t.Fatalf("parameter %d is %v, want %v", i, pair[0], pair[1])
			}
		}
	})
}

// TestDeviationsAreTrue: over many calibrations the error is as large as is said.
func TestDeviationsAreTrue(t *testing.T) {
	var sum [lensParams]float64
	const runs = 40
	truth := [lensParams]float64{testLens.FxPx, testLens.FyPx, testLens.CxPx, testLens.CyPx, -0.2, 0.08, 0.001, -0.0008, 0.05}
	lens := testLens
	lens.Distortion = truth[4:]
	for seed := range uint64(runs) {
		c, err := Calibrate(views(lens, a4Board, 10, 0.2, rand.New(rand.NewPCG(seed, 7))), a4Board)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(c.CornerPx-0.2) > 0.03 {
			t.Errorf("a corner is off by %v px, want 0.2", c.CornerPx)
		}
		got := [lensParams]float64{c.Lens.FxPx, c.Lens.FyPx, c.Lens.CxPx, c.Lens.CyPx}
		copy(got[4:], c.Lens.Distortion)
		for i := range 4 { // the distortion's may be fixed
			sum[i] += (got[i] - truth[i]) * (got[i] - truth[i]) / (c.Deviation[i] * c.Deviation[i] * runs)
		}
	}
	for i := range 4 {
		// Chi squared over its 40 degrees of freedom: 0.55 to 1.6 in 99 of 100.
		if z := sum[i]; z < 0.4 || z > 2 {
			t.Errorf("parameter %d: its errors' variance is %.2f times the one stated", i, z)
		}
	}
}

// TestBadViewsAreLeftOut: a bent board and single wrong corners are left out and
// named, and the lens stays right.
func TestBadViewsAreLeftOut(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	all := views(testLens, a4Board, 14, 0.1, r)
	for i := range all[4].Points { // bent by up to 5 px in the middle
		p := &all[4].Points[i]
		p.Y += 5 * math.Sin(math.Pi*float64(p.Column)/8)
	}
	all[9].Points[17].X += 6
	c, err := Calibrate(all, a4Board)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range c.Views {
		if v.Used != (i != 4) || (v.Reason == "") != v.Used {
			t.Errorf("%+v", v)
		}
	}
	if n := c.Views[9].Corners; n > 53 || n < 50 {
		t.Errorf("the wrong corner is used: %+v", c.Views[9])
	}
	if math.Abs(c.Lens.FxPx-testLens.FxPx) > 5*c.Deviation[0] {
		t.Errorf("fx %v ± %v, want %v", c.Lens.FxPx, c.Deviation[0], testLens.FxPx)
	}
}

// TestLensIsNotDetermined: what the pictures lack is said.
func TestLensIsNotDetermined(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	good := views(testLens, a4Board, 8, 0.1, r)
	other := views(testLens, a4Board, 1, 0.1, r)[0]
	other.Name, other.Width, other.Height = "other", 1280, 960
	var flat []View
	for i := range 8 {
		s := scene{lens: testLens, board: a4Board, cameraFromBoard: held(a4Board, vec{0.03 * float64(i%3-1), 0.02 * float64(i%2), 0.4 + 0.02*float64(i)}, 0, 0, 10*float64(i))}
		v := View{Name: fmt.Sprintf("flat %d", i), Width: 640, Height: 480}
		for row := range 6 {
			for col := range 9 {
				x, y := s.corner(col, row)
				v.Points = append(v.Points, Point{Column: col, Row: row, X: x + 0.1*r.NormFloat64(), Y: y + 0.1*r.NormFloat64()})
			}
		}
		flat = append(flat, v)
	}
	for name, c := range map[string]struct {
		views []View
		board Board
		want  string
	}{
		"two":       {good[:2], a4Board, "2 usable pictures of the board, at least 3"},
		"none":      {nil, a4Board, "0 usable pictures"},
		"parallel":  {flat, a4Board, "held the same way in all pictures; tilt it"},
		"the same":  {slices.Repeat(good[:1], 6), a4Board, "held the same way in all pictures; tilt it"},
		"two sizes": {append(slices.Clone(good), other), a4Board, "view 1 has 640 x 480 pixels and other 1280 x 960"},
		"no board":  {good, Board{Columns: 2, Rows: 6, SquareM: 1}, "2 x 6 inner corners"},
	} {
		got, err := Calibrate(c.views, c.board)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%+v), want %q", name, err, got, c.want)
			continue
		}
		var undetermined *UndeterminedError
		var sizes *SizesError
		if !errors.As(err, &undetermined) && !errors.As(err, &sizes) && name != "no board" {
			t.Errorf("%s: %T", name, err)
		}
	}
}

// TestRenderedPicturesGiveTheLens: from drawn pictures to the lens.
func TestRenderedPicturesGiveTheLens(t *testing.T) {
	var all []View
	for i, p := range []struct {
		at                  vec
		tiltX, tiltY, turnZ float64
	}{
		{vec{0, 0, 0.4}, 0, 0, 0}, {vec{-0.1, -0.06, 0.5}, 25, 20, 10}, {vec{0.1, -0.06, 0.5}, 25, -25, -15}, {vec{-0.1, 0.06, 0.5}, -30, 20, 0},
		{vec{0.1, 0.06, 0.5}, -25, -30, 170}, {vec{0, 0, 0.45}, 40, 0, 30}, {vec{0, 0, 0.45}, 0, 40, -30}, {vec{0, 0.02, 0.42}, -40, 5, 5},
	} {
		s := scene{lens: testLens, board: a4Board, cameraFromBoard: held(a4Board, p.at, p.tiltX, p.tiltY, p.turnZ), blurPx: 0.7, noise: 2, gradient: 0.3, seed: uint64(i)}
		v, err := Find(fmt.Sprintf("picture %d", i), s.render(), a4Board)
		if err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		all = append(all, v)
	}
	c, err := Calibrate(all, a4Board)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("fx %.2f ± %.2f, fy %.2f, cx %.2f, cy %.2f, distortion %.4f, RMS %.3f px, fixed %v", c.Lens.FxPx, c.Deviation[0], c.Lens.FyPx, c.Lens.CxPx, c.Lens.CyPx, c.Lens.Distortion, c.RMSPx, c.Fixed)
	for i, d := range []float64{c.Lens.FxPx - testLens.FxPx, c.Lens.FyPx - testLens.FyPx, c.Lens.CxPx - testLens.CxPx, c.Lens.CyPx - testLens.CyPx} {
		if math.Abs(d) > 1 {
			t.Errorf("parameter %d is off by %.2f px", i, d)
		}
	}
	if c.RMSPx > 0.1 {
		t.Errorf("RMS %v px", c.RMSPx)
	}
}
