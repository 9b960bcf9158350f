package mmfi

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"posefuse/sensors/modality"
)

// filteredFolder is the folder of MM-Fi's second radar download, in which the
// frames lie beside the ground truth and frames without a point are left out.
const filteredFolder = "filtered_mmwave"

// sensorFolders are the folders of a clip that hold a sensor's frames, best first,
// and sensorExt the ending of their names. A sequence, one array of all frames, has
// the folder's name and .npy. infra1 and infra2 are keypoints of the other cameras.
var (
	sensorFolders = [modality.Count][]string{modality.Camera: {rgbFolder, "infra1", "infra2"}, modality.LiDAR: {lidarFolder}, modality.Radar: {mmWaveFolder, filteredFolder}, modality.CSI: {csiFolder}}
	sensorExt     = [modality.Count]string{modality.Camera: ".npy", modality.LiDAR: ".bin", modality.Radar: ".bin", modality.CSI: ".mat"}
)

// track is where one sensor's frames of a clip lie.
type track struct {
	folder   string // empty if the clip has none
	ext      string
	first    int  // number of the first frame, 1 or 0
	sparse   bool // frames are left out by design
	sequence *Array
	err      error // why frames and poses cannot be paired
}

// findTrack looks for a sensor's frames in a clip.
func (c *directoryClip) findTrack(m modality.Kind) (t track) {
	t.ext, t.first = sensorExt[m], 1
	for _, name := range sensorFolders[m] {
		folder := filepath.Join(c.path, name)
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			t.folder, t.sparse = folder, name == filteredFolder
			break
		}
		if _, err := os.Stat(folder + ".npy"); err == nil {
			t.folder = folder + ".npy"
			t.sequence, t.err = c.readSequence(t.folder, m)
			return t
		}
	}
	if t.folder == "" && m == modality.Radar {
		for _, folder := range []string{c.path, c.filtered} {
			if folder != "" && len(frameNumbers(folder, t.ext)) > 0 {
				t.folder, t.sparse = folder, true
				break
			}
		}
	}
	if t.folder == "" {
		return t
	}
	if _, err := os.Stat(filepath.Join(t.folder, "frame000"+t.ext)); err == nil {
		t.first = 0
		if n := len(frameNumbers(t.folder, t.ext)); c.truth != nil && n != len(c.truth) && !t.sparse {
			t.err = ofKind(Numbering, "mmfi: %s: frames are numbered from 000, and there are %d for %d poses: which belongs to which cannot be told; number them from 001", t.folder, n, len(c.truth))
		}
	}
	return t
}

// frameNumbers lists the frames of a folder by number, sorted.
func frameNumbers(folder, ext string) (numbers []int) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // a sensor that was not recorded
	}
	for _, e := range entries {
		if n, ok := frameNumber(e.Name(), ext); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// frameNumber parses frameNNN with the ending ext.
func frameNumber(name, ext string) (int, bool) {
	stem, ends := strings.CutSuffix(name, ext)
	digits, begins := strings.CutPrefix(stem, "frame")
	if !ends || !begins {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && digits == fmt.Sprintf("%03d", n)
}

// shapes of one frame in a sequence; -1 takes any number.
var sequenceShapes = [modality.Count][][]int{
	modality.Camera: {{17, 2}, {17, 3}}, modality.LiDAR: {{-1, LiDARColumns}}, modality.Radar: {{-1, MmWaveColumns}}, modality.CSI: {csiDims},
}

// readSequence reads one array of all frames.
func (c *directoryClip) readSequence(path string, m modality.Kind) (*Array, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	a, err := ReadNPY(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("mmfi: %s: %w", path, err)
	}
	fits := func(want []int) bool {
		return len(a.Shape) == 1+len(want) && slices.EqualFunc(a.Shape[1:], want, func(have, want int) bool { return want < 0 || have == want })
	}
	if !slices.ContainsFunc(sequenceShapes[m], fits) {
		return nil, ofKind(WrongShape, "mmfi: %s: shape %v, want frames of %v", path, a.Shape, sequenceShapes[m][0])
	}
	if c.truth != nil && a.Shape[0] != len(c.truth) {
		return nil, ofKind(LengthDiffer, "mmfi: %s: %d frames for %d poses", path, a.Shape[0], len(c.truth))
	}
	return a, nil
}

// frameOf returns the values of one frame of a sequence.
func frameOf(a *Array, i int) ([]float64, error) {
	if i >= a.Shape[0] {
		return nil, fmt.Errorf("frame %d of %d", i+1, a.Shape[0])
	}
	n := a.Len() / a.Shape[0]
	size := itemSize(a.Type)
	one := Array{Shape: a.Shape[1:], Type: a.Type, data: a.data[i*n*size : (i+1)*n*size]}
	return one.Float64(), nil
}

// length returns how many frames a track has, up to its last.
func (t *track) length() int {
	if t.sequence != nil {
		return t.sequence.Shape[0]
	}
	if t.folder == "" {
		return 0
	}
	numbers := frameNumbers(t.folder, t.ext)
	if len(numbers) == 0 {
		return 0
	}
	return numbers[len(numbers)-1] + 1 - t.first
}

// path returns the file of a 0-based frame.
func (t *track) path(i int) string {
	if t.sequence != nil {
		return t.folder
	}
	return filepath.Join(t.folder, fmt.Sprintf("frame%03d", i+t.first)+t.ext)
}

// hasTrack reports whether a folder of a clip holds a sensor's frames, without
// looking at them.
func hasTrack(entries []fs.DirEntry, m modality.Kind) bool {
	for _, e := range entries {
		if slices.ContainsFunc(sensorFolders[m], func(name string) bool { return e.Name() == name || e.Name() == name+".npy" }) {
			return true
		}
		if _, ok := frameNumber(e.Name(), sensorExt[m]); ok && m == modality.Radar {
			return true
		}
	}
	return false
}

// errNotAFile marks what is no regular file, such as a pipe, which would be waited
// for.
var errNotAFile = errors.New("is no regular file")
