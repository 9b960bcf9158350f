package csi

import (
	"math"
	"math/cmplx"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"posefuse/sensors"
)

func TestResampleKeepsTheModelsTones(t *testing.T) {
	h := make([]complex64, ModelTones)
	for i := range h {
		h[i] = complex(float32(i), float32(-3*i))
	}
	got, err := Resample(h, AtherosTones(114), ModelTones)
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("not unchanged: %v", err)
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
		got, err := Resample(h, tones, ModelTones)
		if err != nil {
			t.Fatal(err)
		}
		axis := targetAxis(tones, ModelTones)
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
	for name, f := range map[string]func() error{
		"lengths":   func() error { _, err := Resample(make([]complex64, 3), []int{1, 2}, 114); return err },
		"one tone":  func() error { _, err := Resample(make([]complex64, 1), []int{1}, 114); return err },
		"unordered": func() error { _, err := Resample(make([]complex64, 3), []int{1, 3, 2}, 114); return err },
	} {
		if f() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestModelPacket(t *testing.T) {
	shape := func(a, n int) *sensors.CSIPacket {
		return &sensors.CSIPacket{Antennas: a, Subcarriers: n, H: make([]complex64, a*n), RSSIdBm: -40}
	}
	tests := []struct {
		name     string
		antennas int
		tones    []int
		resample bool
		want     bool
	}{
		{"exact", 3, AtherosTones(114), false, true},
		{"other tones", 3, AtherosTones(56), false, false},
		{"other tones resampled", 3, AtherosTones(56), true, true},
		{"other antennas", 2, AtherosTones(114), true, false},
		{"unknown tones", 3, nil, true, false},
	}
	for _, tc := range tests {
		n := len(tc.tones)
		if n == 0 {
			n = 77
		}
		p := modelPacket(shape(tc.antennas, n), tc.tones, tc.resample)
		if (p != nil) != tc.want {
			t.Errorf("%s: %v", tc.name, p != nil)
		}
		if p != nil && (p.Antennas != 3 || p.Subcarriers != 114 || len(p.H) != 342 || p.RSSIdBm != -40) {
			t.Errorf("%s: %d x %d", tc.name, p.Antennas, p.Subcarriers)
		}
	}
}
