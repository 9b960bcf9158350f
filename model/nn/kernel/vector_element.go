package kernel

import "math"

// AddReLU writes y = max(x + y, 0); x and y have equal length.
func AddReLU[T Float](x, y []T) {
	x = x[:len(y)]
	if v := vectors[T](8); v != nil {
		n := v.split8(len(y))
		if n > 0 {
			v.addrelu(n, ptr(x), ptr(y))
		}
		x, y = x[n:], y[n:]
	}
	for i, v := range y {
		y[i] = max(v+x[i], 0)
	}
}

// ReLUGrad clears dy where the ReLU's output y is 0 and copies it to dx (which
// may be dy); all have equal length.
func ReLUGrad[T Float](y, dy, dx []T) {
	y, dx = y[:len(dy)], dx[:len(dy)]
	if v := vectors[T](8); v != nil {
		n := v.split8(len(y))
		if n > 0 {
			v.relugrad(n, ptr(y), ptr(dy), ptr(dx))
		}
		y, dy, dx = y[n:], dy[n:], dx[n:]
	}
	for i, d := range dy {
		var through T
		if y[i] > 0 {
			through = d
		}
		dy[i], dx[i] = through, through
	}
}

// Multiply writes y = x*y element by element; x and y have equal length.
func Multiply[T Float](x, y []T) {
	x = x[:len(y)]
	if v := vectors[T](8); v != nil {
		n := v.split8(len(y))
		if n > 0 {
			v.multiply(n, ptr(x), ptr(y))
		}
		x, y = x[n:], y[n:]
	}
	for i, v := range x {
		y[i] *= v
	}
}

// GELU writes the Gaussian error linear unit x*Phi(x) to y and its derivative
// to slope, all of one length. In float32 the error function is good to 2e-7.
func GELU[T Float](x, y, slope []T) {
	y, slope = y[:len(x)], slope[:len(x)]
	x32, ok := any(x).([]float32)
	if !ok {
		for i, a := range x {
			v := float64(a)
			phi := 0.5 * math.Erfc(-v/math.Sqrt2)
			y[i], slope[i] = T(v*phi), T(phi+v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi))
		}
		return
	}
	y32, s32 := any(y).([]float32), any(slope).([]float32)
	if v := vectors[T](8); v != nil {
		n := v.split8(len(x))
		if n > 0 {
			v.gelu(n, ptr(x), ptr(y), ptr(slope))
		}
		x32, y32, s32 = x32[n:], y32[n:], s32[n:]
	}
	gelu32(x32, y32, s32)
}

// gelu32 uses formula 7.1.26 of Abramowitz and Stegun, a single exponential
// serving both results.
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

// ExpRow writes exp(x - top) to y and returns the sum; x and y have equal
// length.
func ExpRow[T Float](x, y []T, top T) T {
	y = y[:len(x)]
	x32, ok := any(x).([]float32)
	if !ok {
		var sum T
		for i, v := range x {
			y[i] = T(math.Exp(float64(v - top)))
			sum += y[i]
		}
		return sum
	}
	y32, t32 := any(y).([]float32), float32(top)
	var sum float32
	if v := vectors[T](8); v != nil {
		if n := v.split8(len(x)); n > 0 {
			sum = v.exprow(n, ptr(x), ptr(y), t32)
			x32, y32 = x32[n:], y32[n:]
		}
	}
	for i, v := range x32 {
		e := exp32(v - t32)
		y32[i] = e
		sum += e
	}
	return T(sum)
}
