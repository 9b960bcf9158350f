package calibration

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"posefuse/frame"
)

// scene is a board before a camera, as the tests draw it.
type scene struct {
	lens            frame.Intrinsics
	board           Board
	cameraFromBoard frame.Transform
	blurPx          float64
	noise           float64 // standard deviation, grey levels
	gradient        float64 // light falls by this share from left to right
	shade           bool    // a shadow lies over the right half
	seed            uint64
}

// render draws the picture: 16 rays of each pixel meet the board.
func (s *scene) render() *image.Gray {
	w, h := int(s.lens.WidthPx), int(s.lens.HeightPx)
	g := newGray(w, h)
	back := s.cameraFromBoard.Inverse()
	corners := make([][2]float64, (w+1)*(h+1)) // of the pixels, as rays
	for y := range h + 1 {
		for x := range w + 1 {
			sx, sy := s.lens.Ray(float64(x)-0.5, float64(y)-0.5, s.lens.WidthPx, s.lens.HeightPx)
			corners[y*(w+1)+x] = [2]float64{sx, sy}
		}
	}
	const n = 4
	for y := range h {
		for x := range w {
			a, b := corners[y*(w+1)+x:], corners[(y+1)*(w+1)+x:]
			var sum float64
			for j := range n {
				fy := (float64(j) + 0.5) / n
				for i := range n {
					fx := (float64(i) + 0.5) / n
					var d [2]float64
					for k := range d {
						d[k] = (1-fy)*((1-fx)*a[0][k]+fx*a[1][k]) + fy*((1-fx)*b[0][k]+fx*b[1][k])
					}
					sum += s.bright(&back, d[0], d[1]) / (n * n)
				}
			}
			light := 1 - s.gradient*float64(x)/float64(w)
			if s.shade { // its edge is as soft as a lamp's size makes it
				light *= 1 - 0.55/(1+math.Exp(float64(w/2-x)/8))
			}
			g.pix[y*w+x] = float32(sum * light)
		}
	}
	if s.blurPx > 0 {
		g = g.blurred(s.blurPx)
	}
	r := rand.New(rand.NewPCG(s.seed, 1))
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i, v := range g.pix {
		img.Pix[i] = uint8(min(max(float64(v)+s.noise*r.NormFloat64()+0.5, 0), 255))
	}
	return img
}

// bright returns what a ray meets: a black or white square, the paper around the
// board or a grey wall.
func (s *scene) bright(boardFromCamera *frame.Transform, sx, sy float64) float64 {
	origin := boardFromCamera.T
	var d vec
	for i := range 3 {
		d[i] = boardFromCamera.R[i][0]*sx + boardFromCamera.R[i][1]*sy + boardFromCamera.R[i][2]
	}
	t := -origin[2] / d[2]
	if !(t > 0) {
		return 120
	}
	// In squares from the upper left inner corner.
	c, r := (origin[0]+t*d[0])/s.board.SquareM, (origin[1]+t*d[1])/s.board.SquareM
	switch {
	case c < -1.6 || r < -1.6 || c > float64(s.board.Columns)+0.6 || r > float64(s.board.Rows)+0.6:
		return 120
	case c < -1 || r < -1 || c > float64(s.board.Columns) || r > float64(s.board.Rows):
		return 230
	case (int(math.Floor(c))+int(math.Floor(r)))%2 == 0:
		return 30
	}
	return 230
}

// corner returns where an inner corner falls, pixels.
func (s *scene) corner(col, row int) (x, y float64) {
	q := s.cameraFromBoard.Apply(vec{float64(col) * s.board.SquareM, float64(row) * s.board.SquareM, 0})
	return s.lens.Pixel(q[0]/q[2], q[1]/q[2])
}

// held returns cameraFromBoard of a board whose middle is at a place before the
// camera, turned about x, y and z by degrees.
func held(b Board, at vec, tiltX, tiltY, turnZ float64) frame.Transform {
	r := [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	const rad = math.Pi / 180
	r = turned(turned(turned(r, vec{0, 0, turnZ * rad}), vec{tiltX * rad}), vec{0, tiltY * rad, 0})
	t := frame.Transform{R: r}
	middle := t.Apply(vec{float64(b.Columns-1) / 2 * b.SquareM, float64(b.Rows-1) / 2 * b.SquareM, 0})
	t.T = add(at, middle, -1)
	return t
}

// coloured returns a grey picture as one in colour, with a tint.
func coloured(g *image.Gray) *image.RGBA {
	out := image.NewRGBA(g.Rect)
	for y := range g.Rect.Dy() {
		for x := range g.Rect.Dx() {
			v := g.GrayAt(x, y).Y
			out.SetRGBA(x, y, color.RGBA{R: v, G: uint8(float64(v) * 0.9), B: uint8(float64(v) * 0.8), A: 255})
		}
	}
	return out
}
