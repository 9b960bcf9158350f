package mmfi

import (
	"strings"
	"testing"

	"posefuse/recording"
)

func TestManualSplits(t *testing.T) {
	train, val, err := ParseManual([]byte("modality: lidar\nmanual_split:\n  train_dataset:\n    subjects: [S01, S02, 4]\n    actions: all\n  val_dataset:\n    subjects: s05-S06\n    actions: [A12, A13]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(train) != 3*27 || train[80] != (recording.Key{Subject: 4, Activity: 27}) || len(val) != 4 || val[3] != (recording.Key{Subject: 6, Activity: 13}) {
		t.Errorf("%d and %d clips: %v", len(train), len(val), val)
	}
	for text, want := range map[string]string{
		"split: s1": "manual_split",
		"manual_split: {train_dataset: {subjects: [S41]}, val_dataset: {}}":                        `"S41": want numbers from 1 to 40`,
		"manual_split: {train_dataset: {subjects: [x]}, val_dataset: {}}":                          `train_dataset.subjects: "x"`,
		"manual_split: {train_dataset: {subjects: 1-3}, val_dataset: {subjects: 3-4, actions: 7}}": "S03/A07 is in train_dataset and in val_dataset",
		"manual_split: {train_dataset: {subjects: {a: 1}}, val_dataset: {}}":                       "line 1",
		"manual_split: {train_dataset: {subjects: 5-3}, val_dataset: {}}":                          `"5-3"`,
		"manual_split: {train_dataset: {subjects: 1, actions: A28}, val_dataset: {subjects: 2}}":   `train_dataset.actions: "A28"`,
		"manual_split: {train_dataset: {subjects: 1, actions: ''}, val_dataset: {subjects: 2}}":    `train_dataset.actions: ""`,
		"\t": "manual split",
	} {
		if _, _, err := ParseManual([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseManual(f *testing.F) {
	f.Add([]byte("manual_split:\n  train_dataset:\n    subjects: [S01, 2-3]\n  val_dataset:\n    subjects: 4\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		train, val, err := ParseManual(b)
		if err == nil && (len(train) == 0 || len(val) == 0) {
			t.Errorf("a split without clips: %q", b)
		}
	})
}
