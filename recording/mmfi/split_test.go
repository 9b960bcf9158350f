package mmfi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"posefuse/recording"
)

// validationBySeed is the table of model.md 1.4.
var validationBySeed = [27]string{
	"1 4 7 10 20 22 24 39", "1 6 9 10 12 13 16 38", "8 9 12 16 19 23 32 36",
	"1 4 9 11 20 22 25 34", "1 2 4 6 9 10 24 31", "9 10 15 17 28 31 36 38",
	"2 10 11 16 17 21 26 36", "4 5 15 20 24 26 29 36", "4 6 9 11 20 21 22 27",
	"2 23 28 29 30 34 39 40", "1 10 16 26 29 30 34 37", "8 13 14 17 18 26 28 34",
	"3 4 7 12 13 23 28 36", "3 11 14 17 19 26 27 35", "8 11 13 17 23 25 27 29",
	"1 6 8 9 12 13 28 29", "2 5 6 17 31 32 33 38", "5 7 8 16 21 23 32 38",
	"3 6 9 18 20 25 35 39", "3 6 11 20 23 30 32 35", "10 16 21 27 29 32 36 39",
	"5 9 10 11 16 21 35 36", "1 5 9 19 21 30 32 37", "10 13 20 26 27 28 32 39",
	"1 2 4 16 18 24 35 36", "5 9 16 24 26 27 29 40", "2 5 7 14 18 20 27 33",
}

func TestPermutation(t *testing.T) {
	want := []int{
		22, 20, 25, 4, 10, 15, 28, 11, 18, 29, 27, 35, 37, 2, 39, 30, 34, 16, 36, 8, 13, 5, 17, 14,
		33, 7, 32, 1, 26, 12, 31, 24, 6, 23, 21, 19, 9, 38, 3, 0,
	}
	if diff := cmp.Diff(want, permutation(0, 40)); diff != "" {
		t.Error(diff)
	}
}

func TestRandomSplitValidationLists(t *testing.T) {
	for seed, want := range validationBySeed {
		got := strings.Trim(fmt.Sprint(randomValidation(uint32(seed))), "[]")
		if got != want {
			t.Errorf("seed %d: %s, want %s", seed, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	counts := map[int][2]int{1: {133056, 33264}, 2: {123552, 30888}, 3: {256608, 64152}} // frames, S1 and S2
	for protocol := 1; protocol <= 3; protocol++ {
		activities, err := Activities(protocol)
		if err != nil {
			t.Fatal(err)
		}
		for _, split := range []string{"S1", "S2", "S3"} {
			train, val, err := Split(protocol, split)
			if err != nil {
				t.Fatal(err)
			}
			want := counts[protocol]
			if split == "S3" { // a quarter of the subjects validates
				all := want[0] + want[1]
				want = [2]int{all * 3 / 4, all / 4}
			}
			if got := [2]int{len(train) * FramesPerClip, len(val) * FramesPerClip}; got != want {
				t.Errorf("P%d %s: %v frames, want %v", protocol, split, got, want)
			}
			seen := map[recording.Key]bool{}
			for _, k := range append(slices.Clone(train), val...) {
				if seen[k] || !slices.Contains(activities, k.Activity) {
					t.Errorf("P%d %s: clip %s twice or not of the protocol", protocol, split, k)
				}
				seen[k] = true
			}
			for _, k := range val {
				ok := true
				switch split {
				case "S1":
					position := slices.Index(activities, k.Activity)
					ok = slices.Contains(strings.Fields(validationBySeed[position]), fmt.Sprint(k.Subject))
				case "S2":
					ok = k.Subject%5 == 0
				case "S3":
					ok = Environment(k.Subject) == 4
				}
				if !ok {
					t.Errorf("P%d %s validates on %s", protocol, split, k)
				}
			}
		}
	}
}

// The toolkit's order groups by subject in order of first appearance.
func TestSplitOrder(t *testing.T) {
	_, val, err := Split(1, "S1")
	if err != nil {
		t.Fatal(err)
	}
	// A02 has seed 0: subjects 1 4 7 10 20 22 24 39 come first.
	var subjects []int
	for i, k := range val {
		if i == 0 || val[i-1].Subject != k.Subject {
			subjects = append(subjects, k.Subject)
		}
	}
	if diff := cmp.Diff([]int{1, 4, 7, 10, 20, 22, 24, 39, 6, 9}, subjects[:10]); diff != "" {
		t.Error(diff)
	}
	if len(subjects) != len(slices.Compact(slices.Sorted(slices.Values(subjects)))) {
		t.Error("a subject's clips are not together")
	}
	if val[0] != (recording.Key{Subject: 1, Activity: 2}) || val[1] != (recording.Key{Subject: 1, Activity: 3}) {
		t.Errorf("first clips %v %v", val[0], val[1])
	}
}

func TestSplitErrors(t *testing.T) {
	if _, _, err := Split(4, "S1"); err == nil || !strings.Contains(err.Error(), "protocol 4") {
		t.Errorf("protocol 4: %v", err)
	}
	if _, _, err := Split(1, "random"); err == nil || !strings.Contains(err.Error(), `"random"`) {
		t.Errorf("split random: %v", err)
	}
}
