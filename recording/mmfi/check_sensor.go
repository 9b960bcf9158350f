package mmfi

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// checkSensor reads every frame of one sensor.
func (c *clipCheck) checkSensor(m modality.Kind) {
	t := c.clip.tracks[m]()
	if t.folder == "" {
		c.add(MissingFile, filepath.Join(c.clip.path, sensorFolders[m][0]), "the sensor is missing, which other clips have")
		return
	}
	if t.err != nil {
		c.add(kindOf(t.err), t.folder, t.err.Error())
		if t.sequence == nil && t.ext == ".npy" && !isFolder(t.folder) {
			return
		}
	}
	if t.sequence != nil || !isFolder(t.folder) {
		c.checkSequence(m, t)
		return
	}
	numbers := c.listFrames(m, t)
	c.checkNumbers(t, numbers)
	found := findings{}
	seen := map[uint64]int{}
	var f recording.Frame
	var whole maphash.Hash
	whole.SetSeed(sumSeed)
	for _, n := range numbers {
		path := filepath.Join(t.folder, fmt.Sprintf("frame%03d", n)+t.ext)
		b, err := readFile(path)
		if err != nil {
			found.add(Unreadable, n, err.Error())
			continue
		}
		c.files, c.bytes = c.files+1, c.bytes+int64(len(b))
		if len(b) == 0 {
			if m != modality.Radar { // an empty radar frame is data
				found.add(EmptyFile, n, "0 bytes: copy it again")
			}
			continue
		}
		_, _ = whole.Write(b) // a hash takes anything
		if kind := foreign(m, b); kind != "" {
			found.add(Swapped, n, kind)
			continue
		}
		if err := c.clip.decode(m, max(n-t.first, 0), b, &f); err != nil {
			found.add(kindOf(err), n, err.Error())
			continue
		}
		if kind, why := checkValues(m, &f); kind != "" {
			found.add(kind, n, why)
		}
		if m == modality.Camera && f.RGB == [17][2]float64{} {
			continue // nobody, twice
		}
		sum := maphash.Bytes(sumSeed, b)
		if other, twice := seen[sum]; twice {
			found.add(Duplicate, n, fmt.Sprintf("the same bytes as frame %d", other))
		}
		seen[sum] = n
	}
	if len(seen) > 1 {
		c.sum[m] = whole.Sum64()
	}
	found.tell(c, t.folder)
}

// sumSeed makes sums comparable within the process.
var sumSeed = maphash.MakeSeed()

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// listFrames returns the numbers of a sensor's frames and notes what else lies in
// the folder.
func (c *clipCheck) listFrames(m modality.Kind, t *track) (numbers []int) {
	entries, err := os.ReadDir(t.folder)
	if err != nil {
		c.add(Unreadable, t.folder, err.Error())
		return nil
	}
	inClip := t.folder == c.clip.path // filtered radar beside the ground truth
	for _, e := range entries {
		n, ok := frameNumber(e.Name(), t.ext)
		at := filepath.Join(t.folder, e.Name())
		switch {
		case ok:
			numbers = append(numbers, n)
		case junk(e.Name()) || inClip:
		case e.IsDir():
			c.add(Misplaced, at, "a folder among the frames: nothing reads it")
		case slices.Contains(sensorExt[:], filepath.Ext(e.Name())) && filepath.Ext(e.Name()) != t.ext:
			c.add(Swapped, at, fmt.Sprintf("the %s's files end in %s: this is another sensor's", m, t.ext))
		case strings.HasSuffix(e.Name(), ".part") || strings.HasSuffix(e.Name(), ".crdownload") || strings.HasSuffix(e.Name(), ".tmp"):
			c.add(Damaged, at, "an unfinished download")
		default:
			c.add(Numbering, at, fmt.Sprintf("want frame001%s and so on", t.ext))
		}
	}
	slices.Sort(numbers)
	return numbers
}

// checkNumbers compares the numbers of a sensor's frames with the poses.
func (c *clipCheck) checkNumbers(t *track, numbers []int) {
	n := c.clip.len
	if len(numbers) == 0 {
		c.add(MissingFile, t.folder, "holds no frame")
		return
	}
	var missing, beyond []int
	at := 0
	for want := t.first; want < n+t.first; want++ {
		for at < len(numbers) && numbers[at] < want {
			at++
		}
		if at == len(numbers) || numbers[at] != want {
			missing = append(missing, want)
		}
	}
	for _, have := range numbers {
		if have >= n+t.first {
			beyond = append(beyond, have)
		}
	}
	if t.first == 0 && t.err == nil && c.clip.truth != nil {
		c.add(Numbering, t.folder, "frames are numbered from 000; frame000 is taken for pose 1")
	}
	if len(beyond) > 0 && t.err == nil && c.clip.truth != nil {
		c.add(LengthDiffer, t.folder, fmt.Sprintf("%d frames for %d poses", numbers[len(numbers)-1]+1-t.first, n), beyond...)
	}
	switch {
	case t.err != nil, len(missing) == 0:
	case t.sparse:
		// By design: such frames are left out and counted when they are loaded.
	case missing[0] > numbers[len(numbers)-1]:
		c.add(LengthDiffer, t.folder, fmt.Sprintf("%d frames for %d poses", numbers[len(numbers)-1]+1-t.first, n), missing...)
	default:
		c.add(MissingFile, t.folder, "frames are missing: copy them again", missing...)
	}
}

