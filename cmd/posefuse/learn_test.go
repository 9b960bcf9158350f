package main

import (
	"math"
	"path/filepath"
	"testing"

	"posefuse/recording/label"
)

// TestLearnRoom: the room of the demonstration can be simulated in both sizes, and
// its labels are the true joints, one clip after the other.
func TestLearnRoom(t *testing.T) {
	for _, small := range []bool{false, true} {
		size := learnCmd{Small: small}.size()
		for _, activities := range [][]int{size.sessions, size.judge, size.unseen} {
			if _, err := learnSim(1, true, size.frames, activities); err != nil {
				t.Errorf("small %v, activities %v: %v", small, activities, err)
			}
		}
	}
	data, err := learnSim(1, false, 12, []int{12, 13})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "labels.csv")
	if err = writeLabels(file, data, wrongBy); err != nil {
		t.Fatal(err)
	}
	track, err := label.Read(file, 0)
	if err != nil || len(track.Poses) != 24 || track.Frame != label.Camera || math.Abs(track.RateHz()-10) > 1e-6 {
		t.Fatalf("%v: %+v", err, track)
	}
	clip, err := data.Open(data.Keys()[1])
	if err != nil {
		t.Fatal(err)
	}
	want, err := clip.Truth(5)
	if err != nil {
		t.Fatal(err)
	}
	for j, p := range track.Poses[12+5] {
		for k, v := range p {
			if math.Abs(v-want[j][k]-wrongBy[k]) > 1e-6 {
				t.Fatalf("joint %d: %v, want %v off by %v", j, p, want[j], wrongBy)
			}
		}
	}
}
