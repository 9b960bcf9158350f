package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"testing"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// motionHash identifies the joints of a motion at 20 times, bit by bit.
func motionHash(m Motion) string {
	h := sha256.New()
	for i := range 20 {
		for _, v := range m.At(-0.2 + float64(1.37*float64(i))) {
			for _, x := range v {
				_ = binary.Write(h, binary.LittleEndian, math.Float64bits(x))
			}
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// TestMotionGolden pins the joints: a change here changes every simulated data
// set and asks for a new generator version.
func TestMotionGolden(t *testing.T) {
	l := loadShared(t)
	got := map[string]string{}
	for _, a := range []int{1, 6, 9, 12, 20, 26} {
		key := recording.Key{Subject: 13, Activity: a}
		got[mmfi.Path(key)] = motionHash(NewProcedural(1, key, MotionOptions{}))
	}
	for _, a := range []int{6, 12, 13} {
		key := recording.Key{Subject: 13, Activity: a}
		m, ok := l.Motion(1, key, MotionOptions{})
		if !ok {
			t.Fatalf("A%02d: no recorded motion", a)
		}
		got[mmfi.Path(key)+" recorded"] = motionHash(m)
	}
	want := map[string]string{
		"E02/S13/A01":          "f37740b2e08e884d",
		"E02/S13/A06":          "a6500bc301befb92",
		"E02/S13/A09":          "7d6fb3ca9aeb08f9",
		"E02/S13/A12":          "4fbcde04ab62ff6e",
		"E02/S13/A20":          "72a5ddc6a287eb9c",
		"E02/S13/A26":          "101c379eaecf0b58",
		"E02/S13/A06 recorded": "352605723704ef34",
		"E02/S13/A12 recorded": "bf3426a9ee246fbd",
		"E02/S13/A13 recorded": "37eca61733b867de",
	}
	for name, hash := range got {
		if want[name] != hash {
			t.Errorf("%q: %q,", name, hash)
		}
	}
}

// TestMotionIsAFunctionOfItsKey checks that order, company and clip length do
// not matter, and that seed, subject and activity do.
func TestMotionIsAFunctionOfItsKey(t *testing.T) {
	key := recording.Key{Subject: 6, Activity: 12}
	m := NewProcedural(4, key, MotionOptions{})
	want := m.At(10)
	for tS := 20.0; tS > 5; tS -= 0.7 {
		m.At(tS)
	}
	NewProcedural(4, recording.Key{Subject: 6, Activity: 13}, MotionOptions{}).At(1)
	if m.At(10) != want || NewProcedural(4, key, MotionOptions{}).At(10) != want {
		t.Error("the same key gives another pose")
	}
	if NewProcedural(4, key, MotionOptions{Frames: 2000}).At(10) != want {
		t.Error("a longer clip gives another pose")
	}
	for name, other := range map[string]Motion{
		"seed":     NewProcedural(5, key, MotionOptions{}),
		"subject":  NewProcedural(4, recording.Key{Subject: 7, Activity: 12}, MotionOptions{}),
		"activity": NewProcedural(4, recording.Key{Subject: 6, Activity: 13}, MotionOptions{}),
	} {
		if other.At(10) == want {
			t.Errorf("another %s gives the same pose", name)
		}
	}

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if m.At(10) != want {
					t.Error("concurrent use gives another pose")
				}
			}
		})
	}
	wg.Wait()
}
