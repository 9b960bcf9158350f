package calibration

import (
	"math"
	"slices"
)

// Motion is how one sensor saw a person move.
type Motion struct {
	Sensor string
	AtNS   []int64 // capture times on the room clock, ascending
	// At is where the person was, seen from above, metres, up to a turn and a
	// scale of the sensor's own; or, if OnlyHowMuch, how much moved, in any unit.
	At          []complex128
	OnlyHowMuch bool
}

// Delay is by how much the capture times of one sensor lie behind those of
// another for the same movement, and how well that is known: from the peak of
// the normalised cross-correlation of the person's velocity in both.
type Delay struct {
	First, Then string
	MS          float64 // Then's times minus First's
	StdMS       float64 // standard error, by leaving out each part of the time in turn
	Peak        float64 // correlation there, 0 to 1
	Second      float64 // the highest other peak
	WidthMS     float64 // of the peak, at half its height
	Sharp       bool    // the delay can be used
	Why         string  // it is not sharp
}

// What a sharp peak is, and how it is looked for.
const (
	stepNS      = 20_000_000   // of the common grid
	smoothNS    = 150e6        // standard deviation of the Gaussian whose slope makes velocities of places
	holeNS      = int64(350e6) // between two samples across which nothing is known
	longestMS   = 1000         // delay that is looked for, either way
	searchMS    = 1500         // how far other peaks are looked for
	partSteps   = 4 * 50       // of the grid, which are left out together: 4 s
	minParts    = 3
	minPeak     = 0.5  // correlation
	maxSecond   = 0.85 // of the peak
	maxStdMS    = 20
	minSpeedMPS = 0.12 // root mean square, of who walks to and fro
	maxSpeedMPS = 3    // faster is an error of a sensor
)

// Reasons for a delay that is not known.
const (
	whyStill    = "nobody moved enough: let one person walk to and fro and from side to side"
	whyShort    = "the sensors saw the person together too briefly: walk longer, in sight of both, and no faster than 1.5 m/s, or the LiDAR loses you"
	whyAlike    = "the two saw different movements: one person alone, in sight of both"
	whyPeriodic = "a second delay fits nearly as well: walk less evenly, with stops"
	whyWide     = "the peak is not sharp enough: walk faster, with sudden stops"
	whyFar      = "no peak within a second: check the sensors' clocks first"
)

// grid is a motion on the common grid.
type gridded struct {
	v    []complex128 // velocity, or how much moved
	ok   []bool
	rms  float64
	much bool
}

// Delays compares each pair of sensors, the first with all later ones and so on.
func Delays(motions []Motion) []Delay {
	var all []Delay
	for i := range motions {
		for j := i + 1; j < len(motions); j++ {
			all = append(all, delayOf(&motions[i], &motions[j]))
		}
	}
	return all
}

func delayOf(a, b *Motion) Delay {
	d := Delay{First: a.Sensor, Then: b.Sensor}
	if len(a.AtNS) < 2 || len(b.AtNS) < 2 {
		d.Why = whyShort
		return d
	}
	begin := min(a.AtNS[0], b.AtNS[0])
	n := int((max(a.AtNS[len(a.AtNS)-1], b.AtNS[len(b.AtNS)-1])-begin)/stepNS) + 1
	x, y := a.onGrid(begin, n), b.onGrid(begin, n)
	if a.OnlyHowMuch != b.OnlyHowMuch {
		// Of who moves the speed is compared with how much moves.
		x.toSpeed()
		y.toSpeed()
	}
	d.judge(&x, &y)
	return d
}

