package main

import (
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/train"
)

func TestMARSSplits(t *testing.T) {
	folder := testenv.Shared(t, "realdata/mars")
	count := func(keys []recording.Key) map[int]int {
		n := map[int]int{}
		for _, k := range keys {
			n[k.Subject]++
		}
		return n
	}
	for _, c := range []struct {
		holdOut    int
		train, val map[int]int
		parts      [3]train.Part
		split      string
	}{
		{0, map[int]int{2: 10, 3: 10}, map[int]int{2: 10, 3: 10}, [3]train.Part{{From: 0, To: 0.6}, {From: 0.6, To: 0.8}, {From: 0.8, To: 1}}, "within clips"},
		{3, map[int]int{2: 10}, map[int]int{3: 10}, [3]train.Part{}, "subject 3 held out"},
		{2, map[int]int{3: 10}, map[int]int{2: 10}, [3]train.Part{}, "subject 2 held out"},
	} {
		f := dataFlags{marsFlags: marsFlags{MARS: folder, MARSHistory: 2, MARSHoldOut: c.holdOut}}
		a, b, err := f.open()
		if err != nil {
			t.Fatal(err)
		}
		trainKeys, valKeys, err := f.keys(a, b)
		if err != nil {
			t.Fatal(err)
		}
		for s := range 5 {
			if count(trainKeys)[s] != c.train[s] || count(valKeys)[s] != c.val[s] {
				t.Errorf("subject %d held out: %d and %d clips of subject %d, want %d and %d", c.holdOut, count(trainKeys)[s], count(valKeys)[s], s, c.train[s], c.val[s])
			}
		}
		if got := [3]train.Part{f.part(forTraining), f.part(forValidation), f.part(forTest)}; got != c.parts {
			t.Errorf("subject %d held out: parts %v, want %v", c.holdOut, got, c.parts)
		}
		if !strings.Contains(f.split(), c.split) {
			t.Errorf("subject %d held out: %q, want %q", c.holdOut, f.split(), c.split)
		}
	}
	f := dataFlags{marsFlags: marsFlags{MARS: folder, MARSHoldOut: 4}}
	ds, _, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = f.keys(ds, ds); err == nil || !strings.Contains(err.Error(), "subjects [2 3]") {
		t.Errorf("an unknown subject: %v", err)
	}
	f.MMFi = t.TempDir()
	if _, _, err = f.open(); err == nil || !strings.Contains(err.Error(), "--mars and --mmfi") {
		t.Errorf("two data sets: %v", err)
	}
	f = dataFlags{marsFlags: marsFlags{MARS: t.TempDir()}}
	if _, _, err = f.open(); err == nil || !strings.Contains(err.Error(), f.MARS+" holds neither index.csv") {
		t.Errorf("a folder of something else: %v", err)
	}
	if p := (dataFlags{}).part(forTest); p != (train.Part{}) {
		t.Errorf("other data is tested on the part %v of its clips", p)
	}
}

// TestRadarOfSeveralSensors: the shipped network's radar is evaluated alone.
func TestRadarOfSeveralSensors(t *testing.T) {
	mars := dataFlags{marsFlags: marsFlags{MARS: testenv.Shared(t, "realdata/mars"), MARSHistory: 1}}
	out := string(printed(t, func() error { return evalCmd{dataFlags: mars, Stride: 400}.Run(t.Context()) }))
	for _, want := range []string{"by its radar alone", "real radar IWR1443", "\nM  ", train.MeanPose} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if err := (evalCmd{dataFlags: mars, Stride: 400, Clips: "S02"}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "leave --clips") {
		t.Errorf("--clips: %v", err)
	}
}
