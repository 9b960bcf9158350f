package sim

import (
	"strings"
	"testing"
)

// In one room the sensors stand alike in every clip, whatever its seed; without that
// each clip has a room of its own.
func TestMisplacedIsTheRooms(t *testing.T) {
	fixed := Misplaced{Fixed: true, LiDARShiftM: Vec{0.1, 0, -0.1}, LiDARYawDeg: 2, RadarShiftM: Vec{0, 0.2, 0}}
	of := func(seed uint64, activity int, m Misplaced) Extrinsics {
		w := DefaultWorld()
		w.Misplaced = m
		ds, err := NewDataset(Config{Seed: seed, Preset: "hard", FramesPerClip: 3, World: &w})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range ds.Keys() {
			if k.Subject != 3 || k.Activity != activity {
				continue
			}
			c, err := ds.Open(k)
			if err != nil {
				t.Fatal(err)
			}
			return c.(*Clip).Extrinsics()
		}
		t.Fatal("no such clip")
		return Extrinsics{}
	}
	want := of(1, 12, fixed)
	if want.LiDARShiftM != fixed.LiDARShiftM || want.RadarShiftM != fixed.RadarShiftM || want.LiDARYawRad < 0.0349 || want.LiDARYawRad > 0.035 {
		t.Errorf("the sensors stand off by %+v, want %+v", want, fixed)
	}
	if got := of(2, 22, fixed); got != want {
		t.Errorf("another clip has %+v, want %+v", got, want)
	}
	if of(1, 12, Misplaced{}) == of(2, 12, Misplaced{}) || of(1, 12, Misplaced{}) == of(1, 22, Misplaced{}) {
		t.Error("clips that draw their own are alike")
	}
	w := DefaultWorld()
	for want, m := range map[string]Misplaced{"misplaced.radar_shift_m": {Fixed: true, RadarShiftM: Vec{0, 9, 0}}, "misplaced.fixed": {LiDARYawDeg: 1}} {
		w.Misplaced = m
		if p := w.Check(); len(p) != 1 || !strings.Contains(p[0].Error(), want) {
			t.Errorf("%+v: %v, want %s", m, p, want)
		}
	}
}