// checkSequence looks at one array of all frames.
func (c *clipCheck) checkSequence(m modality.Kind, t *track) {
	if info, err := os.Stat(t.folder); err == nil {
		c.files, c.bytes = c.files+1, c.bytes+info.Size()
	}
	if t.sequence == nil {
		return // why is noted
	}
	found := findings{}
	var f recording.Frame
	for i := range t.sequence.Shape[0] {
		values, err := frameOf(t.sequence, i)
		if err == nil && i < c.clip.len {
			err = c.clip.take(m, i, values, nil, &f)
		}
		if err != nil {
			found.add(kindOf(err), i+1, err.Error())
		} else if kind, why := checkValues(m, &f); kind != "" {
			found.add(kind, i+1, why)
		}
	}
	found.tell(c, t.folder)
}

// foreign tells whose file this is if it is another sensor's.
func foreign(m modality.Kind, b []byte) string {
	npy, mat := bytes.HasPrefix(b, npyMagic), bytes.HasPrefix(b, []byte("MATLAB 5.0"))
	points := func(columns int) bool {
		values, err := DecodePoints(nil, b, columns)
		return err == nil && checkPoints(b, values, columns) == nil
	}
	switch m {
	case modality.Camera:
		if mat {
			return "is a .mat file by its content: the WiFi's"
		}
	case modality.CSI:
		if npy {
			return "is an .npy file by its content: the camera's"
		}
	default:
		if npy {
			return "is an .npy file by its content: the camera's"
		}
		if mat {
			return "is a .mat file by its content: the WiFi's"
		}
		if m == modality.LiDAR && len(b)%(8*LiDARColumns) != 0 && len(b)%(8*MmWaveColumns) == 0 && points(MmWaveColumns) {
			return "is the radar's by its length: rows of 5 columns"
		}
		if m == modality.Radar && len(b)%(8*MmWaveColumns) != 0 && len(b)%(8*LiDARColumns) == 0 && points(LiDARColumns) {
			return "is the LiDAR's by its length: rows of 3 columns"
		}
	}
	return ""
}

// checkValues says what is wrong with the values of a frame that could be read.
func checkValues(m modality.Kind, f *recording.Frame) (Kind, string) {
	switch m {
	case modality.Camera:
		return checkKeypoints(&f.RGB)
	case modality.LiDAR:
		return checkCloud(f.LiDAR, LiDARColumns)
	case modality.Radar:
		return checkCloud(f.MmWave, MmWaveColumns)
	default:
		return checkCSI(f)
	}
}

func checkCSI(f *recording.Frame) (Kind, string) {
	finite, lo, hi, bad := 0, math.Inf(1), math.Inf(-1), 0
	for _, v := range f.CSIAmp {
		switch {
		case math.IsNaN(v):
			bad++
		case !math.IsInf(v, 0):
			finite++
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	switch {
	case finite == 0:
		return NotANumber, "no amplitude is a number: the frame is zero to a network"
	case bad > 0:
		return NotANumber, fmt.Sprintf("%d of %d amplitudes are NaN: they are replaced by their packet's mean", bad, len(f.CSIAmp))
	case hi == lo:
		return Implausible, "all amplitudes are equal"
	case lo < -200 || hi > 300:
		return Implausible, fmt.Sprintf("amplitudes from %.3g to %.3g: want dB", lo, hi)
	}
	return "", ""
}

func checkKeypoints(xy *[17][2]float64) (Kind, string) {
	largest := 0.0
	for _, p := range xy {
		for _, v := range p {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return NotANumber, "a keypoint is no number: it counts as the picture's centre"
			}
			largest = math.Max(largest, math.Abs(v))
		}
	}
	switch {
	case largest == 0:
		return "", "" // nobody was found: data
	case largest < smallestPoint:
		return WrongType, fmt.Sprintf("no keypoint is above %.3g pixels: looks like another byte order or type", largest)
	case largest <= 2:
		return WrongUnit, "all keypoints lie within 2 pixels: looks like shares of the picture, want pixels"
	case largest > 1e4:
		return Implausible, fmt.Sprintf("a keypoint at %.3g pixels", largest)
	}
	return "", ""
}

func checkCloud(values []float64, columns int) (Kind, string) {
	bad, far := recording.OddPoints(values, columns)
	switch n := len(values) / columns; {
	case bad > 0:
		return NotANumber, fmt.Sprintf("%d of %d points are no numbers: they are dropped", bad, n)
	case far > 0:
		return Implausible, fmt.Sprintf("%d of %d points are farther than %d m", far, n, recording.FarPointM)
	}
	return "", ""
}
