package mmfi

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// testClip is a clip whose values tell frame and index.
type testClip struct {
	key    recording.Key
	frames int
	fail   int // frame that cannot be read, if > 0
}

func (c testClip) Key() recording.Key { return c.key }
func (c testClip) Len() int           { return c.frames }

func (c testClip) Frame(i int, f *recording.Frame) error {
	if c.fail > 0 && i == c.fail {
		return errors.New("broken frame")
	}
	base := float64(1000 * (i + 1))
	for j := range f.RGB {
		f.RGB[j] = [2]float64{base + float64(j), 1 / (base + float64(j))}
	}
	f.LiDAR, f.MmWave = f.LiDAR[:0], f.MmWave[:0]
	for j := range 3 * (5 + i) {
		f.LiDAR = append(f.LiDAR, base/3000+float64(j))
	}
	for j := range 5 * (i % 3) { // every third frame has no radar point
		f.MmWave = append(f.MmWave, base/7000+float64(j))
	}
	f.CSIAmp, f.CSIPhase = make([]float64, csiValues), make([]float64, csiValues)
	for j := range f.CSIAmp {
		f.CSIAmp[j], f.CSIPhase[j] = base+float64(j), -float64(j)/base
	}
	f.CSIAmp[i] = math.Inf(-1)
	return nil
}

func (c testClip) Truth(i int) (recording.Pose, error) {
	var p recording.Pose
	for j := range p {
		p[j] = [3]float64{float64(i), float64(j) / 4, -0.5}
	}
	return p, nil
}

func writeTestClip(t *testing.T, root string, k recording.Key, frames int) {
	t.Helper()
	if err := WriteClip(root, testClip{key: k, frames: frames}, nil); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryRoundTrip(t *testing.T) {
	root := t.TempDir()
	src := testClip{key: recording.Key{Subject: 12, Activity: 7}, frames: 6}
	var seen []int
	if err := WriteClip(root, src, func(n int) { seen = append(seen, n) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6}, seen); diff != "" {
		t.Errorf("progress: %s", diff)
	}
	// Frame 1 (0-based 0) has no radar points: the file exists, with no bytes.
	clipPath := filepath.Join(root, "E02", "S12", "A07")
	for path, size := range map[string]int64{
		"rgb/frame001.npy": 128 + 17*2*8, "lidar/frame002.bin": 6 * 24, "mmwave/frame001.bin": 0,
		"mmwave/frame003.bin": 80, "ground_truth.npy": 128 + 6*17*3*4,
	} {
		info, err := os.Stat(filepath.Join(clipPath, filepath.FromSlash(path)))
		if err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v, want %d bytes", path, info, err, size)
		}
	}

	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]recording.Key{src.key}, d.Keys()); diff != "" {
		t.Error(diff)
	}
	c, err := d.Open(src.key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Key() != src.key || c.Len() != 6 {
		t.Errorf("key %v length %d", c.Key(), c.Len())
	}
	var wg sync.WaitGroup
	for i := range src.frames {
		wg.Go(func() {
			var got, want recording.Frame
			if err := c.Frame(i, &got); err != nil {
				t.Error(err)
				return
			}
			_ = src.Frame(i, &want)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("frame %d: %s", i, diff)
			}
			gotPose, err := c.Truth(i)
			wantPose, _ := src.Truth(i)
			if err != nil || gotPose != wantPose {
				t.Errorf("truth %d: %v %v", i, gotPose, err)
			}
		})
	}
	wg.Wait()
}

func TestDirectoryReadsOnlyWhatIsAsked(t *testing.T) {
	root := t.TempDir()
	k := recording.Key{Subject: 1, Activity: 1}
	writeTestClip(t, root, k, 2)
	if err := os.RemoveAll(filepath.Join(root, "E01/S01/A01/wifi-csi")); err != nil {
		t.Fatal(err)
	}
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Open(k)
	if err != nil {
		t.Fatal(err)
	}
	var f recording.Frame
	if err := c.(recording.PartialClip).FrameOf(1, modality.Of(modality.Camera)|modality.Of(modality.LiDAR)|modality.Of(modality.Radar), &f); err != nil {
		t.Fatal(err)
	}
	if len(f.LiDAR) != 18 || len(f.MmWave) != 5 || f.CSIAmp != nil {
		t.Errorf("lidar %d mmwave %d csi %d", len(f.LiDAR), len(f.MmWave), len(f.CSIAmp))
	}
	if err := c.Frame(1, &f); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join("wifi-csi", "frame002.mat")) {
		t.Errorf("error %v, want the missing file named", err)
	}
}

