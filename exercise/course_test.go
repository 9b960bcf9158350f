package exercise

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"
)

// leaning is a repetition in which the trunk bends to the side: by an offset, a
// swing there and back, and noise, each of the poses smoothed as live.
func leaning(offset, swing float64, noise func() float64) span {
	const n = 25
	var raw [n + 2]Skeleton
	for i := range raw {
		bend := offset + swing*math.Sin(math.Pi*float64(i)/n) + noise()
		raw[i] = turnedTrunk(standing(), rotZ(bend))
	}
	p := span{cal: &calibration{}, peak: n / 2}
	for i := range n {
		smooth := mean3(&raw[i], &raw[i+1], &raw[i+2])
		p.frames = append(p.frames, track{frame{raw: raw[i+1]}, smooth})
	}
	return p
}

// TestCourseSeesMovementThroughNoise: over ten repetitions the range of what a
// person does is seen, however they hold themselves, and noise alone is none.
func TestCourseSeesMovementThroughNoise(t *testing.T) {
	side := Signal{Name: "trunkSide"}
	for _, c := range []struct{ swing, sd, from, to float64 }{
		{0, 0, 0, 0.01}, {12, 0, 10, 12}, {0, 4, 0, 4}, {12, 4, 8, 14},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		course, single := &course{}, 0.0
		for k := range 10 {
			p := leaning(float64(k%3), c.swing, func() float64 { return c.sd * rng.NormFloat64() })
			course.add(p, side, slowNoise*p.noise(side))
			v, ok := p.ofRule(Rule{Signal: side, Measure: AtRange})
			if !ok {
				t.Fatal("no range")
			}
			single = max(single, v)
		}
		v, ok := course.spread()
		if !ok || v < c.from || v > c.to {
			t.Errorf("swing %v, noise %v degrees: spread %.1f %v, want %v to %v; single ones up to %.1f", c.swing, c.sd, v, ok, c.from, c.to, single)
		}
	}
	if _, ok := (&course{}).spread(); ok {
		t.Error("a course without repetitions has a spread")
	}
}

// TestCourseSeesWhatDiffers: who bends to one side, then to the other, moves as
// much as who always bends to the same.
func TestCourseSeesWhatDiffers(t *testing.T) {
	side := Signal{Name: "trunkSide"}
	c := &course{}
	for k := range 10 {
		c.add(leaning(0, 12*float64(1-2*(k%2)), func() float64 { return 0 }), side, 0)
	}
	if v, ok := c.spread(); !ok || v < 8 || v > 14 {
		t.Errorf("spread %.1f %v of repetitions that bend by 12 degrees to either side", v, ok)
	}
}

// TestNoiseIsNotMovement: the noise of a signal is found whatever the movement.
func TestNoiseIsNotMovement(t *testing.T) {
	testenv.NoRace(t, "nothing here runs at once, and it takes ten times as long with the race detector")
	rapid.Check(t, func(t *rapid.T) {
		sd := rapid.Float64Range(0, 6).Draw(t, "noise")
		swing := rapid.Float64Range(-60, 60).Draw(t, "swing")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		sum, n := 0.0, 40
		for range n {
			sum += leaning(0, swing, func() float64 { return sd * rng.NormFloat64() }).noise(Signal{Name: "trunkSide"})
		}
		want := sd / math.Sqrt(3)
		if got := sum / float64(n); math.Abs(got-want) > 0.2*want+0.1 {
			t.Fatalf("noise of %.2f degrees: %.2f in the mean of three, want %.2f", sd, got, want)
		}
	})
}

// TestPelvisWithoutHips: the pelvis is there as long as its own joint is.
func TestPelvisWithoutHips(t *testing.T) {
	s := standing()
	s[jLHip][2] += 0.3
	if got, want := s.pelvis()[2], s[jPelvis][2]+0.1; math.Abs(got-want) > 1e-9 {
		t.Errorf("pelvis at %v, want the mean %v", got, want)
	}
	s[jLHip][0] = math.NaN()
	if s.pelvis() != s.at(jPelvis) {
		t.Errorf("pelvis %v without a hip, want the joint's %v", s.pelvis(), s.at(jPelvis))
	}
}
