package sim

import (
	"math"
	"testing"

	"posefuse/recording"
)

// A seated person keeps their bones, sits as high as on a chair, stands on the
// floor with both feet, looks where they looked, and moves their arms as before.
func TestSeated(t *testing.T) {
	for _, activity := range []int{1, 6, 12, 22, 26} {
		m := NewProcedural(3, recording.Key{Subject: 9, Activity: activity}, MotionOptions{})
		for _, turn := range []float64{0, 60} {
			w := PersonWorld{Seated: true, TurnDeg: turn, HeightM: 1.4}
			p := w.placed(m)
			s, drawn := p.Subject(), m.Subject()
			scale := s.HeightM / drawn.HeightM
			pelvis := p.At(0)[0]
			for i := range 30 {
				was, is := m.At(float64(i)*0.1), p.At(float64(i)*0.1)
				if d := vecLength(vecSub(is[0], pelvis)); d > 1e-9 {
					t.Fatalf("A%02d: the pelvis moves by %g m", activity, d)
				}
				if math.Abs(is[0][1]-chairSeatM-hipAboveSeatM) > 1e-9 {
					t.Fatalf("A%02d: the pelvis is %g m high", activity, is[0][1])
				}
				for _, hip := range []int{1, 4} {
					thigh, shank := vecSub(is[hip+1], is[hip]), vecSub(is[hip+2], is[hip+1])
					if math.Abs(vecLength(thigh)-s.Segments.Thigh) > 1e-9 || math.Abs(vecLength(shank)-s.Segments.Shank) > 1e-9 {
						t.Fatalf("A%02d: thigh %g m, shank %g m", activity, vecLength(thigh), vecLength(shank))
					}
					if math.Abs(is[hip+2][1]-ankleShare*s.HeightM) > 0.03 {
						t.Errorf("A%02d: an ankle %g m above the floor", activity, is[hip+2][1])
					}
					if ahead := -thigh[2]*math.Cos(turn*math.Pi/180) + thigh[0]*math.Sin(turn*math.Pi/180); ahead < 0.7*s.Segments.Thigh {
						t.Errorf("A%02d turned by %g: the thigh reaches %g m ahead", activity, turn, ahead)
					}
				}
				if a, b := vecLength(vecSub(was[13], was[0])), vecLength(vecSub(is[13], is[0])); math.Abs(a*scale-b) > 1e-9 {
					t.Errorf("A%02d: a wrist %g m from the pelvis, not %g", activity, b, a*scale)
				}
			}
		}
	}
}

// A sensor at a rate of its own is as late as its newest measurement, and repeats
// it, noise included.
func TestSensorRates(t *testing.T) {
	m := NewProcedural(1, recording.Key{Subject: 5, Activity: 12}, MotionOptions{})
	base := newTestClip(t, "mmfi", m, nil)
	at := func(hz float64) *Clip { return newWorldClip(t, "mmfi", m, func(w *World) { w.Camera.RateHz = hz }) }
	slow, fast, odd := at(5), at(30), at(15)
	for i := range 12 {
		want := mustFrame(t, base, i)
		if mustFrame(t, fast, i).RGB != want.RGB {
			t.Errorf("30 Hz: frame %d is not the one of 10 Hz", i)
		}
		if mustFrame(t, slow, i).RGB != mustFrame(t, base, i/2*2).RGB {
			t.Errorf("5 Hz: frame %d is not frame %d", i, i/2*2)
		}
		if same := mustFrame(t, odd, i).RGB == want.RGB; same != (i%2 == 0) {
			t.Errorf("15 Hz: frame %d as at 10 Hz: %t", i, same)
		}
	}
}
