package sim

import (
	"math"
	"reflect"
	"testing"

	"posefuse/recording"
)

func testRooms(t *testing.T, people int) *Rooms {
	t.Helper()
	d, err := NewRooms(RoomsConfig{Seed: 5, People: people, FramesPerClip: 12, Ranges: DefaultRanges()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRoomsDiffer draws a thousand rooms: each is legal, stays within the ranges,
// and together they fill them.
func TestRoomsDiffer(t *testing.T) {
	d := testRooms(t, 40)
	r := DefaultRanges()
	low, high := [3]float64{9, 9, 9}, [3]float64{}
	usual, turned, seen := 0, 0, 0
	for _, k := range d.Keys() {
		clip, w, err := d.clip(k)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		if reflect.DeepEqual(w.Camera, DefaultWorld().Camera) {
			usual++
			continue
		}
		x, y := w.Person.RightM, standingDepthM+w.Person.FartherM
		for i, v := range []struct {
			name  string
			value float64
			of    Range
		}{
			{"distance", math.Hypot(x, y), r.DistanceM},
			{"camera height", w.Camera.RoomFromCamera.PositionM[2], r.CameraHeightM},
			{"focal length", w.Camera.FocalPx / float64(w.Camera.WidthPx), r.FocalWidths},
		} {
			if v.value < v.of[0]-1e-9 || v.value > v.of[1]+1e-9 {
				t.Errorf("%s: %s %.3f outside %v", k, v.name, v.value, v.of)
			}
			low[i], high[i] = min(low[i], v.value), max(high[i], v.value)
		}
		if math.Abs(w.Person.TurnDeg) > 60 {
			turned++
		}
		if w.shows(clip.subject.HeightM) {
			seen++
		}
	}
	n := len(d.Keys())
	if usual > n/100 {
		t.Errorf("%d of %d rooms are MM-Fi's: nothing legal was found", usual, n)
	}
	for i, of := range []Range{r.DistanceM, r.CameraHeightM, r.FocalWidths} {
		if width := of[1] - of[0]; low[i] > of[0]+width/4 || high[i] < of[1]-width/10 {
			t.Errorf("range %v: drawn %.2f to %.2f", of, low[i], high[i])
		}
	}
	if turned < n/10 || turned > n/3 {
		t.Errorf("%d of %d people are turned by more than 60 degrees", turned, n)
	}
	if share := float64(seen) / float64(n); share < 0.85 {
		t.Errorf("%.2f of the people are in the picture", share)
	}
	t.Logf("%d rooms, %d turned, %d in the picture, %d usual; %v to %v", n, turned, seen, usual, low, high)
}

func TestRoomsRepeat(t *testing.T) {
	k := recording.Key{Subject: 43, Activity: 12} // of the second seed
	var frames [2]recording.Frame
	for i := range frames {
		clip, err := testRooms(t, 80).Open(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := clip.Frame(7, &frames[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(frames[0], frames[1]) {
		t.Error("the same configuration gave two recordings")
	}
	other, err := testRooms(t, 80).Open(recording.Key{Subject: 3, Activity: 12})
	if err != nil {
		t.Fatal(err)
	}
	var f recording.Frame
	if err := other.Frame(7, &f); err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(f.RGB, frames[0].RGB) {
		t.Error("subjects 3 and 43 are one person in one room")
	}
}

func TestRoomsRefuse(t *testing.T) {
	cfg := RoomsConfig{Seed: 1, People: 1, Ranges: DefaultRanges()}
	cfg.Ranges.DistanceM = Range{3, 2}
	if _, err := NewRooms(cfg); err == nil {
		t.Error("a range that ends before it begins was taken")
	}
	if _, err := NewRooms(RoomsConfig{Ranges: DefaultRanges()}); err == nil {
		t.Error("a data set of nobody was taken")
	}
	if _, err := testRooms(t, 2).Open(recording.Key{Subject: 3, Activity: 1}); err == nil {
		t.Error("a clip of a third of two people was opened")
	}
}
