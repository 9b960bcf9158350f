package calibration

import (
	"math"
	"slices"
)

// corner is a place where four squares meet.
type corner struct {
	x, y float64 // pixels
	// bright is the direction of the axis through the two bright squares, radians
	// modulo pi; edges are the directions of the two edges, modulo pi.
	bright float64
	edges  [2]float64
	score  float64 // of a perfect corner 1, times its contrast in grey levels
}

// The ring around a pixel on which a corner shows: two bright and two dark
// quarters. Radius and number of samples are those of the ChESS detector (Bennett
// and Lasenby 2014); scores are divided by the ring's own contrast, so that shade
// and uneven light do not matter.
const (
	ringRadius  = 5
	ringSamples = 16
	minContrast = 3   // standard deviation along the ring, grey levels
	minScore    = 0.4 // of a perfect corner
)

type offset struct{ dx, dy int }

var ring = func() (r [ringSamples]offset) {
	for i := range r {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / ringSamples)
		r[i] = offset{int(math.Round(ringRadius * cos)), int(math.Round(ringRadius * sin))}
	}
	return r
}()

// corners returns what looks like a corner of a checkerboard.
func (g *gray) corners() []corner {
	b := g.blurred(1)
	score := newGray(g.w, g.h)
	var at [ringSamples]int
	for i, o := range ring {
		at[i] = o.dy*g.w + o.dx
	}
	const m = ringRadius
	for y := m; y < g.h-m; y++ {
		for x := m; x < g.w-m; x++ {
			score.pix[y*g.w+x] = ringScore(b.pix, y*g.w+x, &at)
		}
	}
	var out []corner
	for y := m + 2; y < g.h-m-2; y++ {
		for x := m + 2; x < g.w-m-2; x++ {
			s := score.pix[y*g.w+x]
			if s <= 0 || !score.peak(x, y) {
				continue
			}
			c := corner{x: float64(x), y: float64(y), score: float64(s)}
			if b.look(&c) {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(p, q corner) int {
		if p.score > q.score {
			return -1
		}
		return 1
	})
	return out
}

// ringScore is ChESS' response: opposite samples agree, those a quarter apart
// differ, and the ring's mean is that of the middle. 0 is no corner.
func ringScore(pix []float32, i int, at *[ringSamples]int) float32 {
	var v [ringSamples]float32
	var sum, square float32
	for k, o := range at {
		v[k] = pix[i+o]
		sum += v[k]
	}
	mean := sum / ringSamples
	for _, x := range v {
		square += (x - mean) * (x - mean)
	}
	if square < ringSamples*minContrast*minContrast {
		return 0
	}
	var quarters, opposite float32
	for k := range ringSamples / 4 {
		quarters += abs(v[k] + v[k+8] - v[k+4] - v[k+12])
	}
	for k := range ringSamples / 2 {
		opposite += abs(v[k] - v[k+8])
	}
	response := quarters - opposite - ringSamples*abs(mean-pix[i])
	contrast := float32(math.Sqrt(float64(square / ringSamples)))
	if response < minScore*ringSamples*contrast {
		return 0
	}
	return response / ringSamples
}

func abs(v float32) float32 {
	if v < 0 {
		return -v
	}
	return v
}

// peak reports whether a score is the highest within two pixels.
func (g *gray) peak(x, y int) bool {
	s := g.pix[y*g.w+x]
	for dy := -2; dy <= 2; dy++ {
		for dx := -2; dx <= 2; dx++ {
			n := g.pix[(y+dy)*g.w+x+dx]
			if n > s || n == s && (dy < 0 || dy == 0 && dx < 0) {
				return false
			}
		}
	}
	return true
}

// look reads the ring around a corner: where it passes from dark to bright. It
// reports false if there are not four such places, two and two opposite.
func (g *gray) look(c *corner) bool {
	const n = 64
	var v [n]float64
	mean := 0.0
	for i := range v {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / n)
		var ok bool
		if v[i], ok = g.at(c.x+ringRadius*cos, c.y+ringRadius*sin); !ok {
			return false
		}
		mean += v[i] / n
	}
	var cross []float64 // angles
	a, b := 0.0, 0.0
	for i := range v {
		p, q := v[i]-mean, v[(i+1)%n]-mean
		if (p < 0) != (q < 0) {
			cross = append(cross, 2*math.Pi*(float64(i)+p/(p-q))/n)
		}
		sin, cos := math.Sincos(4 * math.Pi * float64(i) / n)
		a, b = a+p*cos, b+p*sin
	}
	if len(cross) != 4 {
		return false
	}
	for k := range c.edges {
		bend := cross[k+2] - cross[k] - math.Pi
		if math.Abs(bend) > 0.7 {
			return false
		}
		c.edges[k] = math.Mod(cross[k]+bend/2, math.Pi)
	}
	c.bright = math.Atan2(b, a) / 2
	return true
}

// axisTurn returns the angle between two axes, 0 to pi/2.
func axisTurn(a, b float64) float64 {
	return math.Abs(math.Remainder(a-b, math.Pi))
}

// refine moves a corner to where all gradients around it are at right angles to
// the way there, within half a window of pixels (Förstner's condition). It
// reports false if that is somewhere else.
func (g *gray) refine(c *corner, half float64) bool {
	x, y := c.x, c.y
	n := int(math.Ceil(half))
	for range 40 {
		var xx, xy, yy, bx, by float64
		for j := -n; j <= n; j++ {
			for i := -n; i <= n; i++ {
				px, py := x+float64(i), y+float64(j)
				left, ok1 := g.at(px-1, py)
				right, ok2 := g.at(px+1, py)
				up, ok3 := g.at(px, py-1)
				down, ok4 := g.at(px, py+1)
				if !ok1 || !ok2 || !ok3 || !ok4 {
					continue
				}
				gx, gy := (right-left)/2, (down-up)/2
				w := math.Exp(-float64(i*i+j*j) / (half * half))
				xx, xy, yy = xx+w*gx*gx, xy+w*gx*gy, yy+w*gy*gy
				bx += w * (gx*gx*px + gx*gy*py)
				by += w * (gx*gy*px + gy*gy*py)
			}
		}
		det := xx*yy - xy*xy
		if det <= 1e-6*(xx+yy)*(xx+yy) {
			return false
		}
		nx, ny := (yy*bx-xy*by)/det, (xx*by-xy*bx)/det
		moved := math.Hypot(nx-x, ny-y)
		x, y = nx, ny
		if math.Hypot(x-c.x, y-c.y) > half {
			return false
		}
		if moved < 0.003 {
			break
		}
	}
	c.x, c.y = x, y
	return true
}
