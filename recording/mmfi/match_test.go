package mmfi_test

import (
	"strings"
	"testing"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// keysOnly is a data set of which only the names are asked.
type keysOnly []recording.Key

func (k keysOnly) Keys() []recording.Key                    { return k }
func (keysOnly) Open(recording.Key) (recording.Clip, error) { panic("not asked") }
func (keysOnly) Describe() string                           { return "three clips" }

func TestMatch(t *testing.T) {
	ds := keysOnly{{Subject: 5, Activity: 12}, {Subject: 5, Activity: 13}, {Subject: 11, Activity: 12}}
	for pattern, want := range map[string]string{
		"S05/A12": "S05/A12",
		"a12":     "S05/A12 S11/A12",
		"E02":     "S11/A12",
		"S11,A13": "S05/A13 S11/A12",
		"A12,S05": "S05/A12 S05/A13 S11/A12",
		"E01/A12": "S05/A12",
		"S1":      "",
	} {
		keys, err := mmfi.Match(ds, pattern)
		var got []string
		for _, k := range keys {
			got = append(got, k.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s matches %v, want %s", pattern, got, want)
		}
		if (err != nil) != (want == "") || err != nil && !strings.Contains(err.Error(), "three clips") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
