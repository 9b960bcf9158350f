package exercise

import (
	"math"
	"slices"
)

const (
	courseParts = 20 // of a repetition: half on the way out, half on the way back
	// tenths is how many standard deviations of noise lie between its lowest and
	// its highest tenth.
	tenths = 2.56
	// slowNoise is the noise of poses in standard deviations of what their
	// neighbours show of it: half of it is slow, see peakNoise.
	slowNoise = 2.0
)

// course is a signal over the repetitions of a set: their mean, in which the noise
// of poses averages out, and how much they differ from it.
type course struct {
	n, sum, squares [courseParts]float64
	reps, noise     float64 // variance of the noise, summed up
}

// add takes the signal of one repetition, from its own mean: where a person begins
// is no movement. Noise is its standard deviation.
func (c *course) add(p span, g Signal, noise float64) {
	var values [courseParts]float64
	mean, n := 0.0, 0.0
	for part := range values {
		from, to, share := 0, p.peak, float64(part)/(courseParts/2)
		if part >= courseParts/2 {
			from, to, share = p.peak, len(p.frames)-1, float64(part-courseParts/2)/(courseParts/2-1)
		}
		i := from + int(math.Round(share*float64(to-from)))
		v, ok := g.value(body{&p.frames[i].smooth, p.cal}, p.side)
		if !ok {
			values[part] = math.NaN()
			continue
		}
		values[part] = v
		mean += v
		n++
	}
	for part, v := range values {
		if d := v - mean/n; !math.IsNaN(d) {
			c.n[part]++
			c.sum[part] += d
			c.squares[part] += d * d
		}
	}
	c.reps++
	c.noise += noise * noise
}

// spread is between which values the signal lies in a repetition, without the tenth
// at either end: what it does in all of them, and what in each beyond the noise.
// It is false if fewer than two repetitions show most of it.
func (c *course) spread() (float64, bool) {
	var means []float64
	differ, n := 0.0, 0.0
	for part, k := range c.n {
		if k < 2 {
			continue
		}
		mean := c.sum[part] / k
		means = append(means, mean)
		differ += (c.squares[part] - k*mean*mean) / (k - 1)
		n += k
	}
	parts := len(means)
	if float64(parts) < (1-maxInvalidShare)*courseParts {
		return 0, false
	}
	slices.Sort(means)
	all := means[parts-1-parts/10] - means[parts/10]
	differ /= float64(parts)
	n /= float64(parts)
	noise := min(c.noise/c.reps, differ)
	return math.Sqrt(max(all*all+tenths*tenths*(differ-noise-differ/n), 0)), true
}
