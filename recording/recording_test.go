package recording_test

import (
	"testing"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// wholeClip cannot tell its sensors apart; partialClip can.
type (
	wholeClip   struct{ recording.Clip }
	partialClip struct{ wholeClip }
	wholeSet    struct{ recording.Dataset }
	partialSet  struct{ wholeSet }
)

func (wholeClip) Frame(_ int, f *recording.Frame) error {
	f.LiDAR, f.MmWave = []float64{1, 2, 3}, []float64{1, 2, 3, 4, 5}
	return nil
}

func (partialClip) FrameOf(_ int, which modality.Set, f *recording.Frame) error {
	if which.Has(modality.LiDAR) {
		f.LiDAR = []float64{1, 2, 3}
	}
	return nil
}

func (partialSet) Modalities() modality.Set { return modality.Of(modality.Radar) }

func TestReadFrameReadsWhatTheClipCanTellApart(t *testing.T) {
	for name, c := range map[string]struct {
		clip         recording.Clip
		lidar, radar int
	}{"whole": {wholeClip{}, 3, 5}, "partial": {partialClip{}, 3, 0}} {
		var f recording.Frame
		if err := recording.ReadFrame(c.clip, 0, modality.Of(modality.LiDAR), &f); err != nil || len(f.LiDAR) != c.lidar || len(f.MmWave) != c.radar {
			t.Errorf("%s: %v, %d LiDAR and %d radar values", name, err, len(f.LiDAR), len(f.MmWave))
		}
	}
}

func TestModalitiesOfADatasetThatDoesNotSay(t *testing.T) {
	if got := recording.Modalities(wholeSet{}); got != modality.All {
		t.Errorf("a data set that does not say has %v", got)
	}
	if got := recording.Modalities(partialSet{}); got != modality.Of(modality.Radar) {
		t.Errorf("a radar data set has %v", got)
	}
}

func TestKeyNamesSubjectAndActivity(t *testing.T) {
	if got := (recording.Key{Subject: 7, Activity: 12}).String(); got != "S07/A12" {
		t.Error(got)
	}
}
