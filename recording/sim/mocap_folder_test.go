package sim

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posefuse/recording"
)

func writeText(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// swings returns a .bvh file of n frames at 20 a second in which the left arm
// swings.
func swings(n int) string {
	var deg []float64
	for i := range n {
		deg = append(deg, float64(i%20*3))
	}
	return bvhFile(bvhStyles["biovision"], 0, deg)
}

func TestBVHFolder(t *testing.T) {
	dir := t.TempDir()
	writeText(t, dir, "README.txt", "who recorded this")
	writeText(t, dir, "anna_A13.bvh", swings(60))
	writeText(t, dir, "anna_A13_second take.BVH", swings(50))
	writeText(t, dir, "ben_A27_1.bvh", swings(40))
	l, err := LoadMocap(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Subjects(); !slices.Equal(got, []string{"anna", "ben"}) {
		t.Errorf("subjects %v", got)
	}
	ds, err := NewDataset(Config{Seed: 1, Mocap: l, Subjects: []int{1}, Activities: []int{12, 13, 14, 27}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ds.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"procedural", "mocap anna_A13.bvh, anna_A13_second take.BVH",
		"mocap anna_A13.bvh, anna_A13_second take.BVH (mirrored)", "mocap ben_A27_1.bvh",
	} {
		if got := m.Clips[i]; got.Motion != want || (want != "procedural" && got.Repetitions != nil) {
			t.Errorf("%s: motion %q with repetitions %v, want %q, not counted", got.Clip, got.Motion, got.Repetitions, want)
		}
	}
	if _, ok := l.Only("ben").Motion(1, recording.Key{Subject: 1, Activity: 27}, MotionOptions{}); !ok {
		t.Error("no motion of one of the people")
	}
}

func TestBVHFolderErrors(t *testing.T) {
	broken := strings.Replace(swings(60), "CHANNELS 3", "CHANNELS three", 1)
	headless := strings.NewReplacer("Head", "Top", "Neck", "Stem").Replace(swings(60))
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"empty", nil, "neither index.csv nor a .bvh file is in it"},
		{"other files", map[string]string{"a.npy": "", "notes.txt": ""}, "neither index.csv nor a .bvh file is in it"},
		{"index and bvh", map[string]string{"anna_A12.bvh": swings(60), "index.csv": ""}, "both index.csv and anna_A12.bvh are in it"},
		{"npy and bvh", map[string]string{"anna_A12.bvh": swings(60), "a.npy": ""}, "both a.npy and anna_A12.bvh are in it"},
		{"no activity", map[string]string{"walk.bvh": swings(60)}, "walk.bvh: the name does not say who does what: want PERSON_ACTIVITY.bvh"},
		{"nobody", map[string]string{"_A12.bvh": swings(60)}, "_A12.bvh: the name does not say who"},
		{"unknown activity", map[string]string{"anna_A28.bvh": swings(60)}, `anna_A28.bvh: "A28" is not an activity`},
		{"CMU's names", map[string]string{"02_04.bvh": swings(60)}, `02_04.bvh: "04" is not an activity`},
		{"broken among good ones", map[string]string{"anna_A12.bvh": swings(60), "ben_A12.bvh": broken, "carl_A12.bvh": swings(60)},
			"ben_A12.bvh: bvh: line 9: number of channels"},
		{"cut", map[string]string{"anna_A12.bvh": swings(60)[:9000]}, "anna_A12.bvh: bvh: line "},
		{"other skeleton", map[string]string{"anna_A12.bvh": headless}, "anna_A12.bvh: bvh: no joint is named like the neck, head"},
		{"short", map[string]string{"anna_A12.bvh": swings(19)}, "anna_A12.bvh: bvh: 0.90 s are too short: at least 0.94 s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				writeText(t, dir, name, text)
			}
			_, err := LoadMocap(dir)
			if err == nil || !strings.Contains(err.Error(), dir+": "+tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := LoadMocap(filepath.Join(t.TempDir(), "absent")); err == nil || !strings.Contains(err.Error(), "PERSON_ACTIVITY.bvh") {
		t.Errorf("error %v, want what a motion library is", err)
	}
}