func TestDirectoryErrorsNameTheFile(t *testing.T) {
	k := recording.Key{Subject: 40, Activity: 27}
	tests := []struct {
		name  string
		file  string
		spoil func(b []byte) []byte // nil removes the file
		want  []string
		open  bool // the error comes at Open, not at Frame
	}{
		{"missing lidar", "lidar/frame001.bin", nil, []string{"frame001.bin", "no such file"}, false},
		{"cut lidar", "lidar/frame001.bin", func(b []byte) []byte { return b[:50] }, []string{"lidar", "frame001.bin", "offset 48"}, false},
		{"cut mmwave", "mmwave/frame001.bin", func([]byte) []byte { return make([]byte, 41) }, []string{"mmwave", "offset 40"}, false},
		{"cut csi", "wifi-csi/frame001.mat", func(b []byte) []byte { return b[:1000] }, []string{"frame001.mat", "offset 128", "truncated"}, false},
		{"wrong csi", "wifi-csi/frame001.mat", func(b []byte) []byte { return b[:128] }, []string{"frame001.mat", "CSIamp is missing"}, false},
		{"rgb shape", "rgb/frame001.npy", func([]byte) []byte { return npyFile(1, header("<f8", "False", "(2, 17)"), make([]byte, 272)) },
			[]string{"frame001.npy", "shape [2 17]", "(17, 2)"}, false},
		{"rgb empty", "rgb/frame001.npy", func([]byte) []byte { return nil }, []string{"frame001.npy", "offset 0"}, false},
		{"truth shape", "ground_truth.npy", func([]byte) []byte { return npyFile(1, header("<f8", "False", "(2, 50)"), make([]byte, 800)) },
			[]string{"ground_truth.npy", "shape [2 50]"}, true},
		{"truth cut", "ground_truth.npy", func(b []byte) []byte { return b[:200] }, []string{"ground_truth.npy", "offset 200"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			writeTestClip(t, root, k, 2)
			path := filepath.Join(root, "E04/S40/A27", filepath.FromSlash(tt.file))
			if tt.spoil == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, tt.spoil(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, err := Open(root)
			if err != nil {
				t.Fatal(err)
			}
			c, err := d.Open(k)
			if !tt.open {
				if err != nil {
					t.Fatal(err)
				}
				var f recording.Frame
				if other := c.Frame(1, &f); other != nil {
					t.Errorf("the other frame: %v", other)
				}
				err = c.Frame(0, &f)
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not contain %q", err, w)
				}
			}
		})
	}
}

func TestDirectoryWithoutGroundTruth(t *testing.T) {
	root := t.TempDir()
	k := recording.Key{Subject: 3, Activity: 2}
	writeTestClip(t, root, k, 4)
	if err := os.Remove(filepath.Join(root, "E01/S03/A02/ground_truth.npy")); err != nil {
		t.Fatal(err)
	}
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Open(k)
	if err != nil {
		t.Fatal(err)
	}
	if c.Len() != 4 {
		t.Errorf("length %d, want 4", c.Len())
	}
	if _, err := c.Truth(0); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ground_truth.npy") {
		t.Errorf("truth: %v", err)
	}
}

