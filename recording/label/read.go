package label

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/setting"
)

// numJoints is that of h36m17.
const numJoints = len(recording.Pose{})

// maxRows bounds a table, poses: two days at 100 Hz.
const maxRows = 20_000_000

// Read reads a file by its ending: .npy with 17 joints a frame, as MM-Fi's ground
// truth, rateHz frames a second; or .csv, as posefuse sessions export writes it,
// which tells its times itself.
func Read(path string, rateHz float64) (*Track, error) {
	f, err := setting.Open(path)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var t *Track
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".npy":
		t, err = ReadNPY(bufio.NewReader(f), rateHz)
	case ".csv":
		t, err = ReadCSV(bufio.NewReader(f))
	case ".trc", ".c3d":
		t, err = ReadMotion(bufio.NewReader(f))
	default:
		err = fmt.Errorf("the ending %q is not known: want .csv, .npy, .trc or .c3d", ext)
	}
	if err != nil {
		return nil, fmt.Errorf("labels %s: %w", path, err)
	}
	return t, nil
}

// ReadNPY reads frames x 17 x 3 numbers, metres in the camera's frame, rateHz
// frames a second.
func ReadNPY(r io.Reader, rateHz float64) (*Track, error) {
	if !(rateHz > 0 && rateHz <= 10_000) {
		return nil, fmt.Errorf("%g frames a second: want above 0, up to 10000", rateHz)
	}
	a, err := mmfi.ReadNPY(r)
	if err != nil {
		return nil, err
	}
	if len(a.Shape) != 3 || a.Shape[1] != numJoints || a.Shape[2] != 3 {
		return nil, fmt.Errorf("shape %v: want frames x %d x 3", a.Shape, numJoints)
	}
	values := a.Float64()
	n := a.Shape[0]
	times, poses := make([]float64, n), make([]recording.Pose, n)
	for i := range n {
		times[i] = float64(i) / rateHz
		for j := range numJoints {
			copy(poses[i][j][:], values[(i*numJoints+j)*3:])
		}
	}
	return New(Camera, times, poses)
}

// ReadCSV reads a table with a line of names first: time_s or capture_ns, and
// joint0_x_m to joint16_z_m in metres. A column frame says camera, which is also
// taken without one, room, or own. Lines without joints are left out.
func ReadCSV(r io.Reader) (*Track, error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("csv: line 1: %w", err)
	}
	c, err := columnsOf(head)
	if err != nil {
		return nil, err
	}
	t := &Track{}
	first := 0.0
	for line := 2; ; line++ {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("csv: line %d: %w", line, err)
		}
		if row[c.joints[0]] == "" {
			continue
		}
		if len(t.Poses) == maxRows {
			return nil, fmt.Errorf("csv: more than %d poses", maxRows)
		}
		s, p, err := c.parse(row)
		if err != nil {
			return nil, fmt.Errorf("csv: line %d: %w", line, err)
		}
		if c.frame >= 0 && t.Frame != "" && row[c.frame] != t.Frame {
			return nil, fmt.Errorf("csv: line %d: frame %q after %q: want one for all", line, row[c.frame], t.Frame)
		}
		if len(t.Poses) == 0 {
			first, t.Frame = s, Camera
			if c.frame >= 0 {
				t.Frame = strings.Clone(row[c.frame])
			}
		}
		t.TimesS, t.Poses = append(t.TimesS, (s-first)*c.unitS), append(t.Poses, p)
	}
	return New(t.Frame, t.TimesS, t.Poses)
}

// columns is where a table holds what.
type columns struct {
	time, frame int // frame -1: none
	unitS       float64
	joints      [3 * numJoints]int
}

func columnsOf(head []string) (c columns, err error) {
	c.time, c.unitS = slices.Index(head, "time_s"), 1
	if c.time < 0 {
		c.time, c.unitS = slices.Index(head, "capture_ns"), 1e-9
	}
	if c.time < 0 {
		return c, errors.New("csv: no column time_s or capture_ns")
	}
	c.frame = slices.Index(head, "frame")
	for i := range c.joints {
		name := fmt.Sprintf("joint%d_%c_m", i/3, "xyz"[i%3])
		if c.joints[i] = slices.Index(head, name); c.joints[i] < 0 {
			return c, fmt.Errorf("csv: no column %s: want joint0_x_m to joint16_z_m, in the order h36m17", name)
		}
	}
	return c, nil
}

// parse reads a line; the time is in the column's unit.
func (c *columns) parse(row []string) (at float64, p recording.Pose, err error) {
	if at, err = strconv.ParseFloat(row[c.time], 64); err != nil {
		return 0, p, err
	}
	for i, col := range c.joints {
		if p[i/3][i%3], err = strconv.ParseFloat(row[col], 64); err != nil {
			return 0, p, err
		}
	}
	return at, p, nil
}
