package mars

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"posefuse/recording"
)

// closest are MM-Fi's activities nearest to the ten movements of MARS, in order.
var closest = [...]int{7, 8, 11, 9, 10, 12, 15, 16, 24, 25}

// parts are the tables that the authors cut each movement into, in order of time.
var parts = [...]string{"train", "validate", "test"}

// person reads one subject's tables once, for all movements.
type person struct {
	dir  string
	once sync.Once
	all  []*clip // by movement
	err  error
}

var subjectFolder = regexp.MustCompile(`^subject([1-9][0-9]*)$`)

// openPublished lists the people of a folder as the authors publish it. It reports
// false if the folder is another one.
func (d *Dataset) openPublished(root string) (bool, error) {
	for _, below := range []string{"synced_data/wooutlier", "wooutlier", ".", "synced_data/woutlier", "woutlier"} {
		folder := filepath.Join(root, filepath.FromSlash(below))
		entries, err := os.ReadDir(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("mars: %w", err)
		}
		for _, e := range entries {
			m := subjectFolder.FindStringSubmatch(e.Name())
			if m == nil {
				continue
			}
			subject, err := strconv.Atoi(m[1])
			if err != nil || subject > 999 {
				return false, fmt.Errorf("mars: %s: no number of a subject", filepath.Join(folder, e.Name()))
			}
			p := &person{dir: filepath.Join(folder, e.Name(), "timesplit")}
			for movement, activity := range closest {
				key := recording.Key{Subject: subject, Activity: activity}
				d.keys = append(d.keys, key)
				d.open[key] = func() (*clip, error) { return p.movement(movement) }
			}
		}
		if len(d.keys) > 0 {
			d.form = "as published, " + below
			return true, nil
		}
	}
	return false, nil
}

// movement returns one movement of the ten, whose frames are shared.
func (p *person) movement(i int) (*clip, error) {
	p.once.Do(func() { p.all, p.err = readPerson(p.dir) })
	if p.err != nil {
		return nil, p.err
	}
	c := *p.all[i]
	return &c, nil
}

// readPerson reads the six tables of a person and joins the parts of each movement.
func readPerson(dir string) ([]*clip, error) {
	out := make([]*clip, len(closest))
	for i := range out {
		out[i] = &clip{}
	}
	for _, part := range parts {
		radar, err := readRadar(filepath.Join(dir, "radar_data_"+part+".csv"))
		if err != nil {
			return nil, err
		}
		joints, err := readKinect(filepath.Join(dir, "kinect_data_"+part+".csv"))
		if err != nil {
			return nil, err
		}
		if have := len(joints) / (3 * kinectJoints); have != len(radar.frames) {
			return nil, fmt.Errorf("mars: %s: the %s tables have %d radar frames, but joints of %d: copy them again", dir, part, len(radar.frames), have)
		}
		runs := radar.movements()
		if len(runs) != len(out) {
			return nil, fmt.Errorf("mars: %s: the %s table has %d movements by its frame numbers, want %d in a row", dir, part, len(runs), len(out))
		}
		at := 0
		for i, run := range runs {
			c := out[i]
			for _, f := range run {
				first := len(c.points) / radarColumns
				c.points = append(c.points, radar.points[f.first*radarColumns:(f.first+f.n)*radarColumns]...)
				c.frames = append(c.frames, span{number: f.number, first: first, n: f.n})
			}
			c.joints = append(c.joints, joints[at*3*kinectJoints:(at+len(run))*3*kinectJoints]...)
			at += len(run)
			c.borders = append(c.borders, len(c.frames))
		}
	}
	return out, nil
}

// radarTable is the content of a radar table, one span a frame.
type radarTable struct {
	points []float64 // as clip.points
	frames []span
}

// betweenMovements is how many of the sensor's numbers are skipped at least between
// the parts of two movements in a table: those of the other parts. Within a movement
// seldom more than a few are.
const betweenMovements = 60

