package exercise_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"posefuse/exercise"
	"posefuse/message"
)

// kindFigures are people of the tests below.
var kindFigures = []figure{{heightM: 1.2}, {heightM: 1.62, turnDeg: 40}, {heightM: 1.95, turnDeg: -60}}

// trembleM is the noise of the poses of the tests below.
const trembleM = 0.002

// performed is a set as a stream, with standing before and after.
func performed(who figure, w way, reps int, seconds, restS float64) stream {
	p := (&plan{who: who}).hold(2.5).to(w.start, 1)
	for i := range reps {
		if i > 0 {
			p.hold(restS)
		}
		p.repetition(w, seconds)
	}
	return tremble(p.to(posture{}, 1).hold(4.5).poses, 3, trembleM)
}

// messages are the poses of a stream as a daemon sends them, 10 a second.
func messages(s stream) (list []*message.Pose) {
	for i := range s {
		joints := [17][3]float64(s[i])
		list = append(list, &message.Pose{
			Room: "test", Seq: uint64(i + 1), CaptureNS: int64(i+1) * 1e8, CaptureTime: wallTime(float64(i+1) / 10),
			Frame: "camera", JointsM: &joints, Coalition: "RLMW",
		})
	}
	return list
}

func wallTime(s float64) string {
	return time.Unix(1000, int64(s*1e9)).UTC().Format(time.RFC3339Nano)
}

// followed runs a tracker over messages and stops it.
func followed(t testing.TB, list []*message.Pose, told ...string) *recorder {
	t.Helper()
	r, tr := following(t, list, told)
	tr.Stop()
	return r
}

// unfinished is what a tracker has said that goes on.
func unfinished(t testing.TB, list []*message.Pose, told ...string) *recorder {
	t.Helper()
	r, _ := following(t, list, told)
	return r
}

func following(t testing.TB, list []*message.Pose, told []string) (*recorder, *exercise.Tracker) {
	t.Helper()
	r := new(recorder)
	defs, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := exercise.NewTracker(exercise.Config{Room: "test", Definitions: defs, Exercises: told}, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		tr.Pose(p)
	}
	return r, tr
}

// reps are the repetitions of the sets in order.
func (r *recorder) reps() (list []int) {
	for _, s := range r.summaries {
		list = append(list, s.Repetitions)
	}
	return list
}

// why sums up the attempts that did not count.
func (r *recorder) why(reason string) (n int) {
	for _, s := range r.summaries {
		n += s.IncompleteWhy[reason]
	}
	return n
}

func (r *recorder) hasFault(key string) bool {
	return slices.ContainsFunc(r.summaries, func(s message.ExerciseSummary) bool {
		return slices.ContainsFunc(s.Faults, func(f message.Fault) bool { return f.Key == key })
	})
}

// eachWay runs a test for every way of doing an exercise.
func eachWay(t *testing.T, of func(w way) bool, test func(t *testing.T, w way)) {
	for _, w := range ways() {
		if of == nil || of(w) {
			t.Run(w.activity+" "+w.name, func(t *testing.T) { test(t, w) })
		}
	}
}

// slowly reports whether an exercise can be done slowly and held.
func slowly(w way) bool {
	return w.activity != "A01" && w.activity != "A26" && len(w.steps) == 2
}

// mirrorActivity is the activity of the other side, "" without one.
func mirrorActivity(w way) string {
	var a int
	if _, err := fmt.Sscanf(w.activity, "A%d", &a); err != nil || mirrorOf[a] == a {
		return ""
	}
	return name(mirrorOf[a])
}

// TestKindsOfSets: every exercise, from small and large people who stand as they
// like, quick and slow, with rests: one set, all counted, told and recognised.
func TestKindsOfSets(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, w way) {
		for i, who := range kindFigures {
			for k, c := range []struct{ tempo, restS float64 }{{0.8, 0}, {1, 2}, {1, 8.5}, {2, 0}} {
				s := performed(who, w, 4, c.tempo*w.usualS, c.restS)
				if r := feed(t, s, 100, "RLMW", w.activity); r.count(w.activity) != 4 || len(r.summaries) != 1 {
					t.Errorf("told, %+v %+v: %v", who, c, r.reps())
				}
				if (i+k)%3 != 0 {
					continue
				}
				if r := feed(t, s, 100, "RLMW"); r.count(w.activity) != 4 || len(r.summaries) != 1 {
					t.Errorf("recognised, %+v %+v: %v", who, c, r.all())
				}
			}
		}
	})
}

