package exercise_test

import (
	"math"
	"testing"

	"posefuse/exercise"
	"posefuse/recording"
	"posefuse/recording/sim"
)

// shrunk is what an unsure network makes of poses: each joint keeps only a
// share of its way from where it is in standing (the mean of the first 20
// poses).
func shrunk(s stream, share float64) stream {
	var stand recording.Pose
	for i := range 20 {
		for j := range stand {
			for k := range 3 {
				stand[j][k] += s[i][j][k] / 20
			}
		}
	}
	out := make(stream, len(s))
	for i := range s {
		for j := range stand {
			for k := range 3 {
				out[i][j][k] = stand[j][k] + share*(s[i][j][k]-stand[j][k])
			}
		}
	}
	return out
}

// TestShrunkMovement: poses that show 80 % of the movement are counted exactly
// when the exercise is known, those that show 60 % within one. Of the quick
// stretching, the ways to its start and back look like two more.
func TestShrunkMovement(t *testing.T) {
	for _, a := range activities {
		for seed := range uint64(8) {
			for _, share := range []float64{1, 0.8, 0.6} {
				_, s := set(seed+40, a, 6, sim.MotionOptions{})
				within := 0
				switch {
				case a == 1:
					within = 2
				case share < 0.8:
					within = 1
				}
				if r := feedFigures(t, shrunk(s, share), 100, "RLMW", &exercise.Figures{}, name(a)); max(r.count(name(a))-6, 6-r.count(name(a))) > within {
					t.Errorf("%s seed %d, %.0f %% of the movement: %d repetitions, want 6", name(a), seed, 100*share, r.count(name(a)))
				}
			}
		}
	}
}

// TestEstimatesOfStandingStill: 60 s of standing and swaying in estimated poses
// is 0 repetitions of everything.
func TestEstimatesOfStandingStill(t *testing.T) {
	for seed := range uint64(4) {
		m := sim.NewSet(seed, recording.Key{Subject: int(seed) + 1, Activity: 12}, 0, sim.MotionOptions{})
		s := clip(m, 600)
		for _, noise := range []float64{0, 20, 40} {
			for _, told := range append([][]string{nil}, eachAlone()...) {
				r := feed(t, noisy(s, seed, noise), 100, "RLMW", told...)
				if len(r.all()) != 0 || len(r.events) != 0 {
					t.Errorf("seed %d, %v mm, told %v: %v, %d events", seed, noise, told, r.all(), len(r.events))
				}
			}
		}
	}
}

// TestPauseInEstimatesCountsOnce: standing still for 1.5 s at any instant of a
// repetition does not change the count of estimated poses either.
func TestPauseInEstimatesCountsOnce(t *testing.T) {
	for _, a := range activities {
		m, _ := set(5, a, 4, sim.MotionOptions{RepetitionS: 2})
		ends := m.Repetitions()
		for k := range 10 {
			at := ends[0] + (ends[1]-ends[0])*(float64(k)+0.5)/10
			s := slowed(m, m.Frames(), at, 1.5)
			for _, noise := range []float64{0, 20} {
				if r := feed(t, noisy(s, uint64(k), noise), 100, "RLMW", name(a)); r.count(name(a)) != 4 {
					t.Errorf("%s, %v mm: pause at %.2f s: %d repetitions, want 4", name(a), noise, at, r.count(name(a)))
				}
			}
		}
	}
}

// TestSmallMovementMustRepeat: one small sway of estimated poses is nothing,
// several alike are an exercise.
func TestSmallMovementMustRepeat(t *testing.T) {
	for _, c := range []struct{ done, want int }{{1, 0}, {2, 2}, {5, 5}} {
		m := sim.NewSet(3, recording.Key{Subject: 4, Activity: 12}, c.done, sim.MotionOptions{Amplitude: 0.45, RepetitionS: 2})
		s := shrunk(clip(m, m.Frames()), 0.6)
		if n := feedFigures(t, s, 100, "RLMW", &exercise.Figures{}, "A12").count("A12"); n != c.want {
			t.Errorf("%d small squats: %d repetitions, want %d", c.done, n, c.want)
		}
	}
}

// TestMeasuredAndEstimatedPoses: when the coalition of the poses appears, what
// was counted before is reported and counting starts afresh.
func TestMeasuredAndEstimatedPoses(t *testing.T) {
	_, s := set(1, 12, 4, sim.MotionOptions{})
	measured, estimated := feed(t, s, 100, ""), feed(t, s, 100, "RLMW")
	if len(measured.summaries) != 1 || len(estimated.summaries) != 1 {
		t.Fatalf("%d and %d summaries", len(measured.summaries), len(estimated.summaries))
	}
	x, y := measured.summaries[0], estimated.summaries[0]
	if x.Repetitions != 4 || y.Repetitions != 4 || math.Abs(x.RangeDeg.Median-y.RangeDeg.Median) > 1 {
		t.Errorf("measured %+v, estimated %+v", x, y)
	}
}