// onGrid makes velocities on the grid, known where all samples around are.
func (m *Motion) onGrid(beginNS int64, n int) gridded {
	at, ok := make([]complex128, n), make([]bool, n)
	k := 0
	for i := range at {
		t := beginNS + int64(i)*stepNS
		for k+1 < len(m.AtNS) && m.AtNS[k+1] <= t {
			k++
		}
		if k+1 >= len(m.AtNS) || m.AtNS[k] > t || m.AtNS[k+1]-m.AtNS[k] > holeNS {
			continue
		}
		f := complex(float64(t-m.AtNS[k])/float64(m.AtNS[k+1]-m.AtNS[k]), 0)
		at[i], ok[i] = m.At[k]+f*(m.At[k+1]-m.At[k]), true
	}
	g := gridded{v: make([]complex128, n), ok: make([]bool, n), much: m.OnlyHowMuch}
	weights := kernel(!m.OnlyHowMuch)
	half := len(weights) / 2
	known, sum := 0, 0.0
	hole := -1 // the newest unknown place up to i+half
	for i := range min(half, n) {
		if !ok[i] {
			hole = i
		}
	}
	for i := range n {
		if i+half >= n || !ok[i+half] {
			hole = i + half
		}
		if i < half || hole >= i-half {
			continue
		}
		var v complex128
		for j, w := range weights {
			v += complex(w, 0) * at[i+j-half]
		}
		if s := math.Hypot(real(v), imag(v)); !m.OnlyHowMuch && s > maxSpeedMPS {
			v *= complex(maxSpeedMPS/s, 0)
		}
		g.v[i], g.ok[i] = v, true
		known++
		sum += real(v)*real(v) + imag(v)*imag(v)
	}
	if known > 0 {
		g.rms = math.Sqrt(sum / float64(known))
	}
	return g
}