// TestKindsOfTempo: slow and held repetitions up to 30 s count and are too slow;
// one that is held longer does not, with its reason, and those after it do.
func TestKindsOfTempo(t *testing.T) {
	eachWay(t, slowly, func(t *testing.T, w way) {
		for _, c := range [][3]float64{{6, 4, 6}, {2, 25, 2}, {14, 1, 14}} {
			p := (&plan{who: kindFigures[1]}).hold(2.5).to(w.start, 1).hold(1)
			for range 2 {
				p.to(w.steps[0], c[0]).hold(c[1]).to(w.steps[1], c[2]).hold(1)
			}
			r := feed(t, tremble(p.hold(4.5).poses, 2, trembleM), 100, "RLMW", w.activity)
			if !slices.Equal(r.reps(), []int{2}) || !r.hasFault("too_slow") {
				t.Errorf("%v s: %+v", c, r.summaries)
			}
		}
		for before := range 2 {
			p := (&plan{who: kindFigures[1]}).hold(2.5).to(w.start, 1).hold(1)
			for range before {
				p.repetition(w, w.usualS)
			}
			p.to(w.steps[0], 2).hold(70).to(w.steps[1], 2).hold(1).repetition(w, w.usualS).repetition(w, w.usualS)
			r := feed(t, tremble(p.hold(4.5).poses, 2, trembleM), 100, "RLMW", w.activity)
			if r.count(w.activity) != 2+before || r.why("too_long") != 1 {
				t.Errorf("held for 70 s after %d: %+v", before, r.summaries)
			}
		}
	})
}

// TestKindsOfHalves: what is not counted is incomplete.
func TestKindsOfHalves(t *testing.T) {
	eachWay(t, func(w way) bool { return len(w.steps) == 2 && w.activity != "A26" }, func(t *testing.T, w way) {
		for _, share := range []float64{0.3, 0.4, 0.5, 0.7} {
			p := (&plan{who: kindFigures[0]}).hold(2.5).to(w.start, 1)
			for _, f := range []float64{1, 1, share, share, 1} {
				p.to(between(w.start, w.steps[0], f), w.usualS/2).to(w.start, w.usualS/2)
			}
			r := feed(t, tremble(p.hold(4.5).poses, 2, trembleM), 100, "RLMW", w.activity)
			if n := r.count(w.activity); len(r.summaries) != 1 || n < 3 || n+r.why("too_small") != 5 {
				t.Errorf("%v of the way: %+v", share, r.summaries)
			}
		}
	})
}

// TestKindsOfClocks: a capture time that steps back, and a daemon that begins
// again, are said once and lose nothing.
func TestKindsOfClocks(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, w way) {
		s := performed(kindFigures[1], w, 4, w.usualS, 0.5)
		for i, backS := range []float64{0.2, 0.5, 1, 2.2, 5, 9.9, 61, 7200} {
			list := messages(s)
			for _, p := range list[31+6*i:] {
				p.CaptureNS -= int64(backS * 1e9)
			}
			r := followed(t, list, w.activity)
			if !slices.Equal(r.reps(), []int{4}) || !slices.Equal(r.notices, []string{"clock_back"}) {
				t.Errorf("%v s back: %v, %v", backS, r.reps(), r.notices)
			}
		}
		for _, after := range []int{25, 33, 80} {
			for _, gapS := range []float64{0.1, 3} {
				list := messages(s)
				for i, p := range list[min(after, len(list)-20):] {
					p.Seq, p.CaptureNS = uint64(i+1), int64(i+1)*1e8-5e6
					p.CaptureTime = wallTime(float64(after+i)/10 + gapS)
				}
				r := followed(t, list, w.activity)
				if n := r.count(w.activity); n < 4-int(math.Ceil(gapS/10)) || !slices.Equal(r.notices, []string{"restarted"}) {
					t.Errorf("restarted after %d poses, %v s: %v, %v", after, gapS, r.reps(), r.notices)
				}
			}
		}
	})
}

