package main

import (
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/sim"
)

func TestHeldOutPeople(t *testing.T) {
	motion := testenv.Shared(t, "motion")
	flags := dataFlags{Preset: "mmfi", SimSeed: 1, Mocap: motion, HeldOut: []string{"s06", "cmu13"}}
	train, val, err := flags.open()
	if err != nil {
		t.Fatal(err)
	}
	if train == val || !strings.Contains(train.Describe(), "motion-capture") || !strings.Contains(val.Describe(), "motion-capture") {
		t.Errorf("training on %q, validation on %q: want recorded motion in both, of different people", train.Describe(), val.Describe())
	}
	flags.HeldOut = []string{"s06", "nobody"}
	if _, _, err := flags.open(); err == nil || !strings.Contains(err.Error(), "--held-out nobody") || !strings.Contains(err.Error(), "s01") {
		t.Errorf("an unknown person: got %v, want an error that lists the known ones", err)
	}
}

func TestHeldOutPeopleOfBVH(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "anna_A13.bvh"), []byte(swingBVH()))
	writeFile(t, filepath.Join(dir, "ben_A13.bvh"), []byte(swingBVH()))
	flags := dataFlags{Preset: "mmfi", SimSeed: 1, Mocap: dir, HeldOut: []string{"ben"}}
	train, val, err := flags.open()
	if err != nil {
		t.Fatal(err)
	}
	for ds, want := range map[recording.Dataset]string{train: "mocap anna_A13.bvh", val: "mocap ben_A13.bvh"} {
		clip, err := ds.(*sim.Dataset).Clip(recording.Key{Subject: 1, Activity: 13})
		if err != nil {
			t.Fatal(err)
		}
		if got := clip.Motion().Source(); got != want {
			t.Errorf("moved by %q, want %q", got, want)
		}
	}
	flags.HeldOut = []string{"s06"}
	if _, _, err := flags.open(); err == nil || !strings.Contains(err.Error(), "--held-out s06") || !strings.Contains(err.Error(), "anna, ben") {
		t.Errorf("an unknown person: got %v, want an error that lists the known ones", err)
	}
}
