package csi

import (
	"math"
	"math/cmplx"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func resampled(t interface {
	Helper()
	Fatal(args ...any)
}, h []complex64, tones []int) []complex64 {
	t.Helper()
	var m resampler
	if !m.prepare(tones) {
		t.Fatal("the tones are refused")
	}
	out := make([]complex64, ModelTones)
	m.apply(out, h)
	return out
}

func TestResampleKeepsTheModelsTones(t *testing.T) {
	h := make([]complex64, ModelTones)
	for i := range h {
		h[i] = complex(float32(i), float32(-3*i))
	}
	if got := resampled(t, h, AtherosTones(114)); !reflect.DeepEqual(got, h) {
		t.Error("not unchanged")
	}
}

// TestResampleOfASmoothChannel: where magnitude and phase are linear over the
// index axis, interpolation is exact, also across the carrier's gap and with
// phases that wrap many times.
func TestResampleOfASmoothChannel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tones := rapid.SampledFrom([][]int{AtherosTones(56), NexmonTones(64), NexmonTones(256), AtherosTones(114), {-40, -20, 3, 4, 40}}).Draw(t, "tones")
		slope := rapid.Float64Range(-0.05, 0.05).Draw(t, "delay")
		start := rapid.Float64Range(-3, 3).Draw(t, "phase")
		at := func(k float64) complex128 { return cmplx.Rect(500+2*k, start+slope*k) }
		h := make([]complex64, len(tones))
		for i, k := range tones {
			h[i] = complex64(at(float64(k)))
		}
		got := resampled(t, h, tones)
		axis := targetAxis(tones)
		if axis[0] != float64(tones[0]) || math.Abs(axis[113]-float64(tones[len(tones)-1])) > 1e-9 {
			t.Fatalf("axis from %v to %v", axis[0], axis[113])
		}
		for i, v := range got {
			if d := cmplx.Abs(complex128(v) - at(axis[i])); d > 0.01 {
				t.Fatalf("value %d at %.2f: %v, want %v", i, axis[i], v, at(axis[i]))
			}
		}
	})
}

func TestResampleRefuses(t *testing.T) {
	for name, tones := range map[string][]int{"one tone": {1}, "unordered": {1, 3, 2}, "twice": {1, 2, 2}, "none": nil} {
		if new(resampler).prepare(tones) {
			t.Errorf("%s: accepted", name)
		}
	}
}