// TestKindsOfPeople: who comes after somebody of another size begins their own
// set, whether the room was empty in between or not.
func TestKindsOfPeople(t *testing.T) {
	eachWay(t, nil, func(t *testing.T, w way) {
		for i, heights := range [][2]float64{{1.9, 1.2}, {1.2, 1.9}, {1.75, 1.55}, {1.5, 1.8}, {1.1, 1.4}} {
			emptyS := []float64{0, 1, 3, 5, 20}[i]
			p := (&plan{who: figure{heightM: heights[0]}}).hold(2.5).to(w.start, 1).repetition(w, w.usualS).repetition(w, w.usualS).to(posture{}, 1).hold(3)
			left := len(p.poses)
			p.who = figure{heightM: heights[1], awayM: 0.2}
			p.hold(emptyS).hold(3).to(w.start, 1)
			for range 3 {
				p.repetition(w, w.usualS)
			}
			list := messages(tremble(p.to(posture{}, 1).hold(4).poses, 4, trembleM))
			for _, m := range list[left : left+int(emptyS*10)] {
				m.JointsM = nil
			}
			if r := followed(t, list, w.activity); !slices.Equal(r.reps(), []int{2, 3}) {
				t.Errorf("%v m, %v s empty: %v, %v", heights, emptyS, r.reps(), r.notices)
			}
		}
	})
}

// TestKindsOfSides: the other side than was asked for is wrong_side and counts
// nothing; asked for both, it is that side's.
func TestKindsOfSides(t *testing.T) {
	eachWay(t, func(w way) bool { return mirrorActivity(w) != "" }, func(t *testing.T, w way) {
		s := performed(kindFigures[1], w, 4, w.usualS, 0.5)
		other := mirrorActivity(w)
		r := feed(t, s, 100, "RLMW", other)
		if !slices.Equal(r.reps(), []int{0}) || !r.hasFault("wrong_side") || r.summaries[0].Left+r.summaries[0].Right != 4 {
			t.Errorf("asked for %s: %+v", other, r.summaries)
		}
		r = feed(t, s, 100, "RLMW", other, w.activity)
		if !slices.Equal(r.reps(), []int{4}) || r.count(w.activity) != 4 || r.hasFault("wrong_side") {
			t.Errorf("asked for both: %+v", r.summaries)
		}
	})
}

// TestSidesInTurn: left and right in turn are two sets, each with all of its own.
func TestSidesInTurn(t *testing.T) {
	eachWay(t, func(w way) bool { return mirrorActivity(w) > w.activity }, func(t *testing.T, w way) {
		other := mirrorActivity(w)
		v := w.mirrored(other)
		for n := 1; n <= 3; n++ {
			for _, restS := range []float64{0, 8} {
				p := (&plan{who: kindFigures[0]}).hold(2.5)
				for range n {
					p.to(w.start, 0.3).repetition(w, w.usualS).to(v.start, 0.3).hold(restS).repetition(v, w.usualS).hold(restS)
				}
				s := tremble(p.to(posture{}, 0.5).hold(4.5).poses, 2, trembleM)
				for _, told := range [][]string{nil, {w.activity, other}} {
					r := feed(t, s, 100, "RLMW", told...)
					if r.count(w.activity) != n || r.count(other) != n || len(r.summaries) != 2 {
						t.Errorf("%d with %v s between, told %v: %v", n, restS, told, r.all())
					}
					for _, sum := range r.summaries {
						begun, ended := 0, 0
						for _, e := range r.events {
							switch {
							case e.ID != sum.ID:
							case e.Type == "new":
								begun++
							case e.Type == "end":
								ended++
							}
						}
						if begun != 1 || ended != 1 {
							t.Errorf("set %s: %d new and %d end", sum.ID, begun, ended)
						}
					}
				}
			}
		}
	})
}

// TestKindsOfSittingDown: the set ends soon after, and another one follows.
func TestKindsOfSittingDown(t *testing.T) {
	seat := posture{pelvis: [3]float64{0, 0.5, -0.45}, lean: 5}
	eachWay(t, nil, func(t *testing.T, w way) {
		p := (&plan{who: kindFigures[1]}).hold(2.5).to(w.start, 1).repetition(w, w.usualS).repetition(w, w.usualS).hold(0.5).to(seat, 1.5)
		sits := len(p.poses)
		p.hold(8).to(posture{}, 1.5).hold(2).to(w.start, 1).repetition(w, w.usualS).repetition(w, w.usualS).hold(4.5)
		s := tremble(p.poses, 2, trembleM)
		if r := feed(t, s, 100, "RLMW", w.activity); !slices.Equal(r.reps(), []int{2, 2}) {
			t.Errorf("%v", r.reps())
		}
		if r := unfinished(t, messages(s[:sits+40]), w.activity); !slices.Equal(r.reps(), []int{2}) {
			t.Errorf("4 s after sitting down: %+v", r.summaries)
		}
	})
}
