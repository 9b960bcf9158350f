package motionfile

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// heldS: across a gap longer than this the last place is held; a straight line
// would be a movement that nobody made.
const heldS = 1.0

// Filled says what Even made up.
type Filled struct {
	LeftOut  []string // markers that were never seen
	Frames   int      // in which something was made up
	LongestS float64  // the longest gap of a marker, seconds
	Held     int      // frames in gaps over a second, where the last place was held
}

// Even gives the motion at an even rate from the first frame in which anything was
// seen to the last, by straight lines between the frames, for programs that can read
// nothing else. Gaps are filled, and told; markers that were never seen are left out.
func (m *Motion) Even(rateHz float64) (*Motion, Filled, error) {
	var told Filled
	first := slices.IndexFunc(m.Points, anySeen)
	if first < 0 {
		return nil, told, errors.New("nobody was seen in any frame")
	}
	last := len(m.Points) - 1
	for !anySeen(m.Points[last]) {
		last--
	}
	if !(rateHz > 0 && rateHz <= maxRateHz) {
		return nil, told, fmt.Errorf("rate %g Hz: give more than 0, at most %d", rateHz, maxRateHz)
	}
	lengthS := m.TimesS[last] - m.TimesS[first]
	n := math.Floor(lengthS*rateHz+1e-6) + 1
	if n*float64(len(m.Names)) > maxPoints {
		return nil, told, fmt.Errorf("%.0f s at %g Hz are too many frames: export a part, or a lower rate", lengthS, rateHz)
	}
	out := &Motion{RateHz: rateHz, Units: m.Units}
	made := make([]bool, int(n))
	for i := range made {
		out.TimesS = append(out.TimesS, float64(i)/rateHz)
		out.Points = append(out.Points, nil)
	}
	held := make([]bool, len(made))
	for k, name := range m.Names {
		if !slices.ContainsFunc(m.Points, func(f []Point) bool { return f[k].Seen() }) {
			told.LeftOut = append(told.LeftOut, name)
			continue
		}
		out.Names = append(out.Names, name)
		told.LongestS = max(told.LongestS, m.even(k, first, last, out, made, held))
	}
	for i := range made {
		if made[i] {
			told.Frames++
		}
		if held[i] {
			told.Held++
		}
	}
	return out, told, nil
}

func anySeen(frame []Point) bool { return slices.ContainsFunc(frame, Point.Seen) }

// even appends marker k to every frame of out, and returns its longest gap.
func (m *Motion) even(k, first, last int, out *Motion, made, held []bool) (longestS float64) {
	usualS := m.usualS()
	before, after := -1, nextSeen(m, k, first, last)
	for i := range out.Points {
		t := m.TimesS[first] + out.TimesS[i]
		for after >= 0 && m.TimesS[after] <= t+1e-9 {
			before, after = after, nextSeen(m, k, after+1, last)
		}
		var p Point
		switch {
		case before < 0:
			p = m.Points[after][k]
			longestS = max(longestS, m.TimesS[after]-m.TimesS[first])
			made[i], held[i] = true, held[i] || m.TimesS[after]-m.TimesS[first] > heldS
		case after < 0:
			p = m.Points[before][k]
			gapS := m.TimesS[last] - m.TimesS[before]
			longestS = max(longestS, gapS)
			made[i], held[i] = made[i] || before < last, held[i] || gapS > heldS
		default:
			a, b, gapS := m.Points[before][k], m.Points[after][k], m.TimesS[after]-m.TimesS[before]
			w := max(t-m.TimesS[before], 0) / gapS
			gap := gapS > 1.5*usualS && w > 0
			if gap {
				longestS = max(longestS, gapS)
				made[i] = true
				if gapS > heldS {
					w, held[i] = 0, true
				}
			}
			for c := range p {
				p[c] = a[c] + w*(b[c]-a[c])
			}
		}
		out.Points[i] = append(out.Points[i], p)
	}
	return longestS
}

// nextSeen is the first frame from i on in which marker k is seen, -1 if none.
func nextSeen(m *Motion, k, i, last int) int {
	for ; i <= last; i++ {
		if m.Points[i][k].Seen() {
			return i
		}
	}
	return -1
}

// usualS is the usual time between two frames.
func (m *Motion) usualS() float64 {
	var d []float64
	for i := 1; i < len(m.TimesS); i++ {
		d = append(d, m.TimesS[i]-m.TimesS[i-1])
	}
	if len(d) == 0 {
		return 1
	}
	slices.Sort(d)
	return d[len(d)/2]
}
