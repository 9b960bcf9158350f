package motionfile

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"posefuse/skeleton"
)

// TestEven: a straight movement stays one whatever the frames' times, short gaps
// included; nothing is missing afterwards.
func TestEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &Motion{RateHz: 10, Names: []string{"Hip", "Never"}}
		at := rapid.Float64Range(-5, 5).Draw(t, "start")
		first := at
		for range rapid.IntRange(2, 60).Draw(t, "frames") {
			m.TimesS = append(m.TimesS, at)
			m.Points = append(m.Points, []Point{{1 + at, 2, 3 - 2*at}, missing()})
			at += rapid.Float64Range(0.02, 0.3).Draw(t, "step")
		}
		for i := 1; i+1 < len(m.Points); i++ {
			if i%3 == 1 && m.TimesS[i+1]-m.TimesS[i-1] < heldS {
				m.Points[i][0] = missing()
			}
		}
		rate := float64(rapid.IntRange(1, 120).Draw(t, "rate"))
		e, told, err := m.Even(rate)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.whole(); err != nil || !slices.Equal(e.Names, []string{"Hip"}) || !slices.Equal(told.LeftOut, []string{"Never"}) || told.Held != 0 {
			t.Fatalf("%v, names %v, told %+v", err, e.Names, told)
		}
		last := m.TimesS[len(m.TimesS)-1] - first
		if got := float64(len(e.Points)-1) / rate; got > last+1e-6 || got < last-1/rate-1e-6 {
			t.Fatalf("%g s of %g", got, last)
		}
		for i, f := range e.Points {
			s := first + float64(i)/rate
			if want := (Point{1 + s, 2, 3 - 2*s}); math.Abs(f[0][0]-want[0])+math.Abs(f[0][1]-want[1])+math.Abs(f[0][2]-want[2]) > 1e-6 {
				t.Fatalf("frame %d: %v, want %v", i, f[0], want)
			}
		}
	})
}

// TestEvenTellsGaps: a long gap holds the last place, and ends are held too.
func TestEvenTellsGaps(t *testing.T) {
	m := &Motion{RateHz: 10, Names: []string{"A", "B"}}
	for i := range 50 {
		p := []Point{{float64(i), 0, 1}, {0, float64(i), 1}}
		if i >= 10 && i < 30 {
			p[0] = missing()
		}
		if i < 3 {
			p[1] = missing()
		}
		m.TimesS, m.Points = append(m.TimesS, float64(i)/10), append(m.Points, p)
	}
	e, told, err := m.Even(10)
	if err != nil {
		t.Fatal(err)
	}
	if told.Held != 20 || told.Frames != 23 || math.Abs(told.LongestS-2.1) > 1e-9 {
		t.Errorf("told %+v", told)
	}
	if e.Points[29][0][0] != 9 || e.Points[30][0][0] != 30 || e.Points[0][1][1] != 3 {
		t.Errorf("%v %v %v", e.Points[29], e.Points[30], e.Points[0])
	}
	if _, _, err := (&Motion{RateHz: 10, Names: []string{"A"}, TimesS: []float64{0}, Points: [][]Point{{missing()}}}).Even(10); err == nil {
		t.Error("an empty motion was made even")
	}
	if _, _, err := m.Even(1e9); err == nil {
		t.Error("a rate of 1 GHz is accepted")
	}
}

// TestJoints: known sets of markers are found, and a map of one's own is checked.
func TestJoints(t *testing.T) {
	m := &Motion{RateHz: 10, Names: []string{"P1:LASI", "P1:RASI", "P1:LPSI", "P1:RPSI", "P1:RKNE", "Toe"}, TimesS: []float64{0}, Points: [][]Point{{
		{0, 0, 0.1}, {0, 2, 0.1}, {2, 0, 0.1}, {2, 2, 0.1}, {5, 5, 5}, {9, 9, 9}}}}
	j, n := m.KnownJoints()
	if n != 4 {
		t.Errorf("%d joints found", n)
	}
	p := m.Poses(j)[0]
	if p[skeleton.Pelvis] != [3]float64{1, 1, 0.1} || p[skeleton.RightKnee] != [3]float64{5, 5, 5} || !math.IsNaN(p[skeleton.LeftKnee][0]) {
		t.Errorf("pose %v", p)
	}
	for _, c := range []struct {
		j    Joints
		want string
	}{
		{Joints{"RKnee": {"rkne", "Toe"}}, ""},
		{Joints{"Knee": {"RKNE"}}, `joint "Knee" is not known`},
		{Joints{"RKnee": {"RKNEE"}}, `no marker "RKNEE"; it has P1:LASI`},
		{Joints{"RKnee": nil}, "no marker named"},
	} {
		err := m.Check(c.j)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.j, err, c.want)
		}
	}
}
