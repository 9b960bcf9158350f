package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/frame"
)

// TestOutside: values in range pass, those beyond name range and cost, and a
// camera that is high and looks down passes if such a one was measured.
func TestOutside(t *testing.T) {
	e := Envelope{BaseMM: 60, MaxRatio: 1.3, Base: frame.Measures{frame.CameraHeight: 0.9, frame.CameraTilt: 0, frame.LiDARHeight: 0.95, frame.Turned: 0},
		Ranges: map[frame.Quantity]Range{
			frame.CameraHeight: {Min: 0.5, Max: 1.3, MM: 66, Ratio: 1.1}, frame.CameraTilt: {Min: -10, Max: 0, MM: 67, Ratio: 1.1},
			frame.LiDARHeight: {Min: 0.95, Max: 0.95, MM: 60, Ratio: 1}, frame.Turned: {Min: 0, Max: 15, MM: 70, Ratio: 1.2},
		},
		Rooms: []RoomScore{
			{Name: "base", MM: 60, Ratio: 1},
			{Name: "too high", MM: 90, Ratio: 1.5, Differs: map[frame.Quantity]float64{frame.CameraHeight: 1.7}},
			{Name: "far too high", MM: 190, Ratio: 3.2, Differs: map[frame.Quantity]float64{frame.CameraHeight: 3}},
			{Name: "high and tilted", MM: 72, Ratio: 1.2, Differs: map[frame.Quantity]float64{frame.CameraHeight: 2.1, frame.CameraTilt: -15}},
			{Name: "back", MM: 300, Ratio: 5, Differs: map[frame.Quantity]float64{frame.Turned: 180}},
		}}
	for name, c := range map[string]struct {
		room frame.Measures
		want []string
	}{
		"as in training":                {room: frame.Measures{frame.CameraHeight: 0.9, frame.CameraTilt: 0, frame.LiDARHeight: 0.95}},
		"a tape's error beyond":         {room: frame.Measures{frame.CameraHeight: 1.39}},
		"too high, level":               {room: frame.Measures{frame.CameraHeight: 2.1, frame.CameraTilt: 0}, want: []string{"camera_height_m is 2.1, and the model holds from 0.5 to 1.3 (at most 66 mm there); at 1.7 it was 90 mm, 1.5 times"}},
		"higher than anybody looked":    {room: frame.Measures{frame.CameraHeight: 3.5, frame.CameraTilt: 0}, want: []string{"at 3 it was 190 mm"}},
		"high and looking down":         {room: frame.Measures{frame.CameraHeight: 2.15, frame.CameraTilt: -14, frame.LiDARHeight: 0.95}},
		"high and looking down, LiDAR":  {room: frame.Measures{frame.CameraHeight: 2.15, frame.CameraTilt: -14, frame.LiDARHeight: 1.5}, want: []string{"lidar_height_m is 1.5, and the model was measured at 0.95 only (60 mm); what another value costs nobody measured"}},
		"low: nothing was measured":     {room: frame.Measures{frame.CameraHeight: 0.2}, want: []string{"camera_height_m is 0.2, and the model holds from 0.5 to 1.3 (at most 66 mm there); what another value costs nobody measured"}},
		"two things":                    {room: frame.Measures{frame.CameraTilt: -30, frame.Turned: 90}, want: []string{"camera_tilt_deg is -30", "turn_deg is 90"}},
		"what the envelope lacks":       {room: frame.Measures{frame.RadarHeight: 9}},
		"high and looking up is not it": {room: frame.Measures{frame.CameraHeight: 2.1, frame.CameraTilt: 14}, want: []string{"camera_height_m", "camera_tilt_deg"}},
	} {
		got := e.Outside(c.room)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %d", name, got, len(c.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i].String(), c.want[i]) {
				t.Errorf("%s: %s, want %s", name, got[i], c.want[i])
			}
		}
	}
}

// TestSetEnvelope: it is written beside what the card says, and into no card of
// other weights.
func TestSetEnvelope(t *testing.T) {
	net, err := New(small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	saved, err := SaveCheckpoint(dir, net, Card{Name: "x", Window: Causal, Data: "d"})
	if err != nil {
		t.Fatal(err)
	}
	e := Envelope{BaseMM: 60, MaxRatio: 1.3, Rooms: []RoomScore{{Name: "base", MM: 60, Ratio: 1}}, Ranges: map[frame.Quantity]Range{frame.Aside: {Max: 0.8, MM: 69, Ratio: 1.1}}}
	if err = SetEnvelope(dir, saved.SHA256, &e); err != nil {
		t.Fatal(err)
	}
	back, card, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close() //nolint:errcheck // the test ends
	if card.Data != "d" || card.Envelope == nil || card.Envelope.Ranges[frame.Aside] != e.Ranges[frame.Aside] {
		t.Errorf("%+v", card)
	}
	before, err := os.ReadFile(filepath.Join(dir, CardFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := SetEnvelope(dir, strings.Repeat("0", 64), &e); err == nil || !strings.Contains(err.Error(), "other weights") {
		t.Errorf("other weights: %v", err)
	}
	if err := SetEnvelope(dir, saved.SHA256, &Envelope{}); err == nil {
		t.Error("an empty envelope was written")
	}
	if after, err := os.ReadFile(filepath.Join(dir, CardFile)); err != nil || string(after) != string(before) {
		t.Errorf("the card was changed by a refusal (%v)", err)
	}
	if notices := card.Adopt("other"); card.Envelope != nil || !strings.Contains(strings.Join(notices, "\n"), "where the model holds") {
		t.Errorf("other weights keep the envelope: %v", notices)
	}
}