func TestOpen(t *testing.T) {
	root := t.TempDir()
	if _, err := Open(root); err == nil || !strings.Contains(err.Error(), "E01/S01/A01") {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := Open(filepath.Join(root, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	for _, k := range []recording.Key{{Subject: 21, Activity: 3}, {Subject: 2, Activity: 27}, {Subject: 2, Activity: 1}} {
		writeTestClip(t, root, k, 1)
	}
	for _, other := range []string{"E01/S02/A1", "E01/S02/A28", "E01/S02/A05.partial", "E02/S02/A01", "E01/S02/notes"} {
		if err := os.MkdirAll(filepath.Join(root, filepath.FromSlash(other)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]recording.Key{{Subject: 2, Activity: 1}, {Subject: 2, Activity: 27}, {Subject: 21, Activity: 3}}, d.Keys()); diff != "" {
		t.Error(diff)
	}
	if got := d.Describe(); got != "MM-Fi at "+root {
		t.Errorf("described as %q", got)
	}
	if err = os.WriteFile(filepath.Join(root, ManifestName), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(root); err != nil || !strings.HasPrefix(d.Describe(), "simulated") {
		t.Errorf("with a manifest: %v, %v", d, err)
	}
	if _, err = d.Open(recording.Key{Subject: 9, Activity: 9}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join("E01", "S09", "A09")) {
		t.Errorf("missing clip: %v", err)
	}
	c, err := d.Open(recording.Key{Subject: 2, Activity: 1})
	if err != nil {
		t.Fatal(err)
	}
	var f recording.Frame
	if err := c.Frame(1, &f); err == nil {
		t.Error("a frame after the end was read")
	}
	if _, err := c.Truth(-1); err == nil {
		t.Error("a pose before the start was read")
	}
}

func TestWriteClipLooksUnfinishedUntilComplete(t *testing.T) {
	root := t.TempDir()
	k := recording.Key{Subject: 5, Activity: 4}
	err := WriteClip(root, testClip{key: k, frames: 5, fail: 3}, nil)
	if err == nil || !strings.Contains(err.Error(), "frame 4") {
		t.Fatalf("error %v, want frame 4 named", err)
	}
	if _, err = Open(root); err == nil {
		t.Fatal("an unfinished clip counts as one")
	}
	// A second run replaces what was left, frames of the failed run included.
	writeTestClip(t, root, k, 2)
	entries, err := os.ReadDir(filepath.Join(root, "E01/S05"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "A04" {
		t.Errorf("left over: %v %v", entries, err)
	}
	frames, err := os.ReadDir(filepath.Join(root, "E01/S05/A04/rgb"))
	if err != nil || len(frames) != 2 {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	if err := WriteClip(root, testClip{key: k, frames: 2}, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over a clip: %v", err)
	}
}

func BenchmarkDirectoryFrame(b *testing.B) {
	root := b.TempDir()
	k := recording.Key{Subject: 1, Activity: 1}
	if err := WriteClip(root, testClip{key: k, frames: 20}, nil); err != nil {
		b.Fatal(err)
	}
	d, err := Open(root)
	if err != nil {
		b.Fatal(err)
	}
	c, err := d.Open(k)
	if err != nil {
		b.Fatal(err)
	}
	var f recording.Frame
	i := 0
	for b.Loop() {
		if err := c.Frame(i%20, &f); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func TestDirectoryTellsItsModalities(t *testing.T) {
	root := t.TempDir()
	writeTestClip(t, root, recording.Key{Subject: 1, Activity: 1}, 2)
	writeTestClip(t, root, recording.Key{Subject: 2, Activity: 5}, 2)
	open := func() modality.Set {
		t.Helper()
		d, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		return d.Modalities()
	}
	if got := open(); got != modality.All {
		t.Errorf("a whole data set has %04b, want all of %04b", got, modality.All)
	}
	remove := func(k recording.Key, folder string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(root, filepath.FromSlash(Path(k)), folder)); err != nil {
			t.Fatal(err)
		}
	}
	remove(recording.Key{Subject: 1, Activity: 1}, "wifi-csi")
	if got := open(); got != modality.All {
		t.Errorf("CSI in one of two clips: %04b, want %04b", got, modality.All)
	}
	remove(recording.Key{Subject: 2, Activity: 5}, "wifi-csi")
	remove(recording.Key{Subject: 1, Activity: 1}, "rgb")
	remove(recording.Key{Subject: 2, Activity: 5}, "rgb")
	if got, want := open(), modality.Of(modality.LiDAR)|modality.Of(modality.Radar); got != want {
		t.Errorf("no CSI and no keypoints: %04b, want %04b", got, want)
	}
}
