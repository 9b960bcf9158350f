package train

import (
	"errors"
	"testing"

	"posefuse/frame"
	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
)

// TestFound: rooms of every kind, half of them empty. Ghosts of the camera, clutter
// of the radar and furniture of a person's shape give no pose, people do.
func TestFound(t *testing.T) {
	cfg := modeltest.Small()
	for _, empty := range []bool{true, false} {
		ds, err := sim.NewRooms(sim.RoomsConfig{Seed: 5, People: 20, FramesPerClip: 50, Ranges: sim.DefaultRanges(), Empty: empty})
		if err != nil {
			t.Fatal(err)
		}
		var keys []recording.Key
		for s := 1; s <= 20; s++ {
			keys = append(keys, recording.Key{Subject: s, Activity: s + 5})
		}
		late := Part{From: 0.4, To: 1}
		d, err := Load(t.Context(), ds, keys, cfg, LoadOptions{Window: model.Causal, Part: late, Stage: PersonStage(frame.Simulated)})
		if err != nil {
			t.Fatal(err)
		}
		found := d.Found()
		t.Logf("empty %v: somebody in %d of %d ticks", empty, found.Somebody, found.Ticks)
		if found.Ticks != 600 || empty && found.Somebody > 6 || !empty && found.Share() < 0.95 {
			t.Errorf("empty %v: somebody in %d of %d ticks", empty, found.Somebody, found.Ticks)
		}
		room, err := Load(t.Context(), ds, keys[:4], cfg.Room(), LoadOptions{Window: model.Causal, Part: late})
		switch {
		case empty && !errors.Is(err, ErrNobody):
			t.Errorf("a network for any room was given empty rooms: %v", err)
		case !empty && err != nil:
			t.Error(err)
		case room.Found().Ticks != 120:
			t.Errorf("%d ticks in four clips", room.Found().Ticks)
		}
	}
}
