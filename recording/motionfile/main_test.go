package motionfile

import (
	"math"

	"pgregory.net/rapid"
)

// same compares motions: names, rate and places within tolM.
func same(t fataler, got, want *Motion, tolM float64) {
	t.Helper()
	if len(got.Names) != len(want.Names) || len(got.Points) != len(want.Points) || math.Abs(got.RateHz-want.RateHz) > 1e-4*want.RateHz {
		t.Fatalf("%d markers, %d frames, %g Hz, want %d, %d, %g", len(got.Names), len(got.Points), got.RateHz, len(want.Names), len(want.Points), want.RateHz)
	}
	for k, n := range want.Names {
		if got.Names[k] != n {
			t.Fatalf("marker %d is %q, want %q", k, got.Names[k], n)
		}
	}
	for i := range want.Points {
		for k, p := range want.Points[i] {
			q := got.Points[i][k]
			if p.Seen() != q.Seen() {
				t.Fatalf("frame %d, %s: %v, want %v", i, want.Names[k], q, p)
			}
			for c := range p {
				if math.Abs(p[c]-q[c]) > tolM {
					t.Fatalf("frame %d, %s: %v, want %v", i, want.Names[k], q, p)
				}
			}
		}
	}
}

// anyMotion draws a motion; some places are missing if gaps is set.
func anyMotion(t *rapid.T, gaps bool) *Motion {
	m := &Motion{RateHz: float64(rapid.IntRange(1, 500).Draw(t, "rate")), Names: rapid.SliceOfNDistinct(
		rapid.StringMatching(`[A-Za-z][A-Za-z0-9_.]{0,11}`), 1, 20, rapid.ID).Draw(t, "names")}
	for i := range rapid.IntRange(1, 40).Draw(t, "frames") {
		m.TimesS = append(m.TimesS, float64(i)/m.RateHz)
		frame := make([]Point, len(m.Names))
		for k := range frame {
			for c := range 3 {
				frame[k][c] = float64(rapid.IntRange(-20_000, 20_000).Draw(t, "mm")) / 1000
			}
			frame[k][2] += 0.0005 // never the origin
			if gaps && rapid.IntRange(0, 4).Draw(t, "gap") == 0 {
				frame[k] = missing()
			}
		}
		m.Points = append(m.Points, frame)
	}
	return m
}

// fataler is a test or a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}
