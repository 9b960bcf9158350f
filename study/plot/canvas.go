// Package plot draws the charts of training and experiments, as SVG for reports
// and PNG for everything else. It is small on purpose: lines, points,
// intervals and reference lines on two axes, and rows of bars, with one font. gonum.org/v1/plot
// would add 9 MB of fonts and TeX to a program that must stay below 60 MB, and
// give the reports other axes, legends and colours.
package plot

import (
	"fmt"
	"math"
)

// point is a place on the canvas, pixels from the upper left corner.
type point struct{ x, y float64 }

// colour is opaque red, green, blue.
type colour struct{ r, g, b uint8 }

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// palette is Okabe and Ito's set, which people with any common colour vision
// can tell apart; the yellow is left out because it vanishes on white.
var palette = []colour{
	{0x00, 0x72, 0xb2}, // blue
	{0xd5, 0x5e, 0x00}, // vermillion
	{0x00, 0x9e, 0x73}, // bluish green
	{0xcc, 0x79, 0xa7}, // reddish purple
	{0xe6, 0x9f, 0x00}, // orange
	{0x56, 0xb4, 0xe9}, // sky blue
	{0x00, 0x00, 0x00}, // black
}

var (
	ink  = colour{0x22, 0x22, 0x22}
	soft = colour{0x66, 0x66, 0x66}
	grid = colour{0xe2, 0xe2, 0xe2}
)

// anchor says which part of a text lies at its place.
type anchor int

const (
	atStart anchor = iota
	atMiddle
	atEnd
)

// canvas is what a chart needs to be drawn; SVG and PNG provide it. Sizes are
// in pixels of the chart, whatever the resolution of the output.
type canvas interface {
	fill(outline []point, c colour, opacity float64)
	// stroke draws a line with round joints. dash lists lengths drawn and left
	// out in turn; empty for a solid line.
	stroke(line []point, width float64, c colour, dash []float64)
	// text writes s with its baseline at p; upward turns it by a quarter
	// against the clock.
	text(p point, s string, size float64, a anchor, upward bool, c colour)
}

// disc returns the outline of a circle.
func disc(centre point, radius float64) []point {
	const n = 20
	out := make([]point, n)
	for i := range out {
		s, c := math.Sincos(2 * math.Pi * float64(i) / n)
		out[i] = point{centre.x + radius*c, centre.y + radius*s}
	}
	return out
}

// markerOutline returns the shape that stands for the i-th series.
func markerOutline(i int, p point, r float64) []point {
	switch i % 4 {
	case 1: // square
		s := 0.88 * r
		return []point{{p.x - s, p.y - s}, {p.x + s, p.y - s}, {p.x + s, p.y + s}, {p.x - s, p.y + s}}
	case 2: // triangle
		return []point{{p.x, p.y - 1.25*r}, {p.x + 1.15*r, p.y + 0.8*r}, {p.x - 1.15*r, p.y + 0.8*r}}
	case 3: // diamond
		return []point{{p.x, p.y - 1.3*r}, {p.x + 1.3*r, p.y}, {p.x, p.y + 1.3*r}, {p.x - 1.3*r, p.y}}
	}
	return disc(p, r)
}
