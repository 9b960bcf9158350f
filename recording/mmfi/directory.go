package mmfi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"

	"posefuse/frame"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// ManifestName is the file beside the environments that marks a data set as
// simulated.
const ManifestName = "SIMULATED.json"

// Folder and file names below a clip.
const (
	rgbFolder       = "rgb"
	lidarFolder     = "lidar"
	mmWaveFolder    = "mmwave"
	csiFolder       = "wifi-csi"
	groundTruthName = "ground_truth.npy"
)

// maxFrameFile bounds any file of a clip, bytes.
const maxFrameFile = 64 << 20

// Directory is a data set in a folder of MM-Fi's layout (model.md 1.1). It is
// safe for concurrent use.
type Directory struct {
	root       string
	simulated  bool
	keys       []recording.Key
	rig        *frame.Rig // nil: nobody noted it
	background []byte     // nil: nobody kept it

	mu    sync.Mutex
	clips map[recording.Key]*directoryClip // with their ground truth
}

var (
	_ recording.PartialDataset = (*Directory)(nil)
	_ recording.PartialClip    = (*directoryClip)(nil)
	_ recording.Backgrounded   = (*directoryClip)(nil)
	_ frame.Rigged             = riggedClip{}
)

// Open lists the clips below root. Clips and frames may be missing; what is
// missing or broken inside a clip is reported when it is read.
func Open(root string) (*Directory, error) {
	d := &Directory{root: root, clips: map[recording.Key]*directoryClip{}}
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("mmfi: open data set: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("mmfi: open data set: %s is a file, not a folder", root)
	}
	for subject := 1; subject <= NumSubjects; subject++ {
		folder := filepath.Dir(d.path(recording.Key{Subject: subject, Activity: 1}))
		entries, readErr := os.ReadDir(folder)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue
		}
		if readErr != nil {
			return nil, fmt.Errorf("mmfi: open data set: %w", readErr)
		}
		for _, e := range entries {
			if a, ok := activityOf(e.Name()); ok {
				d.keys = append(d.keys, recording.Key{Subject: subject, Activity: a})
			}
		}
	}
	if len(d.keys) == 0 {
		return nil, fmt.Errorf("mmfi: no clip in %s: expected folders like %s below it; give the folder that holds E01..E04",
			root, Path(recording.Key{Subject: 1, Activity: 1}))
	}
	sort.Slice(d.keys, func(i, j int) bool {
		a, b := d.keys[i], d.keys[j]
		return a.Subject < b.Subject || a.Subject == b.Subject && a.Activity < b.Activity
	})
	_, err = os.Stat(filepath.Join(root, ManifestName))
	d.simulated = err == nil
	if err := d.readRoom(); err != nil {
		return nil, err
	}
	return d, nil
}

// activityOf parses a clip's folder name.
func activityOf(name string) (int, bool) {
	a, err := strconv.Atoi(strings.TrimPrefix(name, "A"))
	if err != nil || name != fmt.Sprintf("A%02d", a) || a < 1 || a > NumActivities {
		return 0, false
	}
	return a, true
}

func (d *Directory) path(k recording.Key) string {
	return filepath.Join(d.root, filepath.FromSlash(Path(k)))
}

// Keys implements Dataset.
func (d *Directory) Keys() []recording.Key { return append([]recording.Key(nil), d.keys...) }

// Modalities implements PartialDataset: the sensors that any clip has a folder
// of. What a single clip lacks is reported when it is read.
func (d *Directory) Modalities() modality.Set {
	var have modality.Set
	folders := map[modality.Set]string{modality.Of(modality.Camera): rgbFolder, modality.Of(modality.LiDAR): lidarFolder, modality.Of(modality.Radar): mmWaveFolder, modality.Of(modality.CSI): csiFolder}
	for _, k := range d.keys {
		for m, folder := range folders {
			if have&m != 0 {
				continue
			}
			if info, err := os.Stat(filepath.Join(d.path(k), folder)); err == nil && info.IsDir() {
				have |= m
			}
		}
		if have == modality.All {
			break
		}
	}
	return have
}

// Describe implements Dataset.
func (d *Directory) Describe() string {
	if d.simulated {
		return "simulated sensors, not MM-Fi, at " + d.root
	}
	return "MM-Fi at " + d.root
}

// Open implements Dataset. It reads the ground truth of a clip once; a clip
// without a ground truth file opens, its length is then that of the longest
// sensor recording.
func (d *Directory) Open(k recording.Key) (recording.Clip, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.clips[k]; ok {
		return d.withRig(c), nil
	}
	c := &directoryClip{key: k, path: d.path(k), background: d.background}
	if _, err := os.Stat(c.path); err != nil {
		return nil, fmt.Errorf("mmfi: open clip: %w", err)
	}
	if err := errors.Join(c.loadTruth(), c.loadScores()); err != nil {
		return nil, err
	}
	d.clips[k] = c
	return d.withRig(c), nil
}

func (d *Directory) withRig(c *directoryClip) recording.Clip {
	if d.rig == nil {
		return c
	}
	return riggedClip{c, *d.rig}
}

// directoryClip is one clip of a Directory.
type directoryClip struct {
	key   recording.Key
	path  string
	len   int
	truth []recording.Pose // nil if there is no file
	// scores are those of the keypoints, frame by frame; nil if nobody noted them.
	scores     []float64
	background []byte // of the room, nil if nobody kept it
}

// loadScores reads the keypoints' scores, if there are any.
func (c *directoryClip) loadScores() error {
	path := filepath.Join(c.path, scoresName)
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := ReadNPY(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("mmfi: %s: %w", path, err)
	}
	if len(a.Shape) != 2 || a.Shape[0] != c.len || a.Shape[1] != 17 {
		return fmt.Errorf("mmfi: %s: shape %v, want (%d, 17)", path, a.Shape, c.len)
	}
	c.scores = a.Float64()
	return nil
}

