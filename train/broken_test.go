package train

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// flawedSet is a data set of which some frames cannot be used: frame 2 of A12 has no
// LiDAR and frame 4 no radar by design, frame 3 of A13 a truth of zeros, A14 does
// not open.
type flawedSet struct{ recording.Dataset }

type flawedClip struct{ recording.Clip }

func (s flawedSet) Open(k recording.Key) (recording.Clip, error) {
	if k.Activity == 14 {
		return nil, errors.New("its truth is cut")
	}
	c, err := s.Dataset.Open(k)
	return flawedClip{c}, err
}

func (c flawedClip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	switch a := c.Key().Activity; {
	case a == 12 && i == 1 && which.Has(modality.LiDAR):
		return fs.ErrNotExist
	case a == 12 && i == 3 && which.Has(modality.Radar):
		return recording.ErrLeftOut
	}
	return c.Frame(i, f)
}

func (c flawedClip) Truth(i int) (recording.Pose, error) {
	if c.Key().Activity == 13 && i == 2 {
		return recording.Pose{}, nil
	}
	return c.Clip.Truth(i)
}

// TestBrokenDataIsListedOrSkipped loads a data set with every kind of flaw, for
// networks in the paper's form and with a search for the person.
func TestBrokenDataIsListedOrSkipped(t *testing.T) {
	ds, err := sim.NewDataset(sim.Config{Seed: 5, Preset: "clean", FramesPerClip: 6})
	if err != nil {
		t.Fatal(err)
	}
	set := flawedSet{ds}
	keys := []recording.Key{{Subject: 1, Activity: 12}, {Subject: 1, Activity: 13}, {Subject: 1, Activity: 14}}
	room := modeltest.Small().Room()
	for name, cfg := range map[string]model.Config{"paper": modeltest.Small(), "room": room} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(t.Context(), set, keys, cfg, LoadOptions{Window: model.Causal})
			broken, ok := errors.AsType[*BrokenError](err)
			if !ok || broken.Clips != 1 || broken.Frames != 1 || !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("want one clip and one frame named, have %v", err)
			}
			for _, want := range []string{"S01/A12: frame 2", "S01/A14: its truth is cut"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			d, err := Load(t.Context(), set, keys, cfg, LoadOptions{Window: model.Causal, SkipBroken: true})
			if err != nil {
				t.Fatal(err)
			}
			// The person is found only in the later frames.
			if got := d.Clips[0]; name == "paper" && !slices.Equal(got.Frames, []int{0, 2, 4, 5}) || slices.Contains(got.Frames, 1) || slices.Contains(got.Frames, 3) || got.Broken != 1 || got.LeftOut != 1 {
				t.Errorf("A12 has frames %v, %d broken, %d left out", got.Frames, got.Broken, got.LeftOut)
			}
			if got := d.Clips[1]; name == "paper" && !slices.Equal(got.Frames, []int{0, 1, 3, 4, 5}) || slices.Contains(got.Frames, 2) || got.Broken != 1 {
				t.Errorf("A13 has frames %v, %d broken", got.Frames, got.Broken)
			}
			if lines := d.Warnings(); len(lines) != 2 || !strings.Contains(lines[0], "1 frames in 1 clips are left out") || !strings.Contains(lines[1], "2 frames and 1 whole clips that cannot be used are skipped") {
				t.Errorf("warnings %q", lines)
			}
			d, err = Load(t.Context(), set, keys[1:2], cfg, LoadOptions{Window: model.Causal})
			if err != nil {
				t.Fatal(err)
			}
			if lines := d.Warnings(); len(lines) != 1 || !strings.Contains(lines[0], "S01/A13 frame 3: all joints are zero") {
				t.Errorf("of a truth of zeros: %q", lines)
			}
		})
	}
}

// TestNeedsAreWhatLoadingTakes holds what is said before loading against what is
// taken.
func TestNeedsAreWhatLoadingTakes(t *testing.T) {
	ds, err := sim.NewDataset(sim.Config{Seed: 5, Preset: "clean", FramesPerClip: 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, stride := range []int{1, 3} {
		s := Selection{Data: ds, Keys: []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 3}}, Part: TrainPart}
		frames, size := s.Needs(modeltest.Small(), stride)
		d, err := s.Load(t.Context(), modeltest.Small(), model.Causal, stride, nil)
		if err != nil {
			t.Fatal(err)
		}
		if frames != len(d.Samples) || size != d.Bytes() {
			t.Errorf("stride %d: said %d frames of %d bytes, taken %d of %d", stride, frames, size, len(d.Samples), d.Bytes())
		}
	}
}
