package sim

import "math/bits"

// Stream is one stream of pseudo-random numbers, named by a key. Everything
// random in the simulator comes from a stream of its own (simulator.md 11), so
// that frames can be made in any order and a change to one sensor leaves the
// others as they are. The numbers are the same on every architecture and with
// every version of Go: the generator (PCG, 128-bit state, DXSM output) and the
// functions behind the distributions are this package's own.
//
// A Stream is a small value; copying it copies its position. The zero Stream
// works and is one fixed stream. It is not safe for concurrent use.
type Stream struct{ hi, lo uint64 }

// NewStream returns the stream of a key: the seed of the run, the kind of
// thing drawn, and what it is drawn for, such as subject, activity and frame.
// It does not allocate.
func NewStream(seed uint64, kind string, keys ...int) Stream {
	k := keyHash{a: 0x243f6a8885a308d3, b: 0x13198a2e03707344} // digits of pi
	k.absorb(seed)
	k.absorb(uint64(len(kind)))
	for i := 0; i < len(kind); i += 8 {
		var w uint64
		for j := i; j < min(i+8, len(kind)); j++ {
			w |= uint64(kind[j]) << (8 * (j - i))
		}
		k.absorb(w)
	}
	k.absorb(uint64(len(keys)))
	for _, key := range keys {
		k.absorb(uint64(int64(key)))
	}
	return Stream{hi: mix64(k.a ^ bits.RotateLeft64(k.b, 29)), lo: mix64(k.b + k.a)}
}

// keyHash folds the parts of a key into 128 bits.
type keyHash struct{ a, b uint64 }

func (k *keyHash) absorb(v uint64) {
	k.a = mix64(k.a ^ v)
	k.b = mix64(k.b + bits.RotateLeft64(v, 32) + k.a*0x9e3779b97f4a7c15)
}

// mix64 is a bijection in which every input bit reaches every output bit.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Constants of the PCG DXSM generator.
const (
	pcgMultiplier  = 0xda942042e4dd58b5
	pcgIncrementHi = 0x5851f42d4c957f2d
	pcgIncrementLo = 0x14057b7ef767814f
)

// Uint64 returns 64 uniform bits.
func (s *Stream) Uint64() uint64 {
	hi, lo := s.hi, s.lo
	carryHi, newLo := bits.Mul64(lo, pcgMultiplier)
	newLo, carry := bits.Add64(newLo, pcgIncrementLo, 0)
	s.hi = hi*pcgMultiplier + carryHi + pcgIncrementHi + carry
	s.lo = newLo

	hi ^= hi >> 32
	hi *= pcgMultiplier
	hi ^= hi >> 48
	return hi * (lo | 1)
}

// Float64 returns a uniform number in [0, 1).
func (s *Stream) Float64() float64 { return float64(float64(s.Uint64()>>11) * 0x1p-53) }

// openFloat64 returns a uniform number in (0, 1], whose logarithm is finite.
func (s *Stream) openFloat64() float64 { return float64(float64(s.Uint64()>>11+1) * 0x1p-53) }

// Uniform returns a uniform number in [lo, hi).
func (s *Stream) Uniform(lo, hi float64) float64 { return lo + float64((hi-lo)*s.Float64()) }

// Intn returns a uniform integer in [0, n). It panics if n is not positive.
func (s *Stream) Intn(n int) int {
	if n <= 0 {
		panic("sim: Intn of a range that is not positive")
	}
	m := uint64(n)
	hi, lo := bits.Mul64(s.Uint64(), m)
	if lo < m {
		for limit := -m % m; lo < limit; { // reject the part that would make small results likelier
			hi, lo = bits.Mul64(s.Uint64(), m)
		}
	}
	return int(hi)
}

