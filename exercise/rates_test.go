package exercise_test

import (
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
)

// atRate gives a stream of 10 poses a second at another rate, with the last pose
// held for half a second: a count comes after the way back.
func atRate(s stream, hz float64) (out stream) {
	held := append(stream{}, s...)
	for range 6 {
		held = append(held, s[len(s)-1])
	}
	for k := 0; ; k++ {
		at := 10 * float64(k) / hz
		i := int(at)
		if i+1 >= len(held) {
			return out
		}
		w := at - float64(i)
		var p recording.Pose
		for j := range p {
			for c := range p[j] {
				p[j][c] = (1-w)*held[i][j][c] + w*held[i+1][j][c]
			}
		}
		out = append(out, p)
	}
}

// TestRealSetsAtAnyRate: real people's correct sets count exactly whatever the
// rate of the poses.
func TestRealSetsAtAnyRate(t *testing.T) {
	testenv.Slow(t)
	testenv.NoRace(t, "nothing here runs at once, and it takes minutes with the race detector")
	sets := append(uiprmdSets(t), marsSets(t)...)
	for _, periodMS := range []int64{200, 50, 33} {
		wrong, n := 0, 0
		for _, p := range sets {
			if p.activity == "" || p.label != "correct" {
				continue
			}
			n++
			if got := feed(t, atRate(p.poses, 1000/float64(periodMS)), periodMS, "RLMW", p.activity).count(p.activity); got != p.reps {
				wrong++
				t.Logf("a pose in %d ms: %s %s %s: %d repetitions, want %d", periodMS, p.source, p.subject, p.movement, got, p.reps)
			}
		}
		if 100*wrong > n {
			t.Errorf("a pose in %d ms: %d of %d sets are wrong", periodMS, wrong, n)
		}
	}
}
