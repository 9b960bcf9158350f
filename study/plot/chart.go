package plot

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// Series is one line, or one row of points, of a chart.
type Series struct {
	Name string
	X, Y []float64
	// Low and High are the ends of the interval at each point; nil for none. A
	// line shows them as a band, points as bars.
	Low, High []float64
	Points    bool // markers only
	Dashed    bool
	// Colour fixes the series' colour, 1-based; 0 takes the next one.
	Colour int
}

// Mark is a reference line across the chart.
type Mark struct {
	Name  string
	Value float64
	Along bool // a level of y, else a place on x
}

// Chart is one pair of axes. The title says what is shown, the caption on what
// data; axis labels carry the units.
type Chart struct {
	Title, Caption string
	XLabel, YLabel string
	XNames         []string // of the places 0, 1, … for a chart over names instead of numbers
	WholeX         bool     // x counts something, e.g. epochs: ticks at whole numbers
	LogX, LogY     bool
	FromZero       bool // y begins at 0
	Series         []Series
	Marks          []Mark
}

// ErrEmpty is wrapped by the error for a chart without a value to show.
var ErrEmpty = errors.New("nothing to draw")

const (
	chartWidth  = 760.0
	chartHeight = 440.0
	textSize    = 13.0
	titleSize   = 16.0
	legendTop   = 10.0
)

// Write draws the chart as name.svg and name.png in dir, each replaced
// atomically.
func (c *Chart) Write(dir, name string) error {
	vec, err := c.SVG()
	if err != nil {
		return fmt.Errorf("plot %s: %w", name, err)
	}
	pixels, err := c.PNG()
	if err != nil {
		return fmt.Errorf("plot %s: %w", name, err)
	}
	for ext, b := range map[string][]byte{".svg": vec, ".png": pixels} {
		if err := renameio.WriteFile(filepath.Join(dir, name+ext), b, 0o644); err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	return nil
}

// SVG returns the chart as Scalable Vector Graphics.
func (c *Chart) SVG() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := newSVG(chartWidth, c.height(), c.Title)
	c.draw(s)
	return s.bytes(), nil
}

// PNG returns the chart as an image of twice the resolution.
func (c *Chart) PNG() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	r := newRaster(chartWidth, c.height())
	c.draw(r)
	return r.bytes()
}

func (c *Chart) check() error {
	drawable := 0
	for _, s := range c.Series {
		if len(s.X) != len(s.Y) || s.Low != nil && len(s.Low) != len(s.Y) || len(s.Low) != len(s.High) {
			return fmt.Errorf("series %q: %d x, %d y, %d and %d ends of intervals", s.Name, len(s.X), len(s.Y), len(s.Low), len(s.High))
		}
		for i := range s.X {
			if c.drawable(s.X[i], s.Y[i]) {
				drawable++
			}
		}
	}
	if drawable == 0 {
		return fmt.Errorf("%w: no finite value in %d series", ErrEmpty, len(c.Series))
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func (c *Chart) drawable(x, y float64) bool {
	return finite(x) && finite(y) && (!c.LogX || x > 0) && (!c.LogY || y > 0)
}

// span returns the range of the values to show on each axis.
func (c *Chart) span() (x0, x1, y0, y1 float64) {
	x0, y0 = math.Inf(1), math.Inf(1)
	x1, y1 = math.Inf(-1), math.Inf(-1)
	take := func(v float64, logarithmic bool, low, high *float64) {
		if finite(v) && (!logarithmic || v > 0) {
			*low, *high = math.Min(*low, v), math.Max(*high, v)
		}
	}
	for _, s := range c.Series {
		for i := range s.X {
			if !c.drawable(s.X[i], s.Y[i]) {
				continue
			}
			take(s.X[i], c.LogX, &x0, &x1)
			take(s.Y[i], c.LogY, &y0, &y1)
			if s.Low != nil {
				take(s.Low[i], c.LogY, &y0, &y1)
				take(s.High[i], c.LogY, &y0, &y1)
			}
		}
	}
	for _, m := range c.Marks {
		if m.Along {
			take(m.Value, c.LogY, &y0, &y1)
		} else {
			take(m.Value, c.LogX, &x0, &x1)
		}
	}
	if c.FromZero && !c.LogY {
		y0 = math.Min(y0, 0)
	}
	return x0, x1, y0, y1
}

// lines breaks text at spaces so that it fits a width.
func lines(text string, size, width float64) []string {
	var out []string
	at := ""
	for _, word := range strings.Fields(text) {
		next := word
		if at != "" {
			next = at + " " + word
		}
		if at != "" && textWidth(next, size) > width {
			out = append(out, at)
			next = word
		}
		at = next
	}
	if at != "" {
		out = append(out, at)
	}
	return out
}

func (c *Chart) captionLines() []string { return lines(c.Caption, textSize-2, chartWidth-40) }

func (c *Chart) titleLines() []string { return lines(c.Title, titleSize, chartWidth-40) }

// Reference levels are told apart by their greys, and by their order in the
// legend.
var (
	levels    = []colour{{0x55, 0x55, 0x55}, {0x99, 0x99, 0x99}, {0x22, 0x22, 0x22}}
	levelDash = []float64{2, 4}
)

const (
	captionStep = 15.0
	titleStep   = 21.0
)

func (c *Chart) height() float64 {
	return chartHeight + captionStep*float64(len(c.captionLines())) + titleStep*float64(max(len(c.titleLines())-1, 0)) + c.nameDepth()
}

// nameDepth is the additional room below the axis for names that stand upright.
func (c *Chart) nameDepth() float64 {
	if len(c.XNames) == 0 || !c.uprightNames() {
		return 0
	}
	widest := 0.0
	for _, n := range c.XNames {
		widest = math.Max(widest, textWidth(n, textSize))
	}
	return math.Max(widest-textSize, 0)
}

func (c *Chart) uprightNames() bool {
	widest := 0.0
	for _, n := range c.XNames {
		widest = math.Max(widest, textWidth(n, textSize))
	}
	return (widest+10)*float64(len(c.XNames)) > chartWidth-100-c.legendWidth()
}

// legendWidth is the room beside the axes that the series' names need.
func (c *Chart) legendWidth() float64 {
	widest := 0.0
	for _, s := range c.Series {
		widest = math.Max(widest, textWidth(s.Name, textSize))
	}
	if len(c.Series) < 2 {
		widest = 0
	}
	for _, m := range c.Marks {
		if m.Along {
			widest = math.Max(widest, textWidth(m.Name, textSize))
		}
	}
	if widest == 0 {
		return 0
	}
	return widest + 44
}

func (c *Chart) colourOf(i int) colour {
	if k := c.Series[i].Colour; k > 0 {
		return palette[(k-1)%len(palette)]
	}
	return palette[i%len(palette)]
}

// Remove deletes the two files of a plot that has nothing to show any more.
func Remove(dir, name string) error {
	for _, ext := range []string{".svg", ".png"} {
		if err := os.Remove(filepath.Join(dir, name+ext)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove plot: %w", err)
		}
	}
	return nil
}
