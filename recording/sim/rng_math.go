package sim

import "math"

// The elementary functions below give the same bits on every architecture and
// with every version of Go, which those of package math do not promise: it has
// assembly for some processors, and compilers fuse x*y+z on others. Every
// product that is added to something is therefore converted explicitly, which
// forbids fusing. Relative errors are a few units in the last place.

// sqrt is exactly rounded everywhere by IEEE 754.
func sqrt(x float64) float64 { return math.Sqrt(x) }

// ln 2 and pi/2 in parts; the first parts have trailing zero bits, so that
// small whole multiples of them are exact.
const (
	ln2Hi = 0x1.62e42feep-1
	ln2Lo = 0x1.a39ef35793c76p-33

	halfPi1 = 0x1.921fb544p0
	halfPi2 = 0x1.0b4611a6p-34
	halfPi3 = 0x1.3198a2e037073p-69
)

// portableExp returns e**x.
func portableExp(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 709.782712893384:
		return math.Inf(1)
	case x < -745.2:
		return 0
	}
	k := math.RoundToEven(x / math.Ln2)
	r := x - float64(k*ln2Hi) - float64(k*ln2Lo)
	sum := 1.0
	for n := 13; n >= 1; n-- {
		sum = 1 + float64(float64(r*sum)*reciprocals[n])
	}
	return math.Ldexp(sum, int(k))
}

// reciprocals[n] is 1/n.
var reciprocals = func() (r [24]float64) {
	for n := 1; n < len(r); n++ {
		r[n] = 1 / float64(n)
	}
	return r
}()

// portableLog returns the natural logarithm of x: minus infinity for 0, NaN
// below.
func portableLog(x float64) float64 {
	switch {
	case x != x || x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	case math.IsInf(x, 1):
		return x
	}
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	s := (m - 1) / (m + 1)
	s2 := float64(s * s)
	sum := 0.0
	for n := 21; n >= 3; n -= 2 {
		sum = float64(s2 * (sum + reciprocals[n]))
	}
	k := float64(e)
	return float64(k*ln2Hi) + (float64(k*ln2Lo) + 2*(s+float64(s*sum)))
}

// Taylor coefficients of sin(r)/r - 1 and cos(r) - 1 in powers of r*r, highest
// first.
var (
	sinCoefficients = [...]float64{
		1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
		1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6,
	}
	cosCoefficients = [...]float64{
		1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800,
		1.0 / 40320, -1.0 / 720, 1.0 / 24, -1.0 / 2,
	}
)

// portableSincos returns the sine and cosine of x, radians. Accurate to a few
// 1e-16 for |x| below a million; larger arguments lose accuracy gradually.
func portableSincos(x float64) (sin, cos float64) {
	if math.IsInf(x, 0) || x != x {
		return math.NaN(), math.NaN()
	}
	if math.Abs(x) > 1<<20 {
		x = math.Mod(x, 2*math.Pi)
	}
	k := math.RoundToEven(x * (2 / math.Pi))
	r := x - float64(k*halfPi1) - float64(k*halfPi2) - float64(k*halfPi3)
	r2 := float64(r * r)
	var s, c float64
	for i := range sinCoefficients {
		s = float64(s*r2) + sinCoefficients[i]
		c = float64(c*r2) + cosCoefficients[i]
	}
	s = r + float64(r*float64(r2*s))
	c = 1 + float64(r2*c)
	switch int(k) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	}
	return -c, s
}
