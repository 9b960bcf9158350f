package sim

import (
	"fmt"
	"math"
	"testing"

	"posefuse/internal/testenv"
)

// TestStreamGolden pins the numbers: a change here changes every simulated
// data set.
func TestStreamGolden(t *testing.T) {
	s := NewStream(1, "golden", 2, -3)
	got := fmt.Sprintf("%#x %#x %x %x %x %x %d %d %x",
		s.Uint64(), s.Uint64(), s.Float64(), s.Norm(), s.Exp(), s.LogNorm(2, 0.5), s.Intn(1000), s.Poisson(40), s.Beta(0.4, 2.6))
	const want = "0x73e2abd22f13d530 0xa0be0ff7fbae8e11 0x1.53cc322acfcccp-01 0x1.0b55a0b741ed2p+00 " +
		"0x1.f4b8585291346p+00 0x1.8b4f1887e3a52p+00 59 39 0x1.0d643dbf235b8p-07"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStreamKeys(t *testing.T) {
	first := func(seed uint64, kind string, keys ...int) uint64 {
		s := NewStream(seed, kind, keys...)
		return s.Uint64()
	}
	seen := map[uint64]string{}
	add := func(name string, v uint64) {
		if other, ok := seen[v]; ok {
			t.Errorf("%s and %s start alike", name, other)
		}
		seen[v] = name
	}
	for seed := range uint64(20) {
		for _, kind := range []string{"", "a", "b", "aa", "a\x00", "lidar", "lidar points", "lidar point"} {
			add(fmt.Sprint(seed, kind), first(seed, kind))
			for k := -2; k < 10; k++ {
				add(fmt.Sprint(seed, kind, k), first(seed, kind, k))
				add(fmt.Sprint(seed, kind, k, "0"), first(seed, kind, k, 0))
				add(fmt.Sprint(seed, kind, "0", k, "0"), first(seed, kind, 0, k, 0))
			}
		}
	}
	if n := testenv.AllocsPerRun(100, func() { first(1, "frame", 1, 2, 3, 4) }); n != 0 {
		t.Errorf("NewStream allocates %v times", n)
	}
}

// TestStreamDistributions compares means and variances with those of the
// distributions, with bounds of about five standard errors.
func TestStreamDistributions(t *testing.T) {
	const n = 200_000
	tests := []struct {
		name       string
		draw       func(*Stream) float64
		mean, vari float64
	}{
		{"Float64", (*Stream).Float64, 0.5, 1.0 / 12},
		{"Norm", (*Stream).Norm, 0, 1},
		{"Norm squared", func(s *Stream) float64 { x := s.Norm(); return x * x }, 1, 2},
		{"Norm fourth", func(s *Stream) float64 { x := s.Norm(); return x * x * x * x }, 3, 96},
		{"Exp", (*Stream).Exp, 1, 1},
		{"Uniform", func(s *Stream) float64 { return s.Uniform(-1, 3) }, 1, 16.0 / 12},
		{"Intn", func(s *Stream) float64 { return float64(s.Intn(10)) }, 4.5, 99.0 / 12},
		{"LogNorm", func(s *Stream) float64 { return s.LogNorm(2, 0.3) },
			2 * math.Exp(0.045), 4 * (math.Exp(0.09) - 1) * math.Exp(0.09)},
		{"Poisson small", func(s *Stream) float64 { return float64(s.Poisson(0.7)) }, 0.7, 0.7},
		{"Poisson large", func(s *Stream) float64 { return float64(s.Poisson(45)) }, 45, 45},
		{"Beta below 1", func(s *Stream) float64 { return s.Beta(0.4, 2.6) }, 0.4 / 3, 0.4 * 2.6 / (9 * 4)},
		{"Beta above 1", func(s *Stream) float64 { return s.Beta(3, 2) }, 0.6, 6.0 / (25 * 6)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewStream(7, tt.name)
			var sum, sum2 float64
			for range n {
				x := tt.draw(&s)
				sum += x
				sum2 += (x - tt.mean) * (x - tt.mean)
			}
			if d, limit := math.Abs(sum/n-tt.mean), 5*math.Sqrt(tt.vari/n); d > limit {
				t.Errorf("mean is off by %.2g, limit %.2g", d, limit)
			}
			if v := sum2 / n; math.Abs(v/tt.vari-1) > 0.06 {
				t.Errorf("variance %.4g, want %.4g", v, tt.vari)
			}
		})
	}
	s := NewStream(7, "tail")
	beyond := 0
	for range 4_000_000 {
		if math.Abs(s.Norm()) > zigguratTail {
			beyond++
		}
	}
	if want := 4e6 * math.Erfc(zigguratTail/math.Sqrt2); math.Abs(float64(beyond)-want) > 5*math.Sqrt(want) {
		t.Errorf("%d normal numbers in the tail, want about %.0f", beyond, want)
	}
	if last := zigguratX[zigguratLayers-1]; math.Abs(last*(1-math.Exp(-last*last/2))-zigguratArea) > 1e-9 {
		t.Errorf("the top layer has area %v, want %v", last*(1-math.Exp(-last*last/2)), zigguratArea)
	}
}

func TestPortableFunctions(t *testing.T) {
	s := NewStream(3, "portable")
	worst := map[string]float64{}
	note := func(name string, got, want, scale float64) {
		worst[name] = max(worst[name], math.Abs(got-want)/scale)
	}
	for range 200_000 {
		x := s.Uniform(-700, 700)
		note("exp", portableExp(x), math.Exp(x), math.Exp(x))
		y := portableExp(x)
		note("log", portableLog(y), math.Log(y), max(1e-3, math.Abs(math.Log(y))))
		z := 1 + s.Uniform(-0.3, 0.3)
		note("log near 1", portableLog(z), math.Log(z), math.Abs(math.Log(z)))
		a := s.Uniform(-4000, 4000)
		sn, cs := portableSincos(a)
		note("sin", sn, math.Sin(a), 1)
		note("cos", cs, math.Cos(a), 1)
	}
	for name, w := range worst {
		if w > 1e-15 {
			t.Errorf("%s is off by %.2g", name, w)
		}
	}
	if v := portableExp(-750); v != 0 {
		t.Errorf("exp(-750) = %v", v)
	}
	if v := portableLog(0); !math.IsInf(v, -1) {
		t.Errorf("log(0) = %v", v)
	}
	if v := portableLog(5e-324); math.Abs(v+744.4400719213812) > 1e-10 {
		t.Errorf("log of the smallest number = %v", v)
	}
}

func BenchmarkStreamNorm(b *testing.B) {
	s := NewStream(1, "bench")
	for b.Loop() {
		s.Norm()
	}
}

func BenchmarkPortableSincos(b *testing.B) {
	x := 0.0
	for b.Loop() {
		portableSincos(x)
		x += 0.1
	}
}
