package person

import (
	"fmt"
	"testing"
)

// TestFinderKeepsThePerson is the measure: rooms never seen before, with the
// person in them from the first sweep.
func TestFinderKeepsThePerson(t *testing.T) {
	for _, camera := range []bool{false, true} {
		for name, furnish := range map[string]func(m *testRoom, x, y float64){
			"open":         func(*testRoom, float64, float64) {},
			"chair behind": func(m *testRoom, x, y float64) { m.furnish(chair(x, y+0.5)...) },
			"wall behind":  func(m *testRoom, x, y float64) { m.hi[2] = y + 0.7 },
			"bed aside": func(m *testRoom, x, y float64) {
				m.furnish(testBox{[3]float64{x + 0.5, 0, y - 1}, [3]float64{x + 1.4, 0.5, y + 1}})
			},
		} {
			t.Run(fmt.Sprintf("%s camera=%v", name, camera), func(t *testing.T) {
				var all share
				for _, c := range []struct {
					subject, activity int
					x, y              float64
				}{
					{1, 12, 0, 3.1}, {7, 12, 0.4, 2}, {12, 13, -0.3, 2.6}, {20, 16, 0, 4.5}, {33, 1, 0.6, 3.8}, {5, 20, -0.8, 3.3}, {9, 7, 0, 3},
				} {
					m := newTestRoom(uint64(c.subject))
					furnish(m, c.x, c.y)
					m.people = []*walker{newWalker(uint64(c.activity), c.subject, c.activity, stands(c.x, c.y))}
					f := NewFinder(Config{LiDARAtM: [3]float64{0, 0, 0.95}})
					s := m.run(f, 0, 4, camera)
					t.Logf("S%02d A%02d at %.1f, %.1f m: kept %.1f %%, background %.1f %%, without %d of %d, off %.3f m", c.subject, c.activity, c.x, c.y, 100*s.recall(), 100*s.background(), s.without, s.sweeps, s.offM/float64(s.sweeps))
					all.add(s)
				}
				t.Logf("all: kept %.1f %%, background %.1f %%, without %d of %d", 100*all.recall(), 100*all.background(), all.without, all.sweeps)
				if all.recall() < 0.95 || all.background() > 0.1 {
					t.Errorf("kept %.1f %%, background %.1f %%; want 95 and 10", 100*all.recall(), 100*all.background())
				}
			})
		}
	}
}
