package sim

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestPortableAtan2(t *testing.T) {
	for _, tt := range [][3]float64{
		{0, 0, 0}, {0, 1, 0}, {0, -1, math.Pi}, {1, 0, math.Pi / 2}, {-1, 0, -math.Pi / 2}, {1, 1, math.Pi / 4}, {-1, -1, -3 * math.Pi / 4},
	} {
		if got := portableAtan2(tt[0], tt[1]); got != tt[2] {
			t.Errorf("atan2(%g, %g) = %v, want %v", tt[0], tt[1], got, tt[2])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		y, x := rapid.Float64Range(-600, 600).Draw(t, "y"), rapid.Float64Range(-600, 600).Draw(t, "x")
		if got, want := portableAtan2(y, x), math.Atan2(y, x); math.Abs(got-want) > 1e-15 && y != 0 {
			t.Fatalf("atan2(%v, %v) = %v, want %v", y, x, got, want)
		}
		s := x / 600
		if got, want := portableAsin(s), math.Asin(s); math.Abs(got-want) > 4e-16/math.Sqrt(max(1-s*s, 1e-9)) {
			t.Fatalf("asin(%v) = %v, want %v", s, got, want)
		}
	})
}

func TestDecibels(t *testing.T) {
	for _, p := range []float64{1, 2, 1000, 58081, 0.25} {
		if got, want := decibelsOfPower(p), 10*math.Log10(p); math.Abs(got-want) > 1e-13 {
			t.Errorf("%g: %v dB, want %v", p, got, want)
		}
		if got := fromDecibels(decibelsOfPower(p)); math.Abs(got-math.Sqrt(p)) > 1e-12*math.Sqrt(p) {
			t.Errorf("%g: amplitude %v, want %v", p, got, math.Sqrt(p))
		}
	}
	if !math.IsInf(decibelsOfPower(0), -1) {
		t.Error("no power is not minus infinity")
	}
}
