package plot

import (
	"fmt"
	"math"
)

// Poses is a picture of poses beside their truth: a row of figures, each from the
// front and from the side.
type Poses struct {
	Title, Caption string
	Bones          [][2]int // joints that are joined
	Figures        []Figure
}

// Figure is one pose and its truth, metres, x right, y down, z away.
type Figure struct {
	Name        string
	Pose, Truth [][3]float64
}

const (
	figureWidth  = 170.0
	figureHeight = 210.0
	figureText   = 12.0
	posesTop     = 64.0
)

// SVG returns the picture as Scalable Vector Graphics.
func (p *Poses) SVG() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	s := newSVG(p.width(), p.height(), p.Title)
	p.draw(s)
	return s.bytes(), nil
}

// PNG returns the picture as an image of twice the resolution.
func (p *Poses) PNG() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	r := newRaster(p.width(), p.height())
	p.draw(r)
	return r.bytes()
}

func (p *Poses) width() float64  { return figureWidth * float64(len(p.Figures)) }
func (p *Poses) height() float64 { return posesTop + 2*figureHeight + 24 }

func (p *Poses) check() error {
	if len(p.Figures) == 0 {
		return fmt.Errorf("picture %q has no poses", p.Title)
	}
	for _, f := range p.Figures {
		for _, b := range p.Bones {
			if n := min(len(f.Pose), len(f.Truth)); b[0] < 0 || b[1] < 0 || b[0] >= n || b[1] >= n {
				return fmt.Errorf("figure %q: bone %v of %d joints", f.Name, b, n)
			}
		}
		for _, q := range append(append([][3]float64(nil), f.Pose...), f.Truth...) {
			for _, v := range q {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("figure %q: a joint is no number", f.Name)
				}
			}
		}
	}
	return nil
}

func (p *Poses) draw(c canvas) {
	c.text(point{12, 20}, p.Title, textSize, atStart, false, ink)
	c.text(point{12, 38}, p.Caption, figureText, atStart, false, soft)
	c.text(point{12, 54}, "true", figureText, atStart, false, palette[2])
	c.text(point{50, 54}, "predicted", figureText, atStart, false, palette[1])
	for i, f := range p.Figures {
		left := figureWidth * float64(i)
		c.text(point{left + figureWidth/2, p.height() - 8}, f.Name, figureText-1, atMiddle, false, ink)
		for view, across := range [...]int{0, 2} { // front: x; side: z
			p.figure(c, &f, across, point{left, posesTop + figureHeight*float64(view)})
		}
	}
}

// figure draws truth and pose of one view into a frame, both at one scale.
func (p *Poses) figure(c canvas, f *Figure, across int, at point) {
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, pose := range [][][3]float64{f.Truth, f.Pose} {
		for _, q := range pose {
			for k, v := range [2]float64{q[across], q[1]} {
				lo[k], hi[k] = math.Min(lo[k], v), math.Max(hi[k], v)
			}
		}
	}
	const margin = 14
	scale := math.Min((figureWidth-2*margin)/math.Max(hi[0]-lo[0], 0.5), (figureHeight-2*margin)/math.Max(hi[1]-lo[1], 0.5))
	place := func(q [3]float64) point {
		return point{at.x + figureWidth/2 + scale*(q[across]-(lo[0]+hi[0])/2), at.y + figureHeight/2 + scale*(q[1]-(lo[1]+hi[1])/2)}
	}
	for i, pose := range [][][3]float64{f.Truth, f.Pose} {
		for _, b := range p.Bones {
			c.stroke([]point{place(pose[b[0]]), place(pose[b[1]])}, 2.4, palette[2-i], nil)
		}
		for _, q := range pose {
			c.fill(disc(place(q), 2.4), palette[2-i], 1)
		}
	}
}
