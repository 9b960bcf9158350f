package recording_test

import (
	"testing"

	"pgregory.net/rapid"

	"posefuse/recording"
)

// TestWindowRepeatsTheEdges compares a window with the frames it would hold if
// the clip went on before its first and after its last frame.
func TestWindowRepeatsTheEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := recording.Window{Before: rapid.IntRange(0, 100).Draw(t, "before"), After: rapid.IntRange(0, 100).Draw(t, "after")}
		n := rapid.IntRange(1, 120).Draw(t, "frames")
		target := rapid.IntRange(0, n-1).Draw(t, "target")
		padding := 0
		for place := range w.Len() {
			frame, padded := w.Frame(target, place, n)
			wanted := target - w.Before + place
			switch {
			case wanted < 0 && (frame != 0 || !padded),
				wanted >= n && (frame != n-1 || !padded),
				wanted >= 0 && wanted < n && (frame != wanted || padded):
				t.Errorf("place %d is frame %d (padded: %v), want %d of %d", place, frame, padded, wanted, n)
			}
			if padded {
				padding++
			}
		}
		if got := w.Padding(target, n); got != padding {
			t.Errorf("%d places are padded, want %d", got, padding)
		}
		if frame, padded := w.Frame(target, w.Before, n); frame != target || padded {
			t.Errorf("the target's place holds frame %d", frame)
		}
	})
}
