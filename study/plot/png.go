package plot

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// pngScale is how many pixels of the image one pixel of the chart takes, so
// that it is sharp on a fine screen and in print.
const pngScale = 2

// raster is a canvas of pixels.
type raster struct {
	img   *image.RGBA
	faces map[float64]font.Face
	err   error
}

func newRaster(width, height float64) *raster {
	r := &raster{img: image.NewRGBA(image.Rect(0, 0, int(math.Ceil(width*pngScale)), int(math.Ceil(height*pngScale)))), faces: map[float64]font.Face{}}
	draw.Draw(r.img, r.img.Bounds(), image.White, image.Point{}, draw.Src)
	return r
}

func (r *raster) bytes() ([]byte, error) {
	for _, f := range r.faces {
		_ = f.Close() // releases nothing but memory
	}
	if r.err != nil {
		return nil, r.err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, r.img); err != nil {
		return nil, fmt.Errorf("encode png: %w", err)
	}
	return b.Bytes(), nil
}

// paint fills closed outlines that all turn the same way.
func (r *raster) paint(outlines [][]point, c colour, opacity float64) {
	size := r.img.Bounds().Size()
	rast := vector.NewRasterizer(size.X, size.Y)
	for _, o := range outlines {
		for i, p := range o {
			x, y := float32(p.x*pngScale), float32(p.y*pngScale)
			if i == 0 {
				rast.MoveTo(x, y)
			} else {
				rast.LineTo(x, y)
			}
		}
		rast.ClosePath()
	}
	a := uint16(opacity*0xffff + 0.5)
	full := color.NRGBA64{uint16(c.r) * 0x101, uint16(c.g) * 0x101, uint16(c.b) * 0x101, a}
	rast.Draw(r.img, r.img.Bounds(), image.NewUniform(full), image.Point{})
}

func (r *raster) fill(outline []point, c colour, opacity float64) {
	r.paint([][]point{outline}, c, opacity)
}

func (r *raster) stroke(line []point, width float64, c colour, dash []float64) {
	var pieces [][]point
	for _, part := range dashed(line, dash) {
		for i := 1; i < len(part); i++ {
			pieces = append(pieces, thick(part[i-1], part[i], width/2))
		}
		for _, p := range part {
			pieces = append(pieces, disc(p, width/2))
		}
	}
	r.paint(pieces, c, 1)
}

// thick returns the rectangle around a segment; it turns as disc does, because
// overlapping outlines of opposite sense would cancel.
func thick(a, b point, half float64) []point {
	dx, dy := b.x-a.x, b.y-a.y
	n := math.Hypot(dx, dy)
	if n == 0 {
		return disc(a, half)
	}
	dx, dy = dx/n*half, dy/n*half
	return []point{{a.x + dy, a.y - dx}, {b.x + dy, b.y - dx}, {b.x - dy, b.y + dx}, {a.x - dy, a.y + dx}}
}

// dashed cuts a line into the parts that a pattern draws.
func dashed(line []point, dash []float64) [][]point {
	if len(dash) == 0 || len(line) == 0 {
		return [][]point{line}
	}
	var out [][]point
	part, k, left := []point{line[0]}, 0, dash[0]
	for i := 1; i < len(line); i++ {
		a, b := line[i-1], line[i]
		length, at := math.Hypot(b.x-a.x, b.y-a.y), 0.0
		for length-at > left {
			at += left
			p := point{a.x + (b.x-a.x)*at/length, a.y + (b.y-a.y)*at/length}
			if k%2 == 0 {
				out = append(out, append(part, p))
				part = nil
			} else {
				part = []point{p}
			}
			k++
			left = dash[k%len(dash)]
		}
		left -= length - at
		if k%2 == 0 {
			part = append(part, b)
		}
	}
	if k%2 == 0 && len(part) > 1 {
		out = append(out, part)
	}
	return out
}

func (r *raster) text(p point, s string, size float64, a anchor, upward bool, c colour) {
	face := r.faces[size]
	if face == nil {
		f, err := typeface()
		if err == nil {
			face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: size * pngScale, DPI: 72, Hinting: font.HintingNone})
		}
		if err != nil {
			r.err = fmt.Errorf("font of the plots: %w", err)
			return
		}
		r.faces[size] = face
	}
	width := textWidth(s, size) * pngScale
	shift := 0.0
	switch a {
	case atMiddle:
		shift = width / 2
	case atEnd:
		shift = width
	case atStart:
	}
	src := image.NewUniform(color.NRGBA{c.r, c.g, c.b, 0xff})
	if !upward {
		d := font.Drawer{Dst: r.img, Src: src, Face: face, Dot: fixed.Point26_6{X: fixed.Int26_6((p.x*pngScale - shift) * 64), Y: fixed.Int26_6(p.y * pngScale * 64)}}
		d.DrawString(s)
		return
	}
	// Level first, then each pixel a quarter turn against the clock.
	w, h := int(width)+4, int(2*size*pngScale)
	base := h * 3 / 4
	level := image.NewRGBA(image.Rect(0, 0, w, h))
	d := font.Drawer{Dst: level, Src: src, Face: face, Dot: fixed.P(0, base)}
	d.DrawString(s)
	turned := image.NewRGBA(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			turned.SetRGBA(y, w-1-x, level.RGBAAt(x, y))
		}
	}
	at := image.Pt(int(p.x*pngScale)-base, int(p.y*pngScale+shift)-w+1)
	draw.Draw(r.img, turned.Bounds().Add(at), turned, image.Point{}, draw.Over)
}

var typeface = sync.OnceValues(func() (*sfnt.Font, error) { return opentype.Parse(goregular.TTF) })

// textWidth returns the width of s in pixels of the chart. The font is wider
// than what a browser will take in its absence, so what fits here fits there.
func textWidth(s string, size float64) float64 {
	f, err := typeface()
	if err != nil {
		return 0.6 * size * float64(len(s))
	}
	var b sfnt.Buffer
	total := fixed.Int26_6(0)
	for _, c := range s {
		i, err := f.GlyphIndex(&b, c)
		if err != nil {
			continue
		}
		if adv, err := f.GlyphAdvance(&b, i, fixed.I(64), font.HintingNone); err == nil {
			total += adv
		}
	}
	return float64(total) / 64 * size / 64
}
