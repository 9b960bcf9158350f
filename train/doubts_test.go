package train

import (
	"slices"
	"strings"
	"testing"

	"posefuse/frame"
	"posefuse/model"
	"posefuse/recording"
)

// TestDoubts: one movement only and sensors beyond what is known to hold are said,
// of a network for any room; a set with more movements in usual places gets no word.
func TestDoubts(t *testing.T) {
	e := &model.Envelope{Base: frame.Measures{}, Ranges: map[frame.Quantity]model.Range{frame.CameraHeight: {Min: 0.7, Max: 2, MM: 60}}}
	at := func(heightM float64) *frame.Rig {
		a := frame.Simulated
		a.CameraHeightM = heightM
		r := a.Rig()
		return &r
	}
	clips := func(activity int, heightM ...float64) (c []*ClipData) {
		for i, h := range heightM {
			c = append(c, &ClipData{Key: recording.Key{Subject: i + 1, Activity: activity}, Rig: at(h)})
		}
		return c
	}
	for name, c := range map[string]struct {
		clips  []*ClipData
		recipe model.Recipe
		want   []string // of each line
	}{
		"as usual":                 {clips: append(clips(7, 0.9, 1.5), clips(12, 1.2)...), recipe: model.RecipeRoom},
		"one movement":             {clips: clips(12, 0.9, 1.5), recipe: model.RecipeRoom, want: []string{"all 2 clips show activity A12"}},
		"too high and too low":     {clips: append(clips(7, 0.2, 3), clips(12, 1)...), recipe: model.RecipeRoom, want: []string{"2 of 3 clips camera_height_m is outside 0.7 to 2, at worst 3"}},
		"nobody said where":        {clips: []*ClipData{{Key: recording.Key{Activity: 1}}, {Key: recording.Key{Activity: 2}}}, recipe: model.RecipeRoom},
		"of recipe paper":          {clips: append(clips(7, 3), clips(12, 3)...)},
		"one movement and too low": {clips: clips(7, 0.3), recipe: model.RecipeRoom, want: []string{"A07", "at worst 0.3"}},
	} {
		d := &Data{Clips: c.clips, cfg: model.Config{Recipe: c.recipe}}
		got := d.Doubts(e)
		if len(got) != len(c.want) || slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(strings.Join(got, "\n"), w) }) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := (&Data{Clips: clips(7, 3)}).Doubts(nil); len(got) != 1 {
		t.Errorf("without an envelope: %q", got)
	}
}
