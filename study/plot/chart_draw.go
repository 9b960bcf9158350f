package plot

import (
	"math"
	"slices"
)

func (c *Chart) draw(cv canvas) {
	height := c.height()
	top := 20.0
	for _, l := range c.titleLines() {
		cv.text(point{20, top + 6}, l, titleSize, atStart, false, ink)
		top += titleStep
	}
	top += 6
	captions := c.captionLines()
	for i, l := range captions {
		cv.text(point{20, height - 10 - captionStep*float64(len(captions)-1-i)}, l, textSize-2, atStart, false, soft)
	}
	bottom := height - 16 - captionStep*float64(len(captions)) - 44 - c.nameDepth()
	right := chartWidth - 24 - c.legendWidth()

	x0, x1, y0, y1 := c.span()
	y := newAxis(y0, y1, bottom, top, 7, c.LogY)
	widest := 0.0
	for _, t := range y.ticks {
		widest = math.Max(widest, textWidth(y.label(t), textSize))
	}
	left := 20 + textSize + 12 + widest + 8
	var x axis
	if len(c.XNames) > 0 {
		x = axis{low: -0.5, high: float64(len(c.XNames)) - 0.5, from: left, to: right}
	} else {
		ticks := 8
		if c.WholeX {
			ticks = max(min(ticks, int(x1-x0)), 1)
		}
		x = newAxis(x0, x1, left, right, ticks, c.LogX)
		if c.WholeX {
			x.digits = 0
			x.ticks = slices.DeleteFunc(x.ticks, func(t float64) bool { return math.Abs(t-math.Round(t)) > 1e-9 })
		}
		if !c.LogX && x1 > x0 {
			// Data end where they end: round ends would waste the width.
			x.low, x.high = x0, x1
			x.ticks = slices.DeleteFunc(x.ticks, func(t float64) bool {
				return t < x0-1e-9*math.Abs(x1-x0) || t > x1+1e-9*math.Abs(x1-x0)
			})
		}
	}
	c.drawAxes(cv, x, y, left, right, top, bottom)
	c.drawMarks(cv, x, y, left, right, top, bottom)
	for i, s := range c.Series {
		c.drawSeries(cv, i, s, x, y)
	}
	c.drawLegend(cv, right+16, top)
}

func (c *Chart) drawAxes(cv canvas, x, y axis, left, right, top, bottom float64) {
	for _, t := range y.ticks {
		at := y.at(t)
		cv.stroke([]point{{left, at}, {right, at}}, 1, grid, nil)
		cv.text(point{left - 8, at + 4.5}, y.label(t), textSize, atEnd, false, ink)
	}
	cv.stroke([]point{{left, bottom}, {right, bottom}}, 1.2, ink, nil)
	if len(c.XNames) > 0 {
		for i, n := range c.XNames {
			at := x.at(float64(i))
			cv.stroke([]point{{at, bottom}, {at, bottom + 4}}, 1.2, ink, nil)
			if c.uprightNames() {
				cv.text(point{at + 4.5, bottom + 9}, n, textSize, atEnd, true, ink)
			} else {
				cv.text(point{at, bottom + 19}, n, textSize, atMiddle, false, ink)
			}
		}
	} else {
		for _, t := range x.ticks {
			at := x.at(t)
			cv.stroke([]point{{at, bottom}, {at, bottom + 4}}, 1.2, ink, nil)
			cv.text(point{at, bottom + 19}, x.label(t), textSize, atMiddle, false, ink)
		}
	}
	cv.text(point{(left + right) / 2, bottom + 40 + c.nameDepth()}, c.XLabel, textSize, atMiddle, false, ink)
	cv.text(point{20 + textSize - 2, (top + bottom) / 2}, c.YLabel, textSize, atMiddle, true, ink)
}

func (c *Chart) drawMarks(cv canvas, x, y axis, left, right, top, bottom float64) {
	level := 0
	for _, m := range c.Marks {
		if m.Along {
			if !y.shows(m.Value) {
				continue
			}
			at := y.at(m.Value)
			cv.stroke([]point{{left, at}, {right, at}}, 1.6, levels[level%len(levels)], levelDash)
			level++
			continue
		}
		if !x.shows(m.Value) {
			continue
		}
		at := x.at(m.Value)
		cv.stroke([]point{{at, top}, {at, bottom}}, 1.3, soft, []float64{2, 4})
		if textWidth(m.Name, textSize-1)+8 < right-at {
			cv.text(point{at + 5, top + textSize}, m.Name, textSize-1, atStart, false, soft)
		} else {
			cv.text(point{at - 5, top + textSize}, m.Name, textSize-1, atEnd, false, soft)
		}
	}
}

