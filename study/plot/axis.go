package plot

import (
	"math"
	"strconv"
)

// axis maps values to pixels.
type axis struct {
	low, high   float64 // values at the ends
	from, to    float64 // pixels at the ends
	logarithmic bool
	ticks       []float64
	digits      int // after the decimal point of tick labels
}

// newAxis returns an axis that holds low..high and begins and ends at round
// numbers. At most about n ticks are shown.
func newAxis(low, high, from, to float64, n int, logarithmic bool) axis {
	// Nothing that is measured is smaller, or spans more powers of ten.
	a := axis{from: from, to: to, logarithmic: logarithmic && low > 1e-100 && high/low < 1e30}
	if a.logarithmic {
		a.logTicks(low, high)
		return a
	}
	// What differs by less than a label can tell counts as one value.
	if !(high-low > 1e-6*math.Max(math.Abs(low), math.Abs(high))) {
		pad := math.Max(math.Abs(low)*0.05, 0.5)
		low, high = low-pad, high+pad
	}
	step := roundStep((high - low) / float64(max(n, 2)))
	first, last := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	a.low, a.high = first*step, last*step
	for k := first; k <= last; k++ {
		a.ticks = append(a.ticks, k*step)
	}
	a.digits = max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	if step2 := step * math.Pow(10, float64(a.digits)); math.Abs(step2-math.Round(step2)) > 1e-6 {
		a.digits++ // steps of 2.5
	}
	return a
}

func roundStep(raw float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*base >= raw*(1-1e-9) {
			return m * base
		}
	}
	return 10 * base
}

func (a *axis) logTicks(low, high float64) {
	if high <= low {
		high = low * 10
	}
	var all []float64
	decades := math.Log10(high / low)
	many := decades > 2.5
	step := math.Max(1, math.Ceil(decades/10))
	for e := math.Floor(math.Log10(low)); e < math.Ceil(math.Log10(high))+step; e += step {
		for _, m := range []float64{1, 2, 5} {
			if m == 1 || !many {
				all = append(all, m*math.Pow(10, e))
			}
		}
	}
	first, last := 0, len(all)-1
	for first+1 < len(all) && all[first+1] <= low*(1+1e-9) {
		first++
	}
	for last-1 > first && all[last-1] >= high*(1-1e-9) {
		last--
	}
	a.ticks = all[first : last+1]
	a.low, a.high = a.ticks[0], a.ticks[len(a.ticks)-1]
}

// at returns the pixel of a value.
func (a axis) at(v float64) float64 {
	share := (v - a.low) / (a.high - a.low)
	if a.logarithmic {
		share = math.Log(v/a.low) / math.Log(a.high/a.low)
	}
	return a.from + share*(a.to-a.from)
}

// shows reports whether the axis can show v at all.
func (a axis) shows(v float64) bool {
	return finite(v) && (!a.logarithmic || v > 0)
}

func (a axis) label(v float64) string {
	if a.logarithmic {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	if v == 0 {
		v = 0 // no minus sign
	}
	if math.Abs(v) >= 1e6 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v, 'f', a.digits, 64)
}
