package model

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"posefuse/frame"
)

// TestCardsSayWhatANetworkHasSeen: an old card is read as the simulator's
// arrangement, and what does not go together is refused with its key.
func TestCardsSayWhatANetworkHasSeen(t *testing.T) {
	low := frame.Simulated
	low.CameraHeightM, low.FocalPerWidth = 0.5, 0.7
	good := Envelope{BaseMM: 60, MaxRatio: 1.3, Rooms: []RoomScore{{Name: "base", MM: 60, Ratio: 1}}, Ranges: map[frame.Quantity]Range{frame.CameraHeight: {Min: 0.9, Max: 1.25, MM: 64, Ratio: 1.1}}}
	broken := low
	broken.DistanceM = 0
	for name, c := range map[string]struct {
		card Card
		want frame.Arrangement
		err  string
	}{
		"old":                          {card: Card{}, want: frame.Simulated},
		"of its own":                   {card: Card{Config: Config{Recipe: RecipePaper}, Arrangement: &low, Envelope: &good}, want: low},
		"of the room":                  {card: Card{Config: Config{Recipe: RecipeRoom}, Envelope: &good}, want: frame.AnyRoom},
		"another recipe":               {card: Card{Config: Config{Recipe: "soup"}}, err: `recipe "soup"`},
		"of the room, and arranged":    {card: Card{Config: Config{Recipe: RecipeRoom}, Arrangement: &low}, err: "arrangement: a network of recipe room has none"},
		"people in the camera":         {card: Card{Arrangement: &broken}, err: "arrangement: distance_m is 0"},
		"a range from high to low":     {card: Card{Envelope: &Envelope{BaseMM: 60, MaxRatio: 1.3, Rooms: []RoomScore{{Name: "base", MM: 60, Ratio: 1}}, Ranges: map[frame.Quantity]Range{frame.Distance: {Min: 4, Max: 2}}}}, err: "distance_m from 4 to 2"},
		"a quantity nobody knows":      {card: Card{Envelope: &Envelope{BaseMM: 60, MaxRatio: 1.3, Rooms: []RoomScore{{Name: "base", MM: 60, Ratio: 1}}, Ranges: map[frame.Quantity]Range{"mood": {}}}}, err: `"mood"`},
		"an envelope without its base": {card: Card{Envelope: &Envelope{}}, err: "base_mm 0"},
	} {
		recipe := c.card.Config.Recipe
		c.card.Schema, c.card.Window, c.card.Weights, c.card.Config = cardSchema, Causal, "w.safetensors", small()
		c.card.Config.Recipe = recipe
		b, err := json.Marshal(c.card)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadCard(fstest.MapFS{CardFile: {Data: b}}, ".")
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), CardFile) {
				t.Errorf("%s: error %v, want %q", name, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case got.TrainedIn() != c.want:
			t.Errorf("%s: %+v, want %+v", name, got.TrainedIn(), c.want)
		}
	}
}