func (c *Chart) drawSeries(cv canvas, i int, s Series, x, y axis) {
	col := c.colourOf(i)
	// Points of several series over the same place stand beside each other.
	shift := 0.0
	if s.Points && len(c.XNames) > 0 {
		width := (x.at(1) - x.at(0)) * 0.6
		shift = width * (float64(i) + 0.5 - float64(len(c.Series))/2) / float64(len(c.Series))
	}
	place := func(k int) (point, bool) {
		if !c.drawable(s.X[k], s.Y[k]) {
			return point{}, false
		}
		return point{x.at(s.X[k]) + shift, y.at(s.Y[k])}, true
	}
	var run []int
	flush := func() {
		if len(run) > 0 {
			c.drawRun(cv, s, run, place, y, col)
		}
		run = run[:0]
	}
	for k := range s.X {
		if _, ok := place(k); ok {
			run = append(run, k)
		} else {
			flush()
		}
	}
	flush()
	every := 1
	if !s.Points {
		every = max(len(s.X)/12, 1)
	}
	for k := range s.X {
		p, ok := place(k)
		if !ok || k%every != 0 {
			continue
		}
		if s.Points && s.Low != nil && y.shows(s.Low[k]) && y.shows(s.High[k]) {
			lo, hi := y.at(s.Low[k]), y.at(s.High[k])
			cv.stroke([]point{{p.x, lo}, {p.x, hi}}, 1.8, col, nil)
			cv.stroke([]point{{p.x - 4, lo}, {p.x + 4, lo}}, 1.8, col, nil)
			cv.stroke([]point{{p.x - 4, hi}, {p.x + 4, hi}}, 1.8, col, nil)
		}
		cv.fill(markerOutline(i, p, markerRadius(s)), col, 1)
	}
}

func markerRadius(s Series) float64 {
	if s.Points {
		return 5
	}
	return 3.4
}

// drawRun draws a stretch of a series without gaps: the band of its interval
// and the line.
func (c *Chart) drawRun(cv canvas, s Series, run []int, place func(int) (point, bool), y axis, col colour) {
	if s.Points {
		return
	}
	var line, low, high []point
	for _, k := range run {
		p, _ := place(k)
		line = append(line, p)
		if s.Low != nil && y.shows(s.Low[k]) && y.shows(s.High[k]) {
			low = append(low, point{p.x, y.at(s.Low[k])})
			high = append(high, point{p.x, y.at(s.High[k])})
		}
	}
	if len(low) > 1 {
		slices.Reverse(low)
		cv.fill(append(high, low...), col, 0.16)
	}
	var dash []float64
	if s.Dashed {
		dash = []float64{7, 5}
	}
	if len(line) > 1 {
		cv.stroke(line, 2, col, dash)
	}
}

func (c *Chart) drawLegend(cv canvas, left, top float64) {
	if c.legendWidth() == 0 {
		return
	}
	at := top + legendTop
	for i, s := range c.Series {
		if s.Name == "" || len(c.Series) < 2 {
			continue
		}
		col := c.colourOf(i)
		if !s.Points {
			var dash []float64
			if s.Dashed {
				dash = []float64{7, 5}
			}
			cv.stroke([]point{{left, at}, {left + 24, at}}, 2, col, dash)
		}
		cv.fill(markerOutline(i, point{left + 12, at}, markerRadius(s)), col, 1)
		cv.text(point{left + 32, at + 4.5}, s.Name, textSize, atStart, false, ink)
		at += 21
	}
	level := 0
	for _, m := range c.Marks {
		if m.Along {
			cv.stroke([]point{{left, at}, {left + 24, at}}, 1.6, levels[level%len(levels)], levelDash)
			cv.text(point{left + 32, at + 4.5}, m.Name, textSize, atStart, false, ink)
			level++
			at += 21
		}
	}
}
