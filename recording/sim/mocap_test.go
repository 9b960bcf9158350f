package sim

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/recording/mmfi"
)

var sharedLibrary = sync.OnceValues(func() (*MocapLibrary, error) { return LoadMocap(sharedLibraryDir) })

var sharedLibraryDir string

// loadShared loads the library once for all tests.
func loadShared(tb testing.TB) *MocapLibrary {
	tb.Helper()
	sharedLibraryDir = testenv.Shared(tb, "motion")
	l, err := sharedLibrary()
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestMocapLibraryContent(t *testing.T) {
	l := loadShared(t)
	// Counts from SOURCES.md.
	byLabel := map[string]int{}
	byMovement := map[string]int{}
	frames := 0
	for _, take := range l.Takes() {
		byLabel[take.Label]++
		if take.Label == LabelCorrect {
			byMovement[take.Movement]++
		}
		frames += take.Len()
	}
	if got := len(l.Takes()); got != 1186 {
		t.Errorf("%d rows, want 1186", got)
	}
	for label, want := range map[string]int{LabelCorrect: 579, LabelIncorrect: 585, "": 22} {
		if byLabel[label] != want {
			t.Errorf("%d rows labelled %q, want %d", byLabel[label], label, want)
		}
	}
	if frames != 62033 {
		t.Errorf("%d frames, want 62033", frames)
	}
	for movement, want := range map[string]int{
		"deep squat": 60, "side lunge (right)": 60, "inline lunge (right)": 39, "inline lunge (left)": 10,
		"standing shoulder scaption (right)": 52,
	} {
		if byMovement[movement] != want {
			t.Errorf("%s: %d correct repetitions, want %d", movement, byMovement[movement], want)
		}
	}
	want := []string{"cmu02", "cmu13", "s01", "s02", "s03", "s04", "s05", "s06"}
	if got := l.Subjects(); !slices.Equal(got, want) {
		t.Errorf("subjects %v, want %v", got, want)
	}
}

// TestMocapActivities names the activities real movement exists for.
func TestMocapActivities(t *testing.T) {
	l := loadShared(t)
	var counted, uncounted []int
	for a := 1; a <= numActivities; a++ {
		key := recording.Key{Subject: 1, Activity: a}
		if m, ok := l.Motion(1, key, MotionOptions{}); ok {
			counted = append(counted, a)
			if len(m.Repetitions()) == 0 {
				t.Errorf("A%02d: no repetition in the clip", a)
			}
			continue
		}
		if m, ok := l.Motion(1, key, MotionOptions{Uncounted: true}); ok {
			uncounted = append(uncounted, a)
			if n := len(m.Repetitions()); n != 0 {
				t.Errorf("A%02d: %d repetitions of an uncounted recording", a, n)
			}
		}
	}
	if want := []int{6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 22, 23}; !slices.Equal(counted, want) {
		t.Errorf("counted activities %v, want %v", counted, want)
	}
	if want := []int{1, 4, 5, 19, 26}; !slices.Equal(uncounted, want) {
		t.Errorf("uncounted activities %v, want %v", uncounted, want)
	}
}

func TestMocapOnly(t *testing.T) {
	l := loadShared(t)
	held := l.Only("s05", "s06")
	if got := held.Subjects(); !slices.Equal(got, []string{"s05", "s06"}) {
		t.Fatalf("subjects %v", got)
	}
	for subject := 1; subject <= 20; subject++ {
		for _, a := range []int{7, 12, 14} {
			m, ok := held.Motion(3, recording.Key{Subject: subject, Activity: a}, MotionOptions{})
			if !ok {
				t.Fatalf("A%02d: no motion", a)
			}
			if src := m.Source(); !strings.Contains(src, "uiprmd/s05_") && !strings.Contains(src, "uiprmd/s06_") {
				t.Errorf("source %q is not of the chosen subjects", src)
			}
		}
	}
	if _, ok := l.Only("nobody").Motion(1, recording.Key{Subject: 1, Activity: 12}, MotionOptions{}); ok {
		t.Error("motion of a subject that is not recorded")
	}
}

// TestMocapMirror compares a clip of the side that is recorded with one of the
// side that is not.
func TestMocapMirror(t *testing.T) {
	l := loadShared(t)
	for _, pair := range [][2]int{{14, 13}, {16, 15}, {8, 7}, {23, 22}} {
		// Same streams for both: the activity is part of the key, so compare
		// through the segments.
		right, ok1 := l.motion(1, recording.Key{Subject: 2, Activity: pair[0]}, MotionOptions{Clean: true})
		left, ok2 := l.motion(1, recording.Key{Subject: 2, Activity: pair[1]}, MotionOptions{Clean: true})
		if !ok1 || !ok2 {
			t.Fatalf("A%02d, A%02d: no motion", pair[0], pair[1])
		}
		left.segments, left.periodS = slices.Clone(right.segments), right.periodS
		left.body, left.scale = right.body, right.scale
		for i := range left.segments {
			left.segments[i].mirror = true
			left.segments[i].anchor[0] *= -1
		}
		for _, tS := range []float64{0, 0.7, 3.21, 9.99} {
			got, want := left.At(tS), right.At(tS)
			if d := maxJointDistance(got, want.mirrored()); d > 1e-12 {
				t.Errorf("A%02d at %.2f s: mirror image differs by %.3g m", pair[1], tS, d)
			}
		}
	}
}

func maxJointDistance(a, b Skeleton) float64 {
	d := 0.0
	for j := range a {
		d = max(d, vecLength(vecSub(a[j], b[j])))
	}
	return d
}

func TestMocapRepetitionCount(t *testing.T) {
	l := loadShared(t)
	for _, a := range []int{6, 9, 12, 13, 16} {
		for _, n := range []int{1, 3, 8, 25} {
			m, _ := l.motion(5, recording.Key{Subject: 4, Activity: a}, MotionOptions{Repetitions: n})
			if got := len(m.Repetitions()); got != n {
				t.Errorf("A%02d: %d repetitions, want %d", a, got, n)
			}
		}
	}
	// Squats are counted where the pelvis is lowest.
	m, _ := l.motion(5, recording.Key{Subject: 4, Activity: 12}, MotionOptions{Repetitions: 12})
	if got := countDips(m, m.DurationS()); got != 12 {
		t.Errorf("%d dips of the pelvis, want 12", got)
	}
}

// countDips counts how often the pelvis goes below 70 % of its standing height
// and back above 85 %.
func countDips(m Motion, untilS float64) int {
	top := 0.0
	for tS := 0.0; tS < untilS; tS += 0.05 {
		top = max(top, m.At(tS)[0][1])
	}
	n, low := 0, false
	for tS := 0.0; tS < untilS+0.5; tS += 0.05 {
		switch y := m.At(tS)[0][1] / top; {
		case y < 0.75:
			low = true
		case y > 0.85 && low:
			low = false
			n++
		}
	}
	return n
}

func TestLoadMocapErrors(t *testing.T) {
	const header = "file,source,subject,movement,label,rep,fps,first,count,mmfi_closest\n"
	tests := []struct{ name, index, want string }{
		{"no index", "", "index.csv"},
		{"column", "file,subject\n", `column "movement" is missing`},
		{"fields", header + "a.npy,x\n", "line 2"},
		{"count", header + "a.npy,x,s,m,correct,1,20,0,many,A12\n", `line 2: count: "many"`},
		{"rate", header + "a.npy,x,s,m,correct,1,NaN,0,5,A12\n", `line 2: fps: "NaN"`},
		{"activity", header + "a.npy,x,s,m,correct,1,20,0,5,A28\n", `line 2: mmfi_closest: "A28"`},
		{"outside", header + "../a.npy,x,s,m,correct,1,20,0,5,A12\n", "outside the library"},
		{"file", header + "\na.npy,x,s,m,correct,1,20,0,5,A12\n", "line 3: open"},
		{"range", header + "ok.npy,x,s,m,correct,1,20,1,3,A12\n", "line 2: 3 frames from frame 1 on of ok.npy, which has 3"},
		{"overflow", header + "ok.npy,x,s,m,correct,1,20,9223372036854775807,2,A12\n", "line 2: 2 frames from"},
		{"shape", header + "flat.npy,x,s,m,correct,1,20,0,3,A12\n", "line 2: flat.npy: shape [3 17], want"},
		{"values", header + "nan.npy,x,s,m,correct,1,20,0,3,A12\n", "nan.npy: joint 0 of frame 1 is at NaN m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.index != "" {
				if err := os.WriteFile(filepath.Join(dir, "index.csv"), []byte(tt.index), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			writeNPY(t, filepath.Join(dir, "ok.npy"), make([]float32, 3*17*3), 3, 17, 3)
			writeNPY(t, filepath.Join(dir, "flat.npy"), make([]float32, 3*17), 3, 17)
			bad := make([]float32, 3*17*3)
			var zero float32
			bad[51] = zero / zero
			writeNPY(t, filepath.Join(dir, "nan.npy"), bad, 3, 17, 3)
			_, err := LoadMocap(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %q and the folder", err, tt.want)
			}
		})
	}
}

func writeNPY(t *testing.T, path string, values []float32, shape ...int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := mmfi.WriteNPY(f, mmfi.NewFloat32Array(values, shape...)); err != nil {
		t.Fatal(err)
	}
}

// TestMocapFidelity compares what is played with what was recorded, where only
// the bones are made constant.
func TestMocapFidelity(t *testing.T) {
	l := loadShared(t)
	for _, take := range l.Takes() {
		if take.Label != LabelCorrect || take.Rep != 2 {
			continue
		}
		body := l.bodies[take.Subject]
		var sum, knee, kneeRaw, n float64
		for i := range take.Len() {
			raw := take.raw(i)
			sk := raw
			body.fit(&sk)
			for j := range sk {
				sum += vecLength(vecSub(sk[j], raw[j])) / 17
			}
			knee = max(knee, flexionDeg(sk[4], sk[5], sk[6]))
			kneeRaw = max(kneeRaw, flexionDeg(raw[4], raw[5], raw[6]))
			n++
		}
		if mean := sum / n; mean > 0.045 {
			t.Errorf("%s repetition %d: joints are %.3f m from the recording on the average", take.File, take.Rep, mean)
		}
		if kneeRaw > 60 && math.Abs(knee-kneeRaw) > 25 {
			t.Errorf("%s repetition %d: deepest knee at %.0f degrees, recorded %.0f", take.File, take.Rep, knee, kneeRaw)
		}
	}
}

// TestMixedMotion shows procedural movement with a recorded body.
func TestMixedMotion(t *testing.T) {
	l := loadShared(t)
	body, ok := l.Body("s03")
	if !ok || body.HeightM < 1.5 || body.HeightM > 2 {
		t.Fatalf("body %+v, %v", body, ok)
	}
	m := NewProcedural(1, recording.Key{Subject: 9, Activity: 27}, MotionOptions{Body: &body})
	if got := m.Subject(); got.ID != 9 || got.Segments != body.Segments {
		t.Errorf("subject %+v, want the body %+v with id 9", got, body)
	}
	sk := m.At(3)
	if d := vecLength(vecSub(sk[1], sk[2])); math.Abs(d-body.Segments.Thigh) > 1e-9 {
		t.Errorf("thigh of %.4f m, want %.4f", d, body.Segments.Thigh)
	}
	if _, ok := l.Only("s01").Body("s03"); ok {
		t.Error("body of a subject that is held out")
	}
}

func FuzzMocapIndex(f *testing.F) {
	const header = "file,source,subject,movement,label,rep,fps,first,count,mmfi_closest\n"
	f.Add(header + "a.npy,x,s,deep squat,correct,1,20,0,5,A12\n")
	f.Add(header + "a.npy,x,s,\"m, n\",,1,20,3,7,\n")
	f.Add(header + "a.npy,x,s,m,correct,1,1e3,9,2,A27\r\n\n")
	f.Fuzz(func(t *testing.T, index string) {
		takes, err := readMocapIndex(strings.NewReader(index), func(name string) ([][17][3]float32, error) {
			if !filepath.IsLocal(name) {
				t.Errorf("asked for %q outside the library", name)
			}
			return make([][17][3]float32, 10), nil
		})
		if err != nil {
			return
		}
		for _, take := range takes {
			if n := take.Len(); n < 2 || n > 10 || take.FPS < 1 || take.Activity < 0 || take.Activity > 27 {
				t.Errorf("take %+v", take)
			}
		}
	})
}
