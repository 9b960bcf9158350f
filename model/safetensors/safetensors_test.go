package safetensors

import (
	"math"
	"testing"
)

// Every half-precision number against its definition.
func TestHalfPrecision(t *testing.T) {
	for i := range 1 << 16 {
		e, f := i>>10&31, float64(i&1023)
		want := math.Ldexp(1+f/1024, e-15)
		switch {
		case e == 0:
			want = math.Ldexp(f/1024, -14)
		case e == 31 && f == 0:
			want = math.Inf(1)
		case e == 31:
			want = math.NaN()
		}
		if i>>15 == 1 {
			want = math.Copysign(want, -1)
		}
		got := float64(fromHalf(uint16(i)))
		if math.IsNaN(want) != math.IsNaN(got) || (!math.IsNaN(want) && (got != want || math.Signbit(got) != math.Signbit(want))) {
			t.Fatalf("half %#04x is %v, want %v", i, got, want)
		}
	}
}
