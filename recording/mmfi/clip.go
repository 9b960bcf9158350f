package mmfi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"posefuse/recording"
	"posefuse/sensors/modality"
)

// newClip returns a clip of which nothing is read yet.
func (d *Directory) newClip(k recording.Key) *directoryClip {
	c := &directoryClip{key: k, path: d.path(k), background: d.background}
	if d.filtered != "" {
		c.filtered = filepath.Join(d.filtered, filepath.FromSlash(Path(k)))
	}
	for m := range modality.Count {
		c.tracks[m] = sync.OnceValue(func() *track {
			t := c.findTrack(m)
			return &t
		})
	}
	return c
}

// directoryClip is one clip of a Directory.
type directoryClip struct {
	key      recording.Key
	path     string
	filtered string // the clip's folder in MM-Fi's second radar download, if that lies beside
	len      int
	truth    []recording.Pose // nil if there is no file
	truthErr error            // why truth cannot be taken
	tracks   [modality.Count]func() *track
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
		for m := range modality.Count {
			c.len = max(c.len, c.tracks[m]().length())
		}
		return nil
	}
	if err != nil {
		return err
	}
	a, err := ReadNPY(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("mmfi: %s: %w", path, err)
	}
	joints := len(a.Shape) == 3 && a.Shape[1] == 17 && a.Shape[2] == 3
	if flat := len(a.Shape) == 2 && a.Shape[1] == 51; !joints && !flat {
		return ofKind(WrongShape, "mmfi: %s: shape %v, want (%d, 17, 3)", path, a.Shape, FramesPerClip)
	}
	values := a.Float64()
	c.truth = make([]recording.Pose, a.Shape[0])
	for i := range c.truth {
		for j := range 17 {
			copy(c.truth[i][j][:], values[(i*17+j)*3:])
		}
	}
	c.len, c.truthErr = len(c.truth), c.checkUnit()
	return nil
}

// checkUnit refuses a ground truth in millimetres: every figure of it would be a
// thousand times too large.
func (c *directoryClip) checkUnit() error {
	wrong := 0
	var why string
	for i := range c.truth {
		if fault, text := recording.CheckPose(&c.truth[i]); fault == recording.Millimetres {
			wrong, why = wrong+1, text
		}
	}
	if 2*wrong > len(c.truth) {
		return ofKind(WrongUnit, "mmfi: %s: %s", filepath.Join(c.path, groundTruthName), why)
	}
	return nil
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
	return c.truth[i], c.truthErr
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
	for m := range which.Kinds() {
		if err := c.read(m, i, f); err != nil {
			return err
		}
	}
	return nil
}

// read fills f with one sensor's frame and names the file in what goes wrong.
func (c *directoryClip) read(m modality.Kind, i int, f *recording.Frame) error {
	t := c.tracks[m]()
	if t.err != nil {
		return t.err
	}
	path := t.path(i)
	if t.folder == "" {
		path = filepath.Join(c.path, sensorFolders[m][0], fmt.Sprintf("frame%03d", i+1)+t.ext)
	}
	if t.sequence != nil {
		values, err := frameOf(t.sequence, i)
		if err == nil {
			err = c.take(m, i, values, nil, f)
		}
		if err != nil {
			return fmt.Errorf("mmfi: %s: frame %d: %w", path, i+1, err)
		}
		return nil
	}
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) && t.sparse {
		return fmt.Errorf("%w: %w", recording.ErrLeftOut, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the clip is incomplete, copy it again", err)
	}
	if err == nil {
		err = c.decode(m, i, b, f)
		if err != nil {
			err = fmt.Errorf("mmfi: %s: %w", path, err)
		}
	}
	return err
}

// decode fills f with one sensor's frame from the bytes of its file.
func (c *directoryClip) decode(m modality.Kind, i int, b []byte, f *recording.Frame) error {
	switch m {
	case modality.Camera:
		a, err := ReadNPY(bytes.NewReader(b))
		if err != nil {
			return err
		}
		if len(a.Shape) == 3 && a.Shape[0] == 1 { // a picture with one person
			a.Shape = a.Shape[1:]
		}
		if len(a.Shape) != 2 || a.Shape[0] != 17 || a.Shape[1] != 2 && a.Shape[1] != 3 {
			return ofKind(WrongShape, "shape %v, want (17, 2)", a.Shape)
		}
		return c.take(m, i, a.Float64(), nil, f)
	case modality.LiDAR, modality.Radar:
		dst, columns := &f.LiDAR, LiDARColumns
		if m == modality.Radar {
			dst, columns = &f.MmWave, MmWaveColumns
		}
		values, err := DecodePoints(*dst, b, columns)
		if errors.Is(err, ErrTruncated) {
			if name := otherReading(b, columns); name != "" {
				return ofKind(WrongType, "bin: looks like %s, MM-Fi has little-endian float64: write it so", name)
			}
		}
		if err == nil {
			err = checkPoints(b, values, columns)
		}
		*dst = values
		return err
	default:
		amp, phase, err := DecodeCSI(b)
		if err != nil {
			return err
		}
		return c.take(m, i, amp, phase, f)
	}
}

// take fills f with the values of one sensor.
func (c *directoryClip) take(m modality.Kind, i int, values, phase []float64, f *recording.Frame) error {
	switch m {
	case modality.Camera:
		width := len(values) / 17
		f.Scores, f.Absent = f.Scores[:0], f.Absent&^modality.Of(modality.Camera)
		for j := range f.RGB {
			f.RGB[j] = [2]float64{values[width*j], values[width*j+1]}
			if width == 3 {
				f.Scores = append(f.Scores, values[3*j+2])
			}
		}
		if c.scores != nil {
			f.Scores = append(f.Scores[:0], c.scores[17*i:17*(i+1)]...)
		}
		if f.RGB == [17][2]float64{} { // nobody was found
			f.Absent |= modality.Of(modality.Camera)
		}
	case modality.LiDAR:
		f.LiDAR = append(f.LiDAR[:0], values...)
	case modality.Radar:
		f.MmWave = append(f.MmWave[:0], values...)
	case modality.CSI:
		f.CSIAmp, f.CSIPhase = values, phase
	}
	return nil
}

// frameName returns the file name of a 0-based frame without extension.
func frameName(i int) string { return fmt.Sprintf("frame%03d", i+1) }

// readFile reads a whole file of at most maxFrameFile bytes. What is no file, such
// as a pipe, is not waited for.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("mmfi: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("mmfi: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("mmfi: %s %w", path, errNotAFile)
	}
	var b bytes.Buffer
	if info.Size() <= maxFrameFile {
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
