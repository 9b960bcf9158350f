package frame

import (
	"math"

	"posefuse/setting"
)

// Intrinsics say how a camera maps directions to pixels: the pinhole model with
// OpenCV's names and distortion (k1, k2, p1, p2, k3), for pictures of Width x
// Height.
type Intrinsics struct {
	WidthPx  float64 `yaml:"width_px"`
	HeightPx float64 `yaml:"height_px"`
	FxPx     float64 `yaml:"fx_px"`
	FyPx     float64 `yaml:"fy_px"`
	CxPx     float64 `yaml:"cx_px"`
	CyPx     float64 `yaml:"cy_px"`
	// Distortion is [k1, k2, p1, p2, k3], or shorter; the rest is 0.
	Distortion []float64 `yaml:"distortion"`
}

// Check adds what is wrong with them below key.
func (c *Intrinsics) Check(p *setting.Problems, key string) {
	before := len(*p)
	p.Between(key+".width_px", c.WidthPx, 1, 1e5)
	p.Between(key+".height_px", c.HeightPx, 1, 1e5)
	// From a fisheye's 0.2 to a long lens's 10 widths.
	p.Between(key+".fx_px", c.FxPx, 0.1*c.WidthPx, 20*c.WidthPx)
	p.Between(key+".fy_px", c.FyPx, 0.1*c.WidthPx, 20*c.WidthPx)
	p.Between(key+".cx_px", c.CxPx, 0, c.WidthPx)
	p.Between(key+".cy_px", c.CyPx, 0, c.HeightPx)
	if len(c.Distortion) > 5 {
		p.Add(key+".distortion", "%d numbers, want at most 5: k1, k2, p1, p2, k3", len(c.Distortion))
	}
	for _, v := range c.Distortion {
		if !(math.Abs(v) <= 10) {
			p.Add(key+".distortion", "%v is out of range, want -10 to 10", v)
		}
	}
	if len(*p) > before {
		return
	}
	if r := c.FxPx / c.FyPx; r < 0.8 || r > 1.25 {
		p.Add(key+".fx_px", "%.4g, and fy_px is %.4g: pixels are nearly square, so that the two are nearly equal; calibrate again, see posefuse calibrate camera", c.FxPx, c.FyPx)
	}
	if c.folds() {
		p.Add(key+".distortion", "folds the picture within its corners: these coefficients are not of this lens, or of another order than k1, k2, p1, p2, k3; calibrate again, see posefuse calibrate camera")
	}
}

// folds reports whether the distortion bends the picture back on itself within its
// corners, so that a pixel has no single ray: its radial part must grow there.
func (c *Intrinsics) folds() bool {
	corner := math.Hypot(max(c.CxPx, c.WidthPx-c.CxPx)/c.FxPx, max(c.CyPx, c.HeightPx-c.CyPx)/c.FyPx)
	var k [5]float64
	copy(k[:], c.Distortion)
	last := 0.0
	for r := 0.01; last < corner; r += 0.01 {
		r2 := r * r
		seen := r * (1 + r2*(k[0]+r2*(k[1]+r2*k[4])))
		if seen <= last {
			return true
		}
		last = seen
	}
	return false
}

// Ray returns the direction of a pixel of a picture of width x height as its
// slopes x/z and y/z, camera frame. Pictures of another size than Width x
// Height are taken for the same view, scaled.
func (c *Intrinsics) Ray(x, y, width, height float64) (sx, sy float64) {
	x, y = x*c.WidthPx/width, y*c.HeightPx/height
	dx, dy := (x-c.CxPx)/c.FxPx, (y-c.CyPx)/c.FyPx
	if len(c.Distortion) == 0 {
		return dx, dy
	}
	// The distortion is given from the ray to the pixel: invert it by iteration,
	// as is usual; it converges where the lens's model is one to one.
	sx, sy = dx, dy
	for range 20 {
		bx, by := c.distort(sx, sy)
		sx, sy = sx-(bx-dx), sy-(by-dy)
	}
	return sx, sy
}

// Pixel returns where a direction with slopes x/z and y/z falls, pixels of a
// picture of WidthPx x HeightPx.
func (c *Intrinsics) Pixel(sx, sy float64) (x, y float64) {
	sx, sy = c.distort(sx, sy)
	return c.CxPx + c.FxPx*sx, c.CyPx + c.FyPx*sy
}

func (c *Intrinsics) distort(x, y float64) (dx, dy float64) {
	var k [5]float64
	copy(k[:], c.Distortion)
	r2 := x*x + y*y
	radial := 1 + r2*(k[0]+r2*(k[1]+r2*k[4]))
	return x*radial + 2*k[2]*x*y + k[3]*(r2+2*x*x), y*radial + k[2]*(r2+2*y*y) + 2*k[3]*x*y
}
