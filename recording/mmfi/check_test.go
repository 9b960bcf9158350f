package mmfi

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/recording"
)

// soundClip is a clip of values as sensors of a room give them.
type soundClip struct {
	key    recording.Key
	frames int
}

func (c soundClip) Key() recording.Key { return c.key }
func (c soundClip) Len() int           { return c.frames }

// draw returns a number of 0 to 1 that depends on clip, frame and place.
func (c soundClip) draw(i, place int) float64 {
	_, f := math.Modf(math.Abs(math.Sin(float64(c.key.Subject*7919+c.key.Activity*131+i*17+place)) * 43758.5453))
	return f
}

func (c soundClip) Frame(i int, f *recording.Frame) error {
	for j := range f.RGB {
		f.RGB[j] = [2]float64{300 + 40*c.draw(i, j), 200 + 80*c.draw(i, 50+j)}
	}
	f.LiDAR, f.MmWave = f.LiDAR[:0], f.MmWave[:0]
	for j := range 20 {
		f.LiDAR = append(f.LiDAR, 3+0.3*c.draw(i, 100+j), 0.4*c.draw(i, 200+j)-0.2, 1.6*c.draw(i, 300+j)-0.8)
	}
	for j := range 18 {
		f.MmWave = append(f.MmWave, 3+0.3*c.draw(i, 400+j), 0.4*c.draw(i, 500+j)-0.2, 1.6*c.draw(i, 600+j)-0.8, c.draw(i, 700+j)-0.5, 10+20*c.draw(i, 800+j))
	}
	f.CSIAmp, f.CSIPhase = make([]float64, csiValues), make([]float64, csiValues)
	for j := range f.CSIAmp {
		f.CSIAmp[j], f.CSIPhase[j] = 20+10*c.draw(i, 1000+j), c.draw(i, 5000+j)
	}
	return nil
}

func (c soundClip) Truth(i int) (recording.Pose, error) {
	var p recording.Pose
	down := [17]float64{0, 0, 0.4, 0.85, 0, 0.4, 0.85, -0.25, -0.5, -0.6, -0.75, -0.45, -0.2, 0.05, -0.45, -0.2, 0.05}
	for j := range p {
		p[j] = [3]float64{0.3*c.draw(i, 9000+j) - 0.15, down[j], 3 + 0.1*c.draw(i, 9100+j)}
	}
	return p, nil
}

