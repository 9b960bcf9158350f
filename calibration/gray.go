package calibration

import (
	"image"
	"math"
)

// gray is a picture's brightness, rows from the top, 0 to 255.
type gray struct {
	w, h int
	pix  []float32
}

func newGray(w, h int) *gray { return &gray{w: w, h: h, pix: make([]float32, w*h)} }

// grayOf returns the brightness of a picture.
func grayOf(img image.Image) *gray {
	b := img.Bounds()
	g := newGray(b.Dx(), b.Dy())
	switch p := img.(type) {
	case *image.Gray:
		for y := range g.h {
			row := p.Pix[p.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range g.w {
				g.pix[y*g.w+x] = float32(row[x])
			}
		}
	case *image.YCbCr:
		for y := range g.h {
			row := p.Y[p.YOffset(b.Min.X, b.Min.Y+y):]
			for x := range g.w {
				g.pix[y*g.w+x] = float32(row[x])
			}
		}
	default:
		for y := range g.h {
			for x := range g.w {
				// ITU-R BT.601, as for pictures that come as brightness.
				r, gr, bl, _ := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
				g.pix[y*g.w+x] = float32(0.299*float64(r)+0.587*float64(gr)+0.114*float64(bl)) / 257
			}
		}
	}
	return g
}

// at returns the brightness between pixels, ok false outside.
func (g *gray) at(x, y float64) (v float64, ok bool) {
	if !(x >= 0 && y >= 0 && x < float64(g.w-1) && y < float64(g.h-1)) {
		return 0, false
	}
	i, j := int(x), int(y)
	fx, fy := float32(x-float64(i)), float32(y-float64(j))
	p := g.pix[j*g.w+i:]
	q := p[g.w:]
	return float64((1-fy)*(p[0]+fx*(p[1]-p[0])) + fy*(q[0]+fx*(q[1]-q[0]))), true
}

// blurred returns the picture under a Gaussian of sigma pixels; edges repeat.
func (g *gray) blurred(sigma float64) *gray {
	n := int(math.Ceil(3 * sigma))
	kernel := make([]float32, 2*n+1)
	sum := 0.0
	for i := range kernel {
		sum += math.Exp(-float64((i-n)*(i-n)) / (2 * sigma * sigma))
	}
	for i := range kernel {
		kernel[i] = float32(math.Exp(-float64((i-n)*(i-n))/(2*sigma*sigma)) / sum)
	}
	across, out := newGray(g.w, g.h), newGray(g.w, g.h)
	for y := range g.h {
		row := g.pix[y*g.w : (y+1)*g.w]
		for x := range row {
			var v float32
			for i, k := range kernel {
				v += k * row[min(max(x+i-n, 0), g.w-1)]
			}
			across.pix[y*g.w+x] = v
		}
	}
	for y := range g.h {
		to := out.pix[y*g.w : (y+1)*g.w]
		for i, k := range kernel {
			row := across.pix[min(max(y+i-n, 0), g.h-1)*g.w:]
			for x := range to {
				to[x] += k * row[x]
			}
		}
	}
	return out
}

// half returns the picture at half the size. The middle of its pixel (x, y) is at
// (2x + 0.5, 2y + 0.5).
func (g *gray) half() *gray {
	out := newGray(g.w/2, g.h/2)
	for y := range out.h {
		for x := range out.w {
			p := g.pix[2*y*g.w+2*x:]
			out.pix[y*out.w+x] = (p[0] + p[1] + p[g.w] + p[g.w+1]) / 4
		}
	}
	return out
}
