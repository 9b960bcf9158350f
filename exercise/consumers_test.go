package exercise_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"

	"posefuse/exercise"
	"posefuse/internal/testenv"
	"posefuse/message"
)

// recordedPoses reads a stream of pose messages, one a line, gzip.
func recordedPoses(t testing.TB, file string) (poses []*message.Pose) {
	t.Helper()
	f, err := os.Open(testenv.Shared(t, "inputs", "consumers", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p := new(message.Pose)
		if err := json.Unmarshal(lines.Bytes(), p); err != nil {
			t.Fatal(err)
		}
		poses = append(poses, p)
	}
	if err := lines.Err(); err != nil || len(poses) == 0 {
		t.Fatalf("%s: %d poses, %v", file, len(poses), err)
	}
	return poses
}

// TestConsumers: what subscribers were seen to get wrong, one file a kind.
func TestConsumers(t *testing.T) {
	type want struct {
		reps, left, right, incomplete int
		fault                         string
	}
	for _, c := range []struct {
		file, exercise string
		sets           []want
		noFaults       []string
		notice         string
	}{
		{"lunge-right", "A10", []want{{reps: 4, right: 4}}, []string{"wrong_side"}, ""},
		{"lunge-right", "A09", []want{{right: 4, fault: "wrong_side"}}, nil, ""},
		{"limb-extension-from-hanging", "A07", []want{{reps: 4, left: 4}}, []string{"too_fast"}, ""},
		{"limb-extension-from-hanging", "", []want{{reps: 4, left: 4}}, []string{"too_fast"}, ""},
		{"rest-5s", "A12", []want{{reps: 4}}, nil, ""},
		{"slow-hold", "A12", []want{{reps: 3, fault: "too_slow"}}, nil, ""},
		{"tall-then-child", "A12", []want{{reps: 2}, {reps: 3}}, nil, ""},
		{"sits-down-after", "A12", []want{{reps: 3}}, nil, ""},
		{"clock-back-5s", "A12", []want{{reps: 5}}, nil, "clock_back"},
		{"restart-after-8s", "A12", []want{{reps: 5}}, nil, "restarted"},
		{"arm-extension-normal-tempo", "A07", []want{{reps: 4, left: 4}}, []string{"too_fast", "too_slow"}, ""},
		{"half-squats", "A12", []want{{reps: 3, incomplete: 2}}, nil, ""},
	} {
		t.Run(c.file+" "+c.exercise, func(t *testing.T) {
			r := new(recorder)
			cfg := exercise.Config{Room: "room1"}
			if c.exercise != "" {
				cfg.Exercises = []string{c.exercise}
			}
			tr, err := exercise.NewTracker(cfg, r)
			if err != nil {
				t.Fatal(err)
			}
			poses := recordedPoses(t, c.file+".jsonl.gz")
			seated := -1
			for i, p := range poses {
				tr.Pose(p)
				if len(r.summaries) > 0 && seated < 0 {
					seated = i
				}
			}
			if c.file == "sits-down-after" && (seated < 0 || seated > 160) {
				t.Errorf("summary at pose %d, want it soon after the person sat down at 12.5 s", seated)
			}
			tr.Stop()
			if len(r.summaries) != len(c.sets) {
				t.Fatalf("%d sets: %+v", len(r.summaries), r.summaries)
			}
			for i, s := range r.summaries {
				got := want{reps: s.Repetitions, left: s.Left, right: s.Right, incomplete: s.Incomplete, fault: c.sets[i].fault}
				if got != c.sets[i] {
					t.Errorf("set %d: %+v, want %+v", i, s, c.sets[i])
				}
				has := map[string]bool{}
				for _, f := range s.Faults {
					has[f.Key] = true
				}
				if f := c.sets[i].fault; f != "" && !has[f] {
					t.Errorf("set %d: no %s in %+v", i, f, s.Faults)
				}
				for _, f := range c.noFaults {
					if has[f] {
						t.Errorf("set %d: %s in %+v", i, f, s.Faults)
					}
				}
			}
			if c.notice != "" && (len(r.notices) != 1 || r.notices[0] != c.notice) {
				t.Errorf("notices %v, want %s", r.notices, c.notice)
			}
		})
	}
}