// kernel is a Gaussian over the grid, or its slope, per second.
func kernel(slope bool) []float64 {
	const sigma = smoothNS / float64(stepNS)
	half := int(math.Round(3 * sigma))
	w := make([]float64, 2*half+1)
	sum := 0.0
	for i := range w {
		d := float64(i - half)
		w[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += w[i]
	}
	for i := range w {
		w[i] /= sum
		if slope {
			w[i] *= float64(i-half) / (sigma * sigma) * 1e9 / float64(stepNS)
		}
	}
	return w
}

func (g *gridded) toSpeed() {
	if g.much {
		return
	}
	for i, v := range g.v {
		g.v[i] = complex(math.Hypot(real(v), imag(v)), 0)
	}
}

// sums are those of which a correlation is made; they add up over parts.
type sums struct {
	n    float64
	a, b complex128
	ab   complex128 // of conj(a) b
	aa   float64
	bb   float64
}

func (s *sums) add(a, b complex128) {
	s.n++
	s.a += a
	s.b += b
	s.ab += complex(real(a), -imag(a)) * b
	s.aa += real(a)*real(a) + imag(a)*imag(a)
	s.bb += real(b)*real(b) + imag(b)*imag(b)
}

func (s *sums) plus(o *sums, sign float64) sums {
	c := complex(sign, 0)
	return sums{s.n + sign*o.n, s.a + c*o.a, s.b + c*o.b, s.ab + c*o.ab, s.aa + sign*o.aa, s.bb + sign*o.bb}
}

// correlation is 0 to 1: of velocities their size alone, since the two sensors
// are turned against each other; of speeds what goes the same way.
func (s *sums) correlation(speeds bool) float64 {
	if s.n < 2 {
		return 0
	}
	ab := s.ab - complex(real(s.a), -imag(s.a))*s.b/complex(s.n, 0)
	aa := s.aa - (real(s.a)*real(s.a)+imag(s.a)*imag(s.a))/s.n
	bb := s.bb - (real(s.b)*real(s.b)+imag(s.b)*imag(s.b))/s.n
	size := math.Sqrt(aa * bb)
	if !(size > 0) {
		return 0
	}
	if speeds {
		return max(0, real(ab)/size)
	}
	return math.Hypot(real(ab), imag(ab)) / size
}

// judge finds the peak and what it is worth.
func (d *Delay) judge(x, y *gridded) {
	for _, g := range [...]*gridded{x, y} {
		if !g.much && g.rms < minSpeedMPS {
			d.Why = whyStill
			return
		}
	}
	const most = searchMS * 1_000_000 / int(stepNS)
	parts := make([][2*most + 1]sums, (len(x.v)+partSteps-1)/partSteps)
	for i := range x.v {
		if !x.ok[i] {
			continue
		}
		for lag := max(-most, -i); lag <= most && i+lag < len(y.v); lag++ {
			if y.ok[i+lag] {
				parts[i/partSteps][lag+most].add(x.v[i], y.v[i+lag])
			}
		}
	}
	var total [2*most + 1]sums
	used := 0
	for p := range parts {
		if parts[p][most].n >= partSteps/2 {
			used++
		}
		for k := range total {
			total[k] = total[k].plus(&parts[p][k], 1)
		}
	}
	if used < minParts {
		d.Why = whyShort
		return
	}
	speeds := x.much || y.much
	curve := func(without int) []float64 {
		c := make([]float64, len(total))
		for k := range c {
			s := total[k]
			if without >= 0 {
				s = s.plus(&parts[without][k], -1)
			}
			c[k] = s.correlation(speeds)
		}
		return c
	}
	c := curve(-1)
	peak := slices.Index(c, slices.Max(c))
	at, ok := top(c, peak)
	perStep := float64(stepNS) / 1e6
	d.MS = (at - float64(most)) * perStep
	d.Peak = c[peak]
	d.Second, d.WidthMS = around(c, peak)
	d.WidthMS *= perStep
	var left []float64
	for p := range parts {
		if parts[p][most].n < partSteps/2 {
			continue
		}
		// The same peak, wherever a higher one may be without this part.
		one := curve(p)
		near := nearestTop(one, peak)
		v, inside := top(one, near)
		ok = ok && inside
		left = append(left, (v-float64(most))*perStep)
	}
	d.StdMS = jackknife(left)
	switch {
	case d.Peak < minPeak:
		d.Why = whyAlike
	case !ok || math.Abs(d.MS) > longestMS:
		d.Why = whyFar
	case d.Second > maxSecond*d.Peak:
		d.Why = whyPeriodic
	case d.StdMS > maxStdMS:
		d.Why = whyWide
	default:
		d.Sharp = true
	}
}

// top returns where between the samples a peak is, from the parabola through
// three; false at an end.
func top(c []float64, k int) (float64, bool) {
	if k <= 0 || k >= len(c)-1 {
		return float64(k), false
	}
	bend := c[k-1] - 2*c[k] + c[k+1]
	if !(bend < 0) {
		return float64(k), false
	}
	return float64(k) + min(max((c[k-1]-c[k+1])/(2*bend), -0.5), 0.5), true
}

// nearestTop climbs from a place to the peak it lies on.
func nearestTop(c []float64, k int) int {
	for {
		switch {
		case k > 0 && c[k-1] > c[k]:
			k--
		case k+1 < len(c) && c[k+1] > c[k]:
			k++
		default:
			return k
		}
	}
}

// around returns the highest value beyond the valleys beside a peak, and its
// width at half its height, steps.
func around(c []float64, peak int) (second, width float64) {
	lo, hi := peak, peak
	for lo > 0 && c[lo-1] < c[lo] {
		lo--
	}
	for hi+1 < len(c) && c[hi+1] < c[hi] {
		hi++
	}
	for k, v := range c {
		if k < lo || k > hi {
			second = max(second, v)
		}
	}
	low, high := peak, peak
	for low > 0 && c[low] > c[peak]/2 {
		low--
	}
	for high+1 < len(c) && c[high] > c[peak]/2 {
		high++
	}
	return second, float64(high - low)
}

// jackknife is the standard error of what was found without one part each.
func jackknife(left []float64) float64 {
	n := float64(len(left))
	mean, sum := 0.0, 0.0
	for _, v := range left {
		mean += v / n
	}
	for _, v := range left {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt((n - 1) / n * sum)
}
