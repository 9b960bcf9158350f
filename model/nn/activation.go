package nn

import (
	"math"
	"strconv"
)

// GELU is the exact Gaussian error linear unit x·Φ(x).
func GELU[T Float](x T) T {
	v := float64(x)
	return T(v * 0.5 * math.Erfc(-v/math.Sqrt2))
}

// geluSlope is the derivative of GELU.
func geluSlope[T Float](x T) T {
	v := float64(x)
	return T(0.5*math.Erfc(-v/math.Sqrt2) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi))
}

// geluRows writes GELU of x to y and its slope to slope. For float32 it uses an
// error function good to 2e-7, a single exponential serving both.
func geluRows[T Float](x, y, slope []T) {
	if x32, ok := any(x).([]float32); ok {
		gelu32(x32, any(y).([]float32), any(slope).([]float32))
		return
	}
	for i, v := range x {
		y[i], slope[i] = GELU(v), geluSlope(v)
	}
}

// gelu32 uses formula 7.1.26 of Abramowitz and Stegun.
func gelu32(x, y, slope []float32) {
	y, slope = y[:len(x)], slope[:len(x)]
	for i, v := range x {
		a := max(v, -v)
		e := exp32(-0.5 * v * v)
		t := 1 / (1 + 0.3275911*0.70710678*a)
		// half the complementary error function of |v|/sqrt 2
		h := 0.5 * t * (0.254829592 + t*(-0.284496736+t*(1.421413741+t*(-1.453152027+t*1.061405429)))) * e
		phi := h
		if v > 0 {
			phi = 1 - h
		}
		y[i] = v * phi
		slope[i] = phi + 0.39894228*v*e
	}
}

// exp32 is the exponential to about 1e-7 relative, without branches; arguments
// are clamped to ±87.
func exp32(x float32) float32 {
	x = min(max(x, -87), 87)
	const shift = 12582912 // 1.5 * 2^23: adding it rounds to an integer
	t := x*1.44269504 + shift
	n := t - shift
	r := x - n*0.693359375
	r += n * 2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return p * math.Float32frombits((math.Float32bits(t)-0x4B400000+127)<<23)
}

// expRow writes exp(x - top) to y and returns the sum.
func expRow[T Float](x, y []T, top T) T {
	var sum T
	if x32, ok := any(x).([]float32); ok {
		y32 := any(y).([]float32)
		y32 = y32[:len(x32)]
		var s float32
		for i, v := range x32 {
			e := exp32(v - float32(top))
			y32[i] = e
			s += e
		}
		return T(s)
	}
	for i, v := range x {
		y[i] = T(math.Exp(float64(v - top)))
		sum += y[i]
	}
	return sum
}

// step is the slope of a ReLU whose output is y: 0 for 0, 1 above (from 1e-38
// up). It has no branch, which for random signs is several times faster.
func step[T Float](y T) T { return min(y*1e38, 1) }

func itoa(i int) string { return strconv.Itoa(i) }
