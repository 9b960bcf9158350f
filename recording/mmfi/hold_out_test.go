package mmfi_test

import (
	"slices"
	"testing"

	"posefuse/recording/mmfi"
)

func TestHoldOut(t *testing.T) {
	keys, _, err := mmfi.Split(1, "S1")
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range []float64{0, 0.1, 0.5, 1} {
		rest, held := mmfi.HoldOut(keys, share)
		if got := float64(len(held)) / float64(len(keys)); len(rest)+len(held) != len(keys) || got < share-0.05 || got > share+0.05 {
			t.Errorf("share %g: %d held out of %d, %d left", share, len(held), len(keys), len(rest))
		}
		// The same clips, whatever else there is.
		_, few := mmfi.HoldOut(keys[:100], share)
		for _, k := range few {
			if !slices.Contains(held, k) {
				t.Errorf("share %g: %s is held out of a part only", share, k)
			}
		}
	}
}
