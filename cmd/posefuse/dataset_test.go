package main

import (
	"strings"
	"testing"

	"posefuse/internal/testenv"
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
