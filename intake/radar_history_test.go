package intake

import (
	"slices"
	"testing"

	"posefuse/internal/testenv"
)

// rowsAt are n points whose x tells the frame.
func rowsAt(frame, n int) []float32 {
	var out []float32
	for i := range n {
		out = append(out, float32(frame), float32(i), 3, 0.5, 20)
	}
	return out
}

// framesOf lists the frame and age, in hundredths of a second, of each row.
func framesOf(rows []float32) (out [][2]int) {
	for ; len(rows) > 0; rows = rows[5:] {
		out = append(out, [2]int{int(rows[0]), int(rows[4]*100 + 0.5)})
	}
	return out
}

func TestRadarHistory(t *testing.T) {
	const tick = 100_000_000
	type step struct {
		atNS        int64
		frame       int
		took, there bool
		want        [][2]int
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"newest first, the oldest leaves", []step{
			{1 * tick, 1, true, true, [][2]int{{1, 0}}},
			{2 * tick, 2, true, true, [][2]int{{2, 0}, {1, 10}}},
			{3 * tick, 3, true, true, [][2]int{{3, 0}, {2, 10}, {1, 20}}},
			{4 * tick, 4, true, true, [][2]int{{4, 0}, {3, 10}, {2, 20}}},
		}},
		{"a tick that was left out is forgotten", []step{
			{1 * tick, 1, true, true, [][2]int{{1, 0}}},
			{2 * tick, 2, false, true, [][2]int{{2, 0}, {1, 10}}},
			{3 * tick, 3, true, true, [][2]int{{3, 0}, {1, 20}}},
		}},
		{"a radar slower than the ticks gives each frame once", []step{
			{1 * tick, 1, true, true, [][2]int{{1, 0}}},
			{1 * tick, 1, true, true, [][2]int{{1, 0}}},
			{3 * tick, 3, true, true, [][2]int{{3, 0}, {1, 20}}},
		}},
		{"a gap ends it", []step{
			{1 * tick, 1, true, true, [][2]int{{1, 0}}},
			{12 * tick, 2, true, true, [][2]int{{2, 0}}},
		}},
		{"so does an empty room", []step{
			{1 * tick, 1, true, true, [][2]int{{1, 0}}},
			{2 * tick, 2, true, false, [][2]int{{2, 0}, {1, 10}}},
			{3 * tick, 3, true, true, [][2]int{{3, 0}}},
		}},
		{"a clock that went back", []step{
			{5 * tick, 1, true, true, [][2]int{{1, 0}}},
			{2 * tick, 2, true, true, [][2]int{{2, 0}}},
		}},
	} {
		h := radarHistory{frames: 3}
		for i, s := range c.steps {
			if got := framesOf(h.sample(s.atNS, rowsAt(s.frame, 1))); !slices.Equal(got, s.want) {
				t.Errorf("%s, step %d: frames and ages %v, want %v", c.name, i, got, s.want)
			}
			h.end(s.took, s.there)
		}
	}
}

func TestRadarHistoryAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the detector allocates")
	h := radarHistory{frames: 4}
	rows, at := rowsAt(1, 40), int64(0)
	tick := func() {
		at += 50_000_000
		h.sample(at, rows)
		h.end(true, true)
		h.sample(at, rows) // the next tick has the same frame
		h.end(true, true)
	}
	for range 10 {
		tick()
	}
	if n := testenv.AllocsPerRun(20, tick); n != 0 {
		t.Errorf("%g allocations a tick", n)
	}
}
