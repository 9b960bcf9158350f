package plot

import (
	"fmt"
	"math"
	"strconv"
)

// Bars is a chart of horizontal bars from zero, one row a name: for more names than
// stand below an axis. The title says what is shown, the caption on what data; the
// axis label carries the unit.
type Bars struct {
	Title, Caption, XLabel string
	Names                  []string // of the rows, from above
	Series                 []BarSeries
}

// BarSeries is one bar in every row. The first row's value is drawn through all rows
// as a level to compare with.
type BarSeries struct {
	Name   string
	Values []float64 // one a name; not finite for no bar
}

const (
	barHeight = 11.0
	barGap    = 7.0 // between rows
	barText   = textSize - 2
)

// SVG returns the chart as Scalable Vector Graphics.
func (b *Bars) SVG() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	s := newSVG(chartWidth, b.height(), b.Title)
	b.draw(s)
	return s.bytes(), nil
}

// PNG returns the chart as an image of twice the resolution.
func (b *Bars) PNG() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	r := newRaster(chartWidth, b.height())
	b.draw(r)
	return r.bytes()
}

func (b *Bars) check() error {
	drawable := 0
	for _, s := range b.Series {
		if len(s.Values) != len(b.Names) {
			return fmt.Errorf("series %q: %d values for %d names", s.Name, len(s.Values), len(b.Names))
		}
		for _, v := range s.Values {
			if finite(v) && v >= 0 {
				drawable++
			}
		}
	}
	if drawable == 0 {
		return fmt.Errorf("%w: no value of zero or more in %d series", ErrEmpty, len(b.Series))
	}
	return nil
}

func (b *Bars) rowHeight() float64 { return barHeight*float64(len(b.Series)) + barGap }

// top is where the first row begins.
func (b *Bars) top() float64 {
	top := 26 + titleStep*float64(len(lines(b.Title, titleSize, chartWidth-40)))
	if len(b.Series) > 1 {
		top += 22 // the legend
	}
	return top
}

func (b *Bars) height() float64 {
	return b.top() + b.rowHeight()*float64(len(b.Names)) + 66 + captionStep*float64(len(lines(b.Caption, barText, chartWidth-40)))
}

func (b *Bars) draw(cv canvas) {
	at := 26.0
	for _, l := range lines(b.Title, titleSize, chartWidth-40) {
		cv.text(point{20, at}, l, titleSize, atStart, false, ink)
		at += titleStep
	}
	captions := lines(b.Caption, barText, chartWidth-40)
	for i, l := range captions {
		cv.text(point{20, b.height() - 10 - captionStep*float64(len(captions)-1-i)}, l, barText, atStart, false, soft)
	}
	largest, left := 0.0, 0.0
	for _, s := range b.Series {
		for _, v := range s.Values {
			if finite(v) {
				largest = math.Max(largest, v)
			}
		}
	}
	for _, n := range b.Names {
		left = math.Max(left, textWidth(n, barText))
	}
	left += 28
	top, bottom := b.top(), b.top()+b.rowHeight()*float64(len(b.Names))
	x := newAxis(0, largest, left, chartWidth-60, 7, false)
	for _, t := range x.ticks {
		cv.stroke([]point{{x.at(t), top}, {x.at(t), bottom}}, 1, grid, nil)
		cv.text(point{x.at(t), bottom + 18}, x.label(t), barText, atMiddle, false, ink)
	}
	cv.text(point{(left + chartWidth - 60) / 2, bottom + 38}, b.XLabel, textSize, atMiddle, false, ink)
	for i, n := range b.Names {
		row := top + b.rowHeight()*float64(i) + barGap/2
		cv.text(point{left - 8, row + (b.rowHeight()-barGap)/2 + 4}, n, barText, atEnd, false, ink)
		for k, s := range b.Series {
			if v := s.Values[i]; finite(v) && v >= 0 {
				b.drawBar(cv, k, x, row+barHeight*float64(k), v)
			}
		}
	}
	legend := left
	for k, s := range b.Series {
		col := palette[k%len(palette)]
		if v := s.Values[0]; finite(v) && v >= 0 {
			cv.stroke([]point{{x.at(v), top}, {x.at(v), bottom}}, 1.2, col, levelDash)
		}
		if len(b.Series) > 1 {
			cv.fill(bar(legend, top-18, legend+12, top-8), col, 1)
			cv.text(point{legend + 18, top - 8}, s.Name, textSize, atStart, false, ink)
			legend += textWidth(s.Name, textSize) + 44
		}
	}
}

// drawBar draws the bar of series k below y, its value behind it.
func (b *Bars) drawBar(cv canvas, k int, x axis, y, v float64) {
	cv.fill(bar(x.at(0), y+0.5, x.at(v), y+barHeight-0.5), palette[k%len(palette)], 1)
	cv.text(point{x.at(v) + 5, y + barHeight - 2}, strconv.FormatFloat(v, 'f', 0, 64), textSize-3, atStart, false, soft)
}

func bar(x0, y0, x1, y1 float64) []point {
	return []point{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}
}
