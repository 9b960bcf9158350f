package calibration

import (
	"fmt"
	"testing"
)

// TestSelectorTakesNewPlaces: a board that moves is not taken, one that is held
// still is, once.
func TestSelectorTakesNewPlaces(t *testing.T) {
	var s Selector
	at := func(x float64) View {
		sc := scene{lens: testLens, board: a4Board, cameraFromBoard: held(a4Board, vec{x, 0, 0.5}, 10, 0, 0)}
		v := View{Name: fmt.Sprint(x), Width: 640}
		for row := range 6 {
			for col := range 9 {
				px, py := sc.corner(col, row)
				v.Points = append(v.Points, Point{col, row, px, py})
			}
		}
		return v
	}
	for i, step := range []struct {
		x    float64
		want bool
	}{{0, false}, {0, true}, {0, false}, {0.01, false}, {0.05, false}, {0.06, false}, {0.06, true}, {0.061, false}, {0, false}, {0, false}, {-0.06, false}, {-0.0605, true}} {
		if got := s.Offer(at(step.x)); got != step.want {
			t.Errorf("picture %d at %v m: taken %t", i, step.x, got)
		}
	}
	if len(s.Views) != 3 {
		t.Errorf("%d views", len(s.Views))
	}
}