// TestCheckNamesEveryDamage damages one clip each way and looks through all of them
// at once: of each clip that, and of the sound ones nothing.
func TestCheckNamesEveryDamage(t *testing.T) {
	root := t.TempDir()
	key := func(i int) recording.Key { return recording.Key{Subject: 1 + i/27, Activity: 1 + i%27} }
	for i := range len(damages) + 2 {
		if err := WriteClip(root, soundClip{key(i), 4}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range damages {
		dir := filepath.Join(root, filepath.FromSlash(Path(key(i))))
		if d.folder != nil {
			d.folder(t, dir)
		} else {
			rewrite(t, filepath.Join(dir, d.file), d.change)
		}
	}
	last := filepath.Join(root, "E01/S09")
	for _, dir := range []string{"A01", "S09/A02"} { // an empty clip, and one unpacked in a folder of its own
		if err := os.MkdirAll(filepath.Join(last, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere", filepath.Join(root, "E01/S10")); err != nil {
		t.Fatal(err)
	}
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := d.Check(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	told := func(kind Kind, path string) []Problem {
		return slices.DeleteFunc(slices.Clone(rep.Problems), func(p Problem) bool { return p.Kind != kind || p.Path != path })
	}
	for i, d := range damages {
		path := d.path
		if path == "" {
			path = d.file
		}
		found := told(d.kind, Path(key(i))+"/"+path)
		if len(found) != 1 || found[0].Frames != d.frames {
			var all []Problem
			for _, p := range rep.Problems {
				if strings.HasPrefix(p.Path, Path(key(i))) {
					all = append(all, p)
				}
			}
			t.Errorf("%s: want %s of %s, frames %q, have %v", d.name, d.kind, path, d.frames, all)
		}
	}
	for _, want := range []Problem{{Kind: EmptyClip, Path: "E01/S09/A01"}, {Kind: Misplaced, Path: "E01/S09/S09"}, {Kind: Unreadable, Path: "E01/S10"}} {
		if len(told(want.Kind, want.Path)) != 1 {
			t.Errorf("want %s of %s", want.Kind, want.Path)
		}
	}
	for i := range 2 {
		for _, p := range rep.Problems {
			if strings.HasPrefix(p.Path, Path(key(len(damages)+i))) {
				t.Errorf("of a sound clip: %v", p)
			}
		}
	}
	if rep.SoundClips != 2 || rep.Clips != len(damages)+2 {
		t.Errorf("%d of %d clips are sound, want 2 of %d", rep.SoundClips, rep.Clips, len(damages)+2)
	}
}

func TestCheckFindsAClipTwice(t *testing.T) {
	root := t.TempDir()
	first := soundClip{recording.Key{Subject: 3, Activity: 4}, 3}
	if err := WriteClip(root, first, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(root, "E01/S03/A05"), os.DirFS(filepath.Join(root, "E01/S03/A04"))); err != nil {
		t.Fatal(err)
	}
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := d.Check(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Problems) != 1 || rep.Problems[0].Kind != Duplicate || rep.Problems[0].Path != "E01/S03/A05" || !strings.Contains(rep.Problems[0].Detail, "E01/S03/A04") {
		t.Errorf("%v", rep.Problems)
	}
}

// untar unpacks an archive into a new folder.
func untar(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, archive := t.TempDir(), tar.NewReader(zip)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(at, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
			var b []byte
			if b, err = io.ReadAll(archive); err == nil {
				err = os.WriteFile(at, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSharedInputs checks the failing inputs of the findings.
func TestSharedInputs(t *testing.T) {
	for name, want := range map[string][]Kind{
		"good": nil, "float32_even": {WrongType}, "float32_any": {WrongType}, "empty_clip": {EmptyClip}, "nested_subject": {Misplaced},
		"frames_from_000_one_more": {Numbering}, "filtered_mmwave": nil, "missing_radar_frame": {MissingFile}, "truth_mm": {WrongUnit}, "truth_zero_frame": {ZeroTruth},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Open(untar(t, testenv.Shared(t, "inputs/dataset", name+".tar.gz")))
			if err != nil {
				t.Fatal(err)
			}
			rep, err := d.Check(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []Kind
			for kind := range rep.Counts {
				got = append(got, kind)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%v, want kinds %v", rep.Problems, want)
			}
		})
	}
	b, err := os.ReadFile(testenv.Shared(t, "inputs/dataset/csi_amp_only.mat"))
	if err != nil {
		t.Fatal(err)
	}
	if amp, phase, csiErr := DecodeCSI(b); csiErr != nil || len(amp) != csiValues || phase != nil {
		t.Errorf("amplitudes alone: %d amplitudes, %d phases, %v", len(amp), len(phase), csiErr)
	}
	if b, err = os.ReadFile(testenv.Shared(t, "inputs/dataset/csi_duplicate.mat")); err != nil {
		t.Fatal(err)
	}
	if amp, _, csiErr := DecodeCSI(b); csiErr != nil || slices.Max(amp) == 0 {
		t.Errorf("of a variable that is there twice not the later one: %v", csiErr)
	}
	f, err := os.Open(testenv.Shared(t, "inputs/dataset/npy_float64_name.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if a, npyErr := ReadNPY(f); npyErr != nil || !slices.Equal(a.Shape, []int{5, 17, 3}) {
		t.Errorf("a type by its name: %v", npyErr)
	}
}

// TestCheckTakesNoMoreMemoryForMoreClips looks through as many clips as MM-Fi has.
func TestCheckTakesNoMoreMemoryForMoreClips(t *testing.T) {
	testenv.Slow(t)
	root := t.TempDir()
	var f recording.Frame
	for i := range NumSubjects * NumActivities {
		c := soundClip{recording.Key{Subject: 1 + i/NumActivities, Activity: 1 + i%NumActivities}, 3}
		dir := filepath.Join(root, filepath.FromSlash(Path(c.key)))
		if err := os.MkdirAll(filepath.Join(dir, lidarFolder), 0o755); err != nil {
			t.Fatal(err)
		}
		var truth []float64
		for i := range c.frames {
			_ = c.Frame(i, &f)
			p, _ := c.Truth(i)
			for _, j := range p {
				truth = append(truth, j[:]...)
			}
			if err := os.WriteFile(filepath.Join(dir, lidarFolder, frameName(i)+".bin"), AppendPoints(nil, f.LiDAR), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if err := WriteNPY(&b, NewFloat64Array(truth, c.frames, 17, 3)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, groundTruthName), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rep, err := d.Check(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if rep.Clips != 1080 || rep.SoundClips != 1080 || rep.Poses != 3240 || rep.Files != 4*1080 {
		t.Errorf("%d clips, %d sound, %d poses, %d files: %v", rep.Clips, rep.SoundClips, rep.Poses, rep.Files, rep.Problems)
	}
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 4<<20 {
		t.Errorf("%d bytes are kept after 1080 sound clips", kept)
	}
}
