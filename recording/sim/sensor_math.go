package sim

import "math"

// The sensors' results must be the same bits on every processor. The standard
// library may use other instructions per processor, so the sensors use the
// functions here and in rngmath.go; products are rounded before sums.

// arcTangents holds atan(i/16).
var arcTangents = [17]float64{
	0.0, 0.06241880999595735,
	0.12435499454676144, 0.18534794999569476,
	0.24497866312686414, 0.3028848683749714,
	0.35877067027057225, 0.4124104415973873,
	0.4636476090008061, 0.5123894603107377,
	0.5585993153435624, 0.6022873461349642,
	0.6435011087932844, 0.6823165548747481,
	0.7188299996216245, 0.7531512809621944,
	0.7853981633974483,
}

// portableAtan2 returns the angle of the vector (x, y), radians, -pi to pi;
// 0 for no vector; a negative zero counts as zero. Accurate to a few 1e-16.
func portableAtan2(y, x float64) float64 {
	ax, ay := math.Abs(x), math.Abs(y)
	if ax == 0 && ay == 0 {
		return 0
	}
	swap := ay > ax
	if swap {
		ax, ay = ay, ax
	}
	q := ay / ax // 0..1
	i := int(float64(q*16) + 0.5)
	c := float64(float64(i) / 16)
	t := (q - c) / (1 + float64(q*c)) // within 1/32
	t2 := float64(t * t)
	s := -1.0 / 11
	s = 1.0/9 + float64(s*t2)
	s = -1.0/7 + float64(s*t2)
	s = 1.0/5 + float64(s*t2)
	s = -1.0/3 + float64(s*t2)
	a := arcTangents[i] + (t + float64(float64(t*t2)*s))
	if swap {
		a = math.Pi/2 - a
	}
	if x < 0 {
		a = math.Pi - a
	}
	if y < 0 {
		a = -a
	}
	return a
}

// portableAsin returns the arcsine of s, radians; s is kept within -1..1.
func portableAsin(s float64) float64 {
	s = min(max(s, -1), 1)
	return portableAtan2(s, math.Sqrt(float64((1-s)*(1+s))))
}

// decibelsOfPower returns 10 log10(p), minus infinity for 0.
func decibelsOfPower(p float64) float64 {
	return float64(portableLog(p) * (10 / math.Ln10))
}

// fromDecibels returns the amplitude ratio of a level, 10^(db/20).
func fromDecibels(db float64) float64 {
	return portableExp(float64(db * (math.Ln10 / 20)))
}

// length2 returns the length of (x, y).
func length2(x, y float64) float64 {
	return math.Sqrt(float64(x*x) + float64(y*y))
}

// mul is the product of two complex numbers.
func mul(a, b complex128) complex128 {
	return complex(
		float64(real(a)*real(b))-float64(imag(a)*imag(b)),
		float64(real(a)*imag(b))+float64(imag(a)*real(b)))
}

// scaled returns z times the real number s.
func scaled(z complex128, s float64) complex128 {
	return complex(float64(real(z)*s), float64(imag(z)*s))
}
