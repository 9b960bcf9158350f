package exercise_test

import (
	"slices"
	"testing"
	"time"

	"posefuse/exercise"
	"posefuse/message"
	"posefuse/recording"
	"posefuse/recording/sim"
)

// numbered makes pose messages of a stream, as one daemon would.
func numbered(s stream, fromSeq uint64, fromNS int64) []*message.Pose {
	var poses []*message.Pose
	for i := range s {
		joints := [17][3]float64(s[i])
		ns := fromNS + int64(i)*1e8
		poses = append(poses, &message.Pose{Room: "a", Seq: fromSeq + uint64(i), CaptureNS: ns, CaptureTime: time.Unix(5000, ns).UTC().Format(time.RFC3339Nano),
			Frame: "camera", JointsM: &joints, Coalition: "RLMW"})
	}
	return poses
}

// TestStreams: what a broker and daemons do to the order of poses costs no
// repetition and counts none twice, and what a person should know is said.
func TestStreams(t *testing.T) {
	_, squats := set(4, 12, 6, sim.MotionOptions{})
	plain := numbered(squats, 1, 1e8)
	mid := len(plain) / 2
	for _, c := range []struct {
		name   string
		poses  func() []*message.Pose
		notice string
	}{
		{"in order", func() []*message.Pose { return plain }, ""},
		{"every pose twice", func() (list []*message.Pose) {
			for _, p := range plain {
				list = append(list, p, p)
			}
			return list
		}, ""},
		{"every pair swapped", func() []*message.Pose {
			list := slices.Clone(plain)
			for i := 0; i+1 < len(list); i += 2 {
				list[i], list[i+1] = list[i+1], list[i]
			}
			return list
		}, ""},
		{"five poses 1.5 s late", func() []*message.Pose {
			late := slices.Clone(plain[40:45])
			return slices.Concat(plain[:40], plain[45:60], late, plain[60:])
		}, ""},
		{"clock set back", func() []*message.Pose {
			return slices.Concat(plain[:mid], numbered(squats[mid:], uint64(mid+1), 1e8))
		}, "clock_back"},
		{"daemon restarted", func() []*message.Pose {
			return slices.Concat(plain[:mid], numbered(squats[mid:], 1, 1e8))
		}, "restarted"},
		{"30 minutes forward", func() []*message.Pose {
			return slices.Concat(plain[:20], numbered(squats[20:], 21, 1800e9))
		}, ""},
		{"another daemon with other clock", func() (list []*message.Pose) {
			other := numbered(squats, 5000, 900e9)
			for i := range plain {
				list = append(list, other[i], plain[i])
			}
			return list
		}, "two_daemons"},
		{"another daemon that began a second later", func() (list []*message.Pose) {
			other := numbered(squats, 1, 1e8+3e7)
			for i := range plain {
				list = append(list, plain[i])
				if i >= 10 {
					list = append(list, other[i-10])
				}
			}
			return list
		}, "two_daemons"},
	} {
		r := new(recorder)
		tr, err := exercise.NewTracker(exercise.Config{Room: "a", Exercises: []string{"A12"}}, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.poses() {
			tr.Pose(p)
		}
		tr.Stop()
		if n := r.count("A12"); n != 6 {
			t.Errorf("%s: %d repetitions, want 6", c.name, n)
		}
		if c.notice == "" && len(r.notices) > 0 || c.notice != "" && !slices.Contains(r.notices, c.notice) {
			t.Errorf("%s: notices %v, want %q", c.name, r.notices, c.notice)
		}
	}
}

// TestAnotherPerson: somebody of another size, without an empty room between,
// begins a set of their own.
func TestAnotherPerson(t *testing.T) {
	// scaled is a person of another size on the same floor, 0.9 m below the camera.
	scaled := func(s stream, size float64) stream {
		out := make(stream, len(s))
		for i := range s {
			for j, q := range s[i] {
				out[i][j] = [3]float64{size * q[0], 0.9 + size*(q[1]-0.9), 3.1 + size*(q[2]-3.1)}
			}
		}
		return out
	}
	for _, size := range []float64{0.62, 0.88, 1.5} {
		_, a := set(2, 12, 3, sim.MotionOptions{})
		_, b := set(2, 12, 4, sim.MotionOptions{})
		r := feed(t, slices.Concat(a, scaled(b, size)), 100, "RLMW", "A12")
		if len(r.summaries) != 2 || r.summaries[0].Repetitions != 3 || r.summaries[1].Repetitions != 4 || !slices.Contains(r.notices, "new_person") {
			t.Errorf("somebody %v times as tall: %+v, notices %v", size, r.summaries, r.notices)
		}
	}
}

// TestSitting: who sits does not squat; sitting down ends a set, and standing
// up again begins another.
func TestSitting(t *testing.T) {
	poses := recordedPoses(t, "sits-down-after.jsonl.gz")
	again := recordedPoses(t, "sits-down-after.jsonl.gz")
	last := poses[len(poses)-1]
	for i, p := range again {
		p.Seq, p.CaptureNS = last.Seq+uint64(i+1), last.CaptureNS+int64(i+1)*1e8
	}
	r := new(recorder)
	tr, err := exercise.NewTracker(exercise.Config{Room: "room1", Exercises: []string{"squat"}}, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(poses, again...) {
		tr.Pose(p)
	}
	if len(r.summaries) != 2 || r.summaries[0].Repetitions != 3 || r.summaries[1].Repetitions != 3 {
		t.Errorf("%+v", r.summaries)
	}
}

// TestSlowAndHeld: repetitions of up to 30 s count, with too_slow.
func TestSlowAndHeld(t *testing.T) {
	for lengthS, reps := range map[float64]int{6: 3, 15: 3, 28: 2} {
		m := sim.NewSet(3, recording.Key{Subject: 3, Activity: 12}, reps, sim.MotionOptions{RepetitionS: lengthS, Amplitude: 1})
		r := feed(t, clip(m, m.Frames()), 100, "RLMW", "A12")
		if len(r.summaries) != 1 || r.summaries[0].Repetitions != reps ||
			!slices.ContainsFunc(r.summaries[0].Faults, func(f message.Fault) bool { return f.Key == "too_slow" }) {
			t.Errorf("%v s: %+v", lengthS, r.summaries)
		}
	}
}

// TestTooLong: who stays down does not repeat, and hears why.
func TestTooLong(t *testing.T) {
	_, s := set(4, 12, 2, sim.MotionOptions{Amplitude: 1})
	m := sim.NewSet(4, recording.Key{Subject: 5, Activity: 12}, 2, sim.MotionOptions{Amplitude: 1})
	down := int(10 * (m.Repetitions()[0] + 2.5 + (m.Repetitions()[1]-m.Repetitions()[0])/2 - 2.5))
	var held stream
	for range 400 {
		held = append(held, s[down])
	}
	r := feed(t, slices.Concat(s[:down], held, s[down:]), 100, "RLMW", "A12")
	n, why := 0, 0
	for _, sum := range r.summaries {
		n += sum.Repetitions
		why += sum.IncompleteWhy["too_long"]
	}
	if n != 1 || why != 1 {
		t.Errorf("%d repetitions, %d too long: %+v", n, why, r.summaries)
	}
}