// movements cuts the frames where the sensor's numbers begin anew or go on after the
// movement's other parts.
func (t *radarTable) movements() (runs [][]span) {
	for i, f := range t.frames {
		if i == 0 || f.number < t.frames[i-1].number || f.number > t.frames[i-1].number+betweenMovements {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], f)
	}
	return runs
}

// readRadar reads a radar table: a row a point, with its frame's number and number of
// points.
func readRadar(path string) (*radarTable, error) {
	var t radarTable
	err := readTable(path, []string{"Frame #", "# Obj", "X", "Y", "Z", "Doppler", "Intensity"}, func(v []float64) error {
		number := int(v[0])
		if n := len(t.frames); n == 0 || t.frames[n-1].number != number {
			t.frames = append(t.frames, span{number: number, first: len(t.points) / radarColumns})
		}
		t.frames[len(t.frames)-1].n++
		t.points = append(t.points, v[2], v[3], v[4], v[5], 10*math.Log10(math.Max(v[6], 1)))
		return nil
	})
	return &t, err
}

// readKinect reads a table of joints, all x, all y, all z, as frames x 25 x 3.
func readKinect(path string) (joints []float64, err error) {
	var names []string
	for _, axis := range []string{"_X", "_Y", "_Z"} {
		for _, joint := range kinectNames {
			names = append(names, joint+axis)
		}
	}
	err = readTable(path, names, func(v []float64) error {
		for j := range kinectJoints {
			joints = append(joints, v[j], v[kinectJoints+j], v[2*kinectJoints+j])
		}
		return nil
	})
	return joints, err
}

var kinectNames = [kinectJoints]string{
	"SpineBase", "SpineMid", "Neck", "Head", "ShoulderLeft", "ElbowLeft", "WristLeft", "HandLeft", "ShoulderRight", "ElbowRight", "WristRight", "HandRight",
	"HipLeft", "KneeLeft", "AnkleLeft", "FootLeft", "HipRight", "KneeRight", "AnkleRight", "FootRight", "SpineShoulder", "HandTipLeft", "ThumbLeft", "HandTipRight", "ThumbRight",
}

// maxTableRows bounds a table, far above any recording.
const maxTableRows = 1 << 22

// readTable calls row with the wanted columns of each line of a table of numbers.
func readTable(path string, columns []string, row func(v []float64) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("mars: %w; the set as published has six tables for each person in timesplit", err)
	}
	defer func() { _ = f.Close() }()
	return scanTable(f, path, columns, row)
}

func scanTable(r io.Reader, path string, columns []string, row func(v []float64) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	if !lines.Scan() {
		return fmt.Errorf("mars: %s is empty", path)
	}
	header := strings.Split(strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff")), ",")
	at := make([]int, len(columns))
	for i, name := range columns {
		if at[i] = slices.Index(header, name); at[i] < 0 {
			return fmt.Errorf("mars: %s has no column %q", path, name)
		}
	}
	v := make([]float64, len(columns))
	rows := 0
	for n := 2; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		cells := strings.Split(lines.Text(), ",")
		if len(cells) != len(header) {
			return fmt.Errorf("mars: %s line %d: %d cells, the header has %d", path, n, len(cells), len(header))
		}
		for i, k := range at {
			x, err := strconv.ParseFloat(strings.TrimSpace(cells[k]), 64)
			if err != nil || math.IsNaN(x) || math.Abs(x) > 1e9 {
				return fmt.Errorf("mars: %s line %d: column %s: %q is no number that can be", path, n, columns[i], cells[k])
			}
			v[i] = x
		}
		if rows++; rows > maxTableRows {
			return fmt.Errorf("mars: %s has more than %d rows", path, maxTableRows)
		}
		if err := row(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("mars: %s: %w", path, err)
	}
	if rows == 0 {
		return fmt.Errorf("mars: %s has no rows", path)
	}
	return nil
}