// Layers of the ziggurat under the normal density: the right end of each of
// zigguratLayers strips of area zigguratArea, from the widest (index 1, the
// start of the tail) to 0. Index 0 is the width the bottom strip would have
// without its tail.
const (
	zigguratLayers = 256
	zigguratTail   = 3.6541528853610088
	zigguratArea   = 0.00492867323397465524494
)

var zigguratX, zigguratRatio = zigguratTables()

func zigguratTables() (x, ratio [zigguratLayers + 1]float64) {
	density := func(x float64) float64 { return portableExp(-0.5 * float64(x*x)) }
	x[0] = zigguratArea / density(zigguratTail)
	x[1] = zigguratTail
	for i := 2; i < zigguratLayers; i++ {
		x[i] = sqrt(-2 * portableLog(zigguratArea/x[i-1]+density(x[i-1])))
	}
	for i := range zigguratLayers {
		ratio[i] = x[i+1] / x[i]
	}
	return x, ratio
}

// Norm returns a standard normal number.
func (s *Stream) Norm() float64 {
	for {
		b := s.Uint64()
		i := b & (zigguratLayers - 1)
		u := float64(b>>11) * 0x1p-53
		x := u * zigguratX[i]
		if u >= zigguratRatio[i] {
			var ok bool
			if x, ok = s.normEdge(int(i), x); !ok {
				continue
			}
		}
		if b&zigguratLayers != 0 {
			return -x
		}
		return x
	}
}

// normEdge decides a draw at the edge of layer i or in the tail.
func (s *Stream) normEdge(i int, x float64) (float64, bool) {
	if i == 0 {
		for {
			beyond := -portableLog(s.openFloat64()) / zigguratTail
			y := -portableLog(s.openFloat64())
			if 2*y >= float64(beyond*beyond) {
				return zigguratTail + beyond, true
			}
		}
	}
	xx := float64(x * x)
	lower := portableExp(-0.5 * (float64(zigguratX[i]*zigguratX[i]) - xx))
	upper := portableExp(-0.5 * (float64(zigguratX[i+1]*zigguratX[i+1]) - xx))
	return x, lower+float64(s.Float64()*(upper-lower)) < 1
}

// Exp returns an exponential number with mean 1.
func (s *Stream) Exp() float64 { return -portableLog(s.openFloat64()) }

// LogNorm returns a log-normal number: median * exp(sigma * Norm).
func (s *Stream) LogNorm(median, sigma float64) float64 {
	return float64(median * portableExp(sigma*s.Norm()))
}

// poissonPart bounds the mean of one pass of the counting loop, so that its
// threshold stays far from underflow.
const poissonPart = 16

// Poisson returns a Poisson number; its cost grows with the mean. A mean that
// is not positive gives 0.
func (s *Stream) Poisson(mean float64) int {
	n := 0
	for mean > 0 {
		part := min(mean, poissonPart)
		mean -= part
		limit := portableExp(-part)
		for p := s.openFloat64(); p > limit; p *= s.openFloat64() {
			n++
		}
	}
	return n
}

// Beta returns a number with the Beta(a, b) distribution, a and b positive.
func (s *Stream) Beta(a, b float64) float64 {
	for {
		x, y := s.gamma(a), s.gamma(b)
		if sum := x + y; sum > 0 {
			return x / sum
		}
	}
}

// gamma returns a Gamma(shape, 1) number by Marsaglia and Tsang's method; for
// a shape below 1 through the shape one higher.
func (s *Stream) gamma(shape float64) float64 {
	if shape < 1 {
		g := s.gamma(shape + 1)
		return g * portableExp(portableLog(s.openFloat64())/shape)
	}
	d := shape - 1.0/3
	c := 1 / sqrt(9*d)
	for {
		x := s.Norm()
		v := 1 + float64(c*x)
		if v <= 0 {
			continue
		}
		v = float64(v*v) * v
		half := float64(0.5 * x * x)
		if portableLog(s.openFloat64()) < half+d-float64(d*v)+float64(d*portableLog(v)) {
			return d * v
		}
	}
}
