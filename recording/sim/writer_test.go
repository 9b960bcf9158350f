package sim

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

var smallConfig = Config{
	Seed: 3, Preset: "mmfi", FramesPerClip: 6, Subjects: []int{2, 31}, Activities: []int{12, 17},
	Degradations: []Degradation{{Kind: ModalityMissing, Modality: "radar", Severity: 1, StartS: 0.3}},
}

func smallDataset(t *testing.T, cfg Config) *Dataset {
	t.Helper()
	d, err := NewDataset(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Written files, read by the MM-Fi reader, hold the generated values.
func TestWriteRoundTrip(t *testing.T) {
	root := filepath.Join(t.TempDir(), "set")
	d := smallDataset(t, smallConfig)
	var last Progress
	calls := 0
	err := d.Write(context.Background(), root, WriteOptions{Workers: 2, Progress: func(p Progress) { last, calls = p, calls+1 }})
	if err != nil {
		t.Fatal(err)
	}
	if last != (Progress{ClipsDone: 4, Clips: 4, FramesDone: 24, Frames: 24}) || calls < 24 {
		t.Errorf("%d calls, last %+v", calls, last)
	}
	read, err := mmfi.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if got := read.Keys(); len(got) != 4 || got[3] != (recording.Key{Subject: 31, Activity: 17}) {
		t.Errorf("keys %v", got)
	}
	if !strings.Contains(read.Describe(), "simulated") {
		t.Errorf("the reader does not say that this is simulated: %q", read.Describe())
	}
	for _, k := range read.Keys() {
		c, err := read.Open(k)
		if err != nil {
			t.Fatal(err)
		}
		want, err := d.Clip(k)
		if err != nil {
			t.Fatal(err)
		}
		if c.Len() != 6 {
			t.Fatalf("%s: %d frames", k, c.Len())
		}
		for i := range c.Len() {
			if !sameFrame(mustFrame(t, c, i), mustFrame(t, want, i)) {
				t.Errorf("%s frame %d: read differs from generated: %v", k, i, changed(mustFrame(t, c, i), mustFrame(t, want, i)))
			}
			got, errGot := c.Truth(i)
			truth, errWant := want.Truth(i)
			if errGot != nil || errWant != nil {
				t.Fatal(errGot, errWant)
			}
			for j := range got {
				for a := range 3 {
					if math.Abs(got[j][a]-truth[j][a]) > 1e-6 {
						t.Fatalf("%s frame %d: truth %v, want %v", k, i, got[j], truth[j])
					}
				}
			}
		}
		// A frame without radar points is a zero-byte file.
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(mmfi.Path(k)), "mmwave", "frame005.bin"))
		if err != nil || info.Size() != 0 {
			t.Errorf("%s: missing radar frame: %v, %v", k, info, err)
		}
		checkCleanTruth(t, filepath.Join(root, filepath.FromSlash(mmfi.Path(k)), CleanTruthName), want)
	}
	checkManifest(t, filepath.Join(root, mmfi.ManifestName))
}

func checkCleanTruth(t *testing.T, path string, c *Clip) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := mmfi.ReadNPY(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Shape) != 3 || a.Shape[0] != 6 || a.Shape[1] != 17 || a.Shape[2] != 3 || a.Type != "f4" {
		t.Fatalf("%s: %s %v", path, a.Type, a.Shape)
	}
	pose, err := c.CleanTruth(5)
	if err != nil {
		t.Fatal(err)
	}
	values := a.Float64()
	if got, want := values[len(values)-1], pose[16][2]; math.Abs(got-want) > 1e-6 {
		t.Errorf("%s: last value %g, want %g", path, got, want)
	}
}

func checkManifest(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Statement != "simulated sensors" || m.GeneratorVersion != Version || m.Config.Seed != 3 || m.Preset.Name != "mmfi" || len(m.Clips) != 4 {
		t.Errorf("manifest %+v", m)
	}
	clip := m.Clips[0]
	if clip.Clip != "E01/S02/A12" || !strings.Contains(clip.Motion, "procedural") || len(clip.Degradations) != 1 || clip.Degradations[0].Modality != "radar" {
		t.Errorf("clip %+v", clip)
	}
}

// An interrupted run goes on where it stopped and ends with the same files.
func TestWriteResumes(t *testing.T) {
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	d := smallDataset(t, smallConfig)
	if err := d.Write(context.Background(), whole, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := d.Write(ctx, parts, WriteOptions{Workers: 1, Progress: func(p Progress) {
		if p.FramesDone == 15 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted run: %v", err)
	}
	first := filepath.Join(parts, "E01", "S02", "A12", "ground_truth.npy")
	before, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	// A run may also stop between a clip and its clean truth.
	if err = os.Remove(filepath.Join(parts, "E01", "S02", "A12", CleanTruthName)); err != nil {
		t.Fatal(err)
	}
	if err = d.Write(context.Background(), parts, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if after, errStat := os.Stat(first); errStat != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("a finished clip was written again: %v", errStat)
	}
	files := 0
	err = filepath.WalkDir(whole, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		rel, _ := filepath.Rel(whole, path)
		a, errA := os.ReadFile(path)
		b, errB := os.ReadFile(filepath.Join(parts, rel))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s differs (%v, %v)", rel, errA, errB)
		}
		return nil
	})
	if err != nil || files != 4*(4*6+3)+2 {
		t.Errorf("%d files, error %v", files, err)
	}
}

func TestWriteRefusesOtherData(t *testing.T) {
	root := t.TempDir()
	if err := smallDataset(t, smallConfig).Write(context.Background(), root, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	other := smallConfig
	other.Seed++
	err := smallDataset(t, other).Write(context.Background(), root, WriteOptions{})
	if !errors.Is(err, ErrOtherDataset) || !strings.Contains(err.Error(), root) {
		t.Errorf("other seed: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, mmfi.ManifestName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := smallDataset(t, smallConfig).Write(context.Background(), root, WriteOptions{}); !errors.Is(err, ErrOtherDataset) {
		t.Errorf("broken manifest: %v", err)
	}
	if err := os.Remove(filepath.Join(root, mmfi.ManifestName)); err != nil {
		t.Fatal(err)
	}
	if err := smallDataset(t, smallConfig).Write(context.Background(), root, WriteOptions{}); !errors.Is(err, ErrOtherDataset) {
		t.Errorf("recordings without manifest: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := smallDataset(t, smallConfig).Write(context.Background(), file, WriteOptions{}); err == nil {
		t.Error("a file as root is accepted")
	}
}

func TestWriteStopsAtOnce(t *testing.T) {
	cfg := smallConfig
	cfg.FramesPerClip = 20000
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := smallDataset(t, cfg).Write(ctx, t.TempDir(), WriteOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}
