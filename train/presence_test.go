package train

import (
	"testing"

	"posefuse/frame"
	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// TestPresenceIsTrue: of the ticks with about the same presence, that share have
// somebody in them, in rooms that the table of package person was not made from.
func TestPresenceIsTrue(t *testing.T) {
	testenv.Slow(t)
	testenv.NoRace(t, "nothing here runs at once")
	const people, frames = 12, 60
	letters := func(s ...modality.Kind) (set modality.Set) {
		for _, m := range s {
			set |= modality.Of(m)
		}
		return set
	}
	for _, need := range []modality.Set{
		letters(modality.Camera, modality.LiDAR, modality.Radar), letters(modality.LiDAR, modality.Radar),
		letters(modality.LiDAR), letters(modality.Camera), letters(modality.Camera, modality.Radar),
	} {
		var ticks, somebody [4]int // by presence: to 0.25, 0.5, 0.75, 1
		var said [4]float64
		for _, empty := range []bool{true, false} {
			ds, err := sim.NewRooms(sim.RoomsConfig{Seed: 31, People: people, FramesPerClip: frames, Ranges: sim.DefaultRanges(), Empty: empty})
			if err != nil {
				t.Fatal(err)
			}
			for s := 1; s <= people; s++ {
				for _, p := range presences(t, ds, recording.Key{Subject: s, Activity: s + 5}, need) {
					bin := min(int(4*p), 3)
					ticks[bin]++
					said[bin] += p
					if !empty {
						somebody[bin]++
					}
				}
			}
		}
		for bin, n := range ticks {
			if n == 0 {
				continue
			}
			share, mean := float64(somebody[bin])/float64(n), said[bin]/float64(n)
			t.Logf("%4s: presence %.2f in %4d ticks, somebody in %.2f", need, mean, n, share)
			if off := share - mean; n > 100 && (off > 0.2 || off < -0.2) {
				t.Errorf("%s: presence is %.2f, and somebody is there in %.2f of %d ticks", need, mean, share, n)
			}
		}
	}
}

// presences returns what is said in each frame of a clip by some sensors.
func presences(t *testing.T, ds recording.Dataset, key recording.Key, need modality.Set) (said []float64) {
	clip, err := ds.Open(key)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFeed(clip, modeltest.Small(), PersonStage(frame.AnyRoom))
	if err != nil {
		t.Fatal(err)
	}
	f.need = need
	var fr recording.Frame
	for i := range clip.Len() {
		if err := clip.(recording.PartialClip).FrameOf(i, need, &fr); err != nil {
			t.Fatal(err)
		}
		if err := f.take(i, &fr, need); err != nil {
			t.Fatal(err)
		}
		said = append(said, f.in.End(need&^fr.Absent).Presence)
	}
	return said
}
