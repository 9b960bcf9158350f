package skeleton

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"posefuse/sensors/modality"
)

// TestEvenMovementComesLateAsStated: at any speed and rate a pose that moves evenly
// is behind by DelayS and no more, and the filter says so itself.
func TestEvenMovementComesLateAsStated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		speed := rapid.Float64Range(0.02, 3).Draw(t, "speed, m/s")
		dtNS := int64(1e9 / rapid.Float64Range(5, 60).Draw(t, "rate, Hz"))
		dtS := float64(dtNS) / 1e9
		var f Filter
		var p, truth Pose
		for i := range 60 * int64(time.Second) / dtNS {
			truth = shifted(standing, vec{speed * float64(i) * dtS, 0, 0})
			p = truth
			f.Next(i*dtNS+1, all, &p)
		}
		want := DelayS(speed, 0, dtS)
		for j := range p {
			if late := (truth[j][0] - p[j][0]) / speed; math.Abs(late-want) > 2e-3 {
				t.Fatalf("joint %d is %.1f ms late, stated are %.1f ms", j, 1e3*late, 1e3*want)
			}
		}
		if math.Abs(f.DelayS()-want) > 5e-3 {
			t.Fatalf("the filter says %.1f ms, stated are %.1f ms", 1e3*f.DelayS(), 1e3*want)
		}
	})
}

// TestNoiseAtRestIsHalved: acceleration of a person who stands, and less is late the
// faster something moves.
func TestNoiseAtRestIsHalved(t *testing.T) {
	r := seeded(3)
	var f Filter
	var raw, out [3]Pose
	var before, after float64
	for i := range 300 {
		p := noisy(r, standing, 0.01)
		raw[0], raw[1], raw[2] = raw[1], raw[2], p
		f.Next(int64(i+1)*tickNS, all, &p)
		out[0], out[1], out[2] = out[1], out[2], p
		if i < 50 {
			continue
		}
		for j := range p {
			before += norm(sub(add(raw[0][j], raw[2][j]), scale(raw[1][j], 2)))
			after += norm(sub(add(out[0][j], out[2][j]), scale(out[1][j], 2)))
		}
	}
	if after > 0.5*before {
		t.Errorf("acceleration of noise is %.2f of what it was", after/before)
	}
	if slow, fast := DelayS(0.1, 0.04, 0.1), DelayS(2, 0.04, 0.1); slow > 0.2 || fast > 0.02 || fast >= slow {
		t.Errorf("delay at 0.1 m/s %.0f ms, at 2 m/s %.0f ms", 1e3*slow, 1e3*fast)
	}
}

// TestFilterBeginsAnew: after a gap, with a time that goes back, and where the person
// is suddenly elsewhere the next pose is taken as it is.
func TestFilterBeginsAnew(t *testing.T) {
	elsewhere := shifted(standing, vec{2, 0, 0})
	for name, c := range map[string]struct {
		ns int64
		p  Pose
	}{
		"gap":          {21*tickNS + filterGapS*1e9 + 1, shifted(standing, vec{0.1, 0, 0})},
		"back in time": {5 * tickNS, shifted(standing, vec{0.1, 0, 0})},
		"a jump":       {21 * tickNS, elsewhere},
	} {
		var f Filter
		for i := range int64(20) {
			p := standing
			f.Next((i+1)*tickNS, all, &p)
		}
		got := c.p
		f.Next(c.ns, all, &got)
		if got != c.p {
			t.Errorf("%s: moved by %.0f mm", name, 1e3*farthest(&got, &c.p))
		}
	}
}

// TestAnotherCoalitionIsTrusted: the step from one set of sensors to another is
// followed faster than the same step of one set, is no movement, and does not count
// as noise of either.
func TestAnotherCoalitionIsTrusted(t *testing.T) {
	step := func(of modality.Set) (first, after Pose, f Filter) {
		for i := range int64(40) {
			p := standing
			if i >= 20 {
				p[LeftWrist][0] += 0.06
				f.Next((i+1)*tickNS, of, &p)
			} else {
				f.Next((i+1)*tickNS, all, &p)
			}
			switch i {
			case 20:
				first = p
			case 39:
				after = p
			}
		}
		return first, after, f
	}
	changed, settled, f := step(modality.Of(modality.LiDAR))
	if d := changed[LeftWrist][0] - standing[LeftWrist][0]; d < changedGain*0.06-1e-9 {
		t.Errorf("a new coalition is followed by %.0f of 60 mm", 1e3*d)
	}
	if d := settled[LeftWrist][0] - standing[LeftWrist][0]; math.Abs(d-0.06) > 2e-3 {
		t.Errorf("after 2 s it is followed by %.0f of 60 mm", 1e3*d)
	}
	if v := norm(f.speed[LeftWrist]); v > 1e-9 {
		t.Errorf("the step is taken for a movement of %.2f m/s", v)
	}
	if n := f.noiseM[modality.Of(modality.LiDAR)]; n >= usualNoiseM {
		t.Errorf("the step is taken for noise: %.0f mm", 1e3*n)
	}
}
