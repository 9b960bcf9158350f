package frame

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/setting"
)

func TestRaysAndPixelsAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(400, 1200)
		c := Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: f.Draw(t, "fx"), FyPx: f.Draw(t, "fy"), CxPx: 310, CyPx: 250}
		if rapid.Bool().Draw(t, "distorted") {
			k := rapid.Float64Range(-0.15, 0.15)
			c.Distortion = []float64{k.Draw(t, "k1"), k.Draw(t, "k2") / 4, 0.002, -0.001, 0.01}
		}
		x, y := rapid.Float64Range(0, 640).Draw(t, "x"), rapid.Float64Range(0, 480).Draw(t, "y")
		gx, gy := c.Pixel(c.Ray(x, y, 640, 480))
		if math.Abs(gx-x) > 0.05 || math.Abs(gy-y) > 0.05 {
			t.Fatalf("(%v, %v) became (%v, %v) with %+v", x, y, gx, gy, c)
		}
		// The same view at twice the size.
		ax, ay := c.Ray(x, y, 640, 480)
		bx, by := c.Ray(2*x, 2*y, 1280, 960)
		if math.Abs(ax-bx) > 1e-12 || math.Abs(ay-by) > 1e-12 {
			t.Fatal("another size is another view")
		}
	})
}

func TestIntrinsicsAreChecked(t *testing.T) {
	var p setting.Problems
	good := Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: 605, FyPx: 605, CxPx: 320, CyPx: 240, Distortion: []float64{0.1}}
	good.Check(&p, "camera")
	if len(p) > 0 {
		t.Errorf("good ones: %v", p)
	}
	for name, c := range map[string]struct {
		change func(*Intrinsics)
		want   string
	}{
		"folded":          {func(c *Intrinsics) { c.Distortion = []float64{-2} }, "camera.distortion: folds the picture"},
		"a strong barrel": {func(c *Intrinsics) { c.Distortion = []float64{-0.35, 0.15, 0, 0, -0.03} }, ""},
		"oblong pixels":   {func(c *Intrinsics) { c.FyPx = 400 }, "camera.fx_px: 605, and fy_px is 400"},
	} {
		var problems setting.Problems
		i := good
		c.change(&i)
		i.Check(&problems, "camera")
		if c.want == "" && len(problems) > 0 || c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, problems, c.want)
		}
	}
	bad := Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: 1, FyPx: math.NaN(), CxPx: -1, CyPx: 240, Distortion: []float64{1, 2, 3, 4, 5, 600}}
	bad.Check(&p, "camera")
	var all []string
	for _, e := range p {
		all = append(all, e.Error())
	}
	for _, key := range []string{"camera.fx_px", "camera.fy_px", "camera.cx_px", "6 numbers", "600"} {
		if !strings.Contains(strings.Join(all, "\n"), key) {
			t.Errorf("nothing says %s: %v", key, all)
		}
	}
}
