package skeleton

import (
	"math"
	"testing"
)

// TestQuietStandingGivesLengths: within 2 s, at any rate, to a few millimetres in
// spite of noise, the same on both sides; then the lengths settle within a minute.
func TestQuietStandingGivesLengths(t *testing.T) {
	want := LengthsOf(&standing)
	for _, rateHz := range []int64{5, 10, 30, 60} {
		var b Body
		r := seeded(uint64(rateHz))
		var first float64
		for i := range 70 * rateHz {
			p := noisy(r, standing, 0.01)
			b.Learn(i*1e9/rateHz+1, &p)
			if _, ok := b.Lengths(); ok && first == 0 {
				first = float64(i) / float64(rateHz)
			}
		}
		before, _ := b.Lengths()
		if first < 1.7 || first > 2.5 || lengthsDiffer(before, want) > 0.006 {
			t.Errorf("%d Hz: known after %.1f s, off by %.1f mm", rateHz, first, 1e3*lengthsDiffer(before, want))
		}
		for i := range 30 * rateHz { // somebody whose arms the network shows longer from now on
			p := standing
			p[RightWrist][1] -= 0.04
			b.Learn((70*rateHz+i)*1e9/rateHz+1, &p)
		}
		if after, _ := b.Lengths(); after != before {
			t.Errorf("%d Hz: lengths changed by %.2f mm after a minute", rateHz, 1e3*lengthsDiffer(after, before))
		}
	}
}

// TestNoLengthsWithoutQuietStanding: neither from movement, nor from sitting, nor
// over a gap.
func TestNoLengthsWithoutQuietStanding(t *testing.T) {
	seated := standing
	for _, j := range []int{RightKnee, LeftKnee, RightAnkle, LeftAnkle} {
		seated[j] = vec{seated[j][0], seated[RightHip][1], 2.58}
	}
	seated[RightAnkle][1], seated[LeftAnkle][1] = 0.5, 0.5
	for name, at := range map[string]func(i int) (int64, Pose){
		"walking": func(i int) (int64, Pose) {
			return int64(i+1) * tickNS, shifted(standing, vec{0.06 * float64(i), 0, 0})
		},
		"swinging an arm": func(i int) (int64, Pose) {
			p := standing
			p[RightWrist][2] += 0.4 * math.Sin(float64(i))
			return int64(i+1) * tickNS, p
		},
		"seated": func(i int) (int64, Pose) { return int64(i+1) * tickNS, seated },
		"seen now and then": func(i int) (int64, Pose) {
			return int64(i+1)*tickNS + int64(i/15)*1_000_000_000, standing
		},
	} {
		var b Body
		for i := range 100 {
			ns, p := at(i)
			b.Learn(ns, &p)
		}
		if l, known := b.Lengths(); known {
			t.Errorf("%s: lengths %v", name, l)
		}
	}
}

// TestAnotherPersonIsLearnedAnew: a child after an adult, without a word.
func TestAnotherPersonIsLearnedAnew(t *testing.T) {
	child := standing
	for j := range child {
		child[j] = scale(child[j], 0.7)
	}
	var b Body
	for i := range 80 {
		p := standing
		if i >= 40 {
			p = child
		}
		b.Learn(int64(i+1)*tickNS, &p)
	}
	got, known := b.Lengths()
	if want := LengthsOf(&child); !known || lengthsDiffer(got, want) > 1e-3 {
		t.Errorf("known %v, off by %.0f mm", known, 1e3*lengthsDiffer(got, want))
	}
}