func (c *directoryClip) loadTruth() error {
	path := filepath.Join(c.path, groundTruthName)
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c.len = c.longestRecording()
		return nil
	}
	if err != nil {
		return err
	}
	a, err := ReadNPY(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("mmfi: %s: %w", path, err)
	}
	if len(a.Shape) != 3 || a.Shape[1] != 17 || a.Shape[2] != 3 {
		return fmt.Errorf("mmfi: %s: shape %v, want (%d, 17, 3)", path, a.Shape, FramesPerClip)
	}
	values := a.Float64()
	c.truth = make([]recording.Pose, a.Shape[0])
	for i := range c.truth {
		for j := range 17 {
			copy(c.truth[i][j][:], values[(i*17+j)*3:])
		}
	}
	c.len = len(c.truth)
	return nil
}

// longestRecording returns the highest frame number of any sensor.
func (c *directoryClip) longestRecording() int {
	longest := 0
	for _, folder := range []string{rgbFolder, lidarFolder, mmWaveFolder, csiFolder} {
		entries, err := os.ReadDir(filepath.Join(c.path, folder))
		if err != nil {
			continue // a sensor that was not recorded
		}
		for _, e := range entries {
			name, _, _ := strings.Cut(strings.TrimPrefix(e.Name(), "frame"), ".")
			if n, err := strconv.Atoi(name); err == nil {
				longest = max(longest, n)
			}
		}
	}
	return longest
}

// Key implements Clip.
func (c *directoryClip) Key() recording.Key { return c.key }

// Len implements Clip.
func (c *directoryClip) Len() int { return c.len }

// Truth implements Clip.
func (c *directoryClip) Truth(i int) (recording.Pose, error) {
	if c.truth == nil {
		return recording.Pose{}, fmt.Errorf("mmfi: %s: %w: without it a clip can be replayed, but neither trained on nor evaluated", filepath.Join(c.path, groundTruthName), fs.ErrNotExist)
	}
	if i < 0 || i >= len(c.truth) {
		return recording.Pose{}, fmt.Errorf("mmfi: %s: frame %d of %d", Path(c.key), i+1, len(c.truth))
	}
	return c.truth[i], nil
}

// Frame implements Clip.
func (c *directoryClip) Frame(i int, f *recording.Frame) error {
	return c.FrameOf(i, modality.All, f)
}

// FrameOf implements PartialClip.
func (c *directoryClip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	if i < 0 || i >= c.len {
		return fmt.Errorf("mmfi: %s: frame %d of %d", Path(c.key), i+1, c.len)
	}
	if which.Has(modality.Camera) {
		if err := c.read(rgbFolder, i, ".npy", func(b []byte) error { return decodeRGB(b, f) }); err != nil {
			return err
		}
		f.Scores, f.Absent = f.Scores[:0], f.Absent&^modality.Of(modality.Camera)
		if c.scores != nil {
			f.Scores = append(f.Scores, c.scores[17*i:17*(i+1)]...)
		}
		if f.RGB == [17][2]float64{} { // nobody was found
			f.Absent |= modality.Of(modality.Camera)
		}
	}
	if which.Has(modality.LiDAR) {
		if err := c.read(lidarFolder, i, ".bin", func(b []byte) (err error) {
			f.LiDAR, err = DecodePoints(f.LiDAR, b, LiDARColumns)
			return err
		}); err != nil {
			return err
		}
	}
	if which.Has(modality.Radar) {
		if err := c.read(mmWaveFolder, i, ".bin", func(b []byte) (err error) {
			f.MmWave, err = DecodePoints(f.MmWave, b, MmWaveColumns)
			return err
		}); err != nil {
			return err
		}
	}
	if which.Has(modality.CSI) {
		return c.read(csiFolder, i, ".mat", func(b []byte) (err error) {
			f.CSIAmp, f.CSIPhase, err = DecodeCSI(b)
			return err
		})
	}
	return nil
}

// read hands the bytes of one frame's file to decode and names the file in
// what goes wrong.
func (c *directoryClip) read(folder string, i int, ext string, decode func([]byte) error) error {
	path := filepath.Join(c.path, folder, frameName(i)+ext)
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the clip is incomplete, copy it again", err)
	}
	if err != nil {
		return err
	}
	if err := decode(b); err != nil {
		return fmt.Errorf("mmfi: %s: %w", path, err)
	}
	return nil
}

// frameName returns the file name of a 0-based frame without extension.
func frameName(i int) string { return fmt.Sprintf("frame%03d", i+1) }

func decodeRGB(b []byte, f *recording.Frame) error {
	a, err := ReadNPY(bytes.NewReader(b))
	if err != nil {
		return err
	}
	if len(a.Shape) != 2 || a.Shape[0] != 17 || a.Shape[1] != 2 {
		return fmt.Errorf("shape %v, want (17, 2)", a.Shape)
	}
	for i, v := range a.Float64() {
		f.RGB[i/2][i%2] = v
	}
	return nil
}

// readFile reads a whole file of at most maxFrameFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mmfi: %w", err)
	}
	defer f.Close()
	var b bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() <= maxFrameFile {
		b.Grow(int(info.Size()) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(f, maxFrameFile+1)); err != nil {
		return nil, fmt.Errorf("mmfi: read %s: %w", path, err)
	}
	if b.Len() > maxFrameFile {
		return nil, fmt.Errorf("mmfi: %s exceeds the limit of %d bytes", path, maxFrameFile)
	}
	return b.Bytes(), nil
}
