package modality_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"posefuse/sensors/modality"
)

func TestKindsHaveLettersAndNames(t *testing.T) {
	var letters string
	var names []string
	for k := range modality.Count {
		letters += k.Letter()
		names = append(names, k.String())
	}
	if letters != "RLMW" || !slices.Equal(names, []string{"camera", "lidar", "radar", "csi"}) {
		t.Errorf("letters %s, names %v", letters, names)
	}
	if k := modality.Count; k.Letter() != "?" || k.String() != "modality(4)" {
		t.Errorf("what is none is %s %s", k.Letter(), k)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]modality.Set{
		"R": modality.Of(modality.Camera), "WL": modality.Of(modality.LiDAR, modality.CSI), "RLMW": modality.All, "MWRL": modality.All,
		"": 0, "RR": 0, "RX": 0, "rl": 0, "-": 0, "Ré": 0,
	} {
		got, err := modality.Parse(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestSetsAreTheirMembers holds String, Kinds, Has, Of, Parse and Subsets of
// any set against each other.
func TestSetsAreTheirMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := modality.Set(rapid.Uint8Range(0, uint8(modality.All)).Draw(t, "set"))
		members := slices.Collect(set.Kinds())
		if modality.Of(members...) != set || !slices.IsSorted(members) {
			t.Errorf("%v holds %v", set, members)
		}
		for k := range modality.Count {
			if set.Has(k) != slices.Contains(members, k) {
				t.Errorf("%v: has %v, members %v", set, k, members)
			}
		}
		if back, err := modality.Parse(set.String()); (set == 0) != (err != nil) || back != set {
			t.Errorf("%v is read as %v, %v", set, back, err)
		}
		subsets := set.Subsets()
		if len(subsets) != 1<<len(members)-1 || set != 0 && subsets[0] != set {
			t.Errorf("%v has the subsets %v", set, subsets)
		}
		for i, s := range subsets {
			if s == 0 || s&^set != 0 || slices.Contains(subsets[:i], s) {
				t.Errorf("%v is no subset of %v of its own", s, set)
			}
		}
	})
}
