package sim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"posefuse/recording/mmfi"
)

// mocapIndexName is the file that lists the recordings of a motion library.
const mocapIndexName = "index.csv"

// Labels of a recorded performance.
const (
	LabelCorrect   = "correct"
	LabelIncorrect = "incorrect" // acted by a healthy person
)

// Take is one recorded performance: a single repetition if it is labelled,
// otherwise a clip with an unknown number of them.
type Take struct {
	File     string // relative to the library's folder
	Subject  string // the recorded person, e.g. "s01"
	Movement string // e.g. "deep squat"
	Label    string // LabelCorrect, LabelIncorrect or empty
	Rep      int    // number of the repetition or clip in its file
	Activity int    // nearest of the 27 activities, 0 if none is near
	FPS      float64

	frames [][17][3]float32 // x to the person's left, y down from the floor, z away from the sensors
}

// Len returns the number of frames.
func (t *Take) Len() int { return len(t.frames) }

// Frame returns the recorded joints of frame i, 0-based, at the usual standing
// place in the room frame. Bones of a recording change their length by a few
// per cent.
func (t *Take) Frame(i int) Skeleton {
	sk := t.raw(i)
	for j := range sk {
		sk[j][2] += standingDepthM
	}
	return sk
}

// raw returns frame i with y up; the pelvis of the first frame is at x = z = 0.
func (t *Take) raw(i int) Skeleton {
	var sk Skeleton
	for j, v := range t.frames[i] {
		sk[j] = Vec{float64(v[0]), -float64(v[1]), float64(v[2])}
	}
	return sk
}

// MocapLibrary holds recorded human motion. It is safe for concurrent use.
type MocapLibrary struct {
	takes  []*Take
	bodies map[string]recordedBody // by subject, of all subjects of the folder
}

// LoadMocap reads the motion library in a folder: index.csv and the .npy files
// it names (float, frames x 17 x 3, metres). The error names the file and, for
// the index, the line.
func LoadMocap(dir string) (*MocapLibrary, error) {
	f, err := os.Open(filepath.Join(dir, mocapIndexName))
	if err != nil {
		return nil, fmt.Errorf("sim: motion library %s: %w (a motion library is a folder with an %s)", dir, err, mocapIndexName)
	}
	defer f.Close()
	takes, err := readMocapIndex(f, func(name string) ([][17][3]float32, error) { return readMocapFile(dir, name) })
	if err != nil {
		return nil, fmt.Errorf("sim: motion library %s: %s: %w", dir, mocapIndexName, err)
	}
	return NewMocapLibrary(takes...), nil
}

// NewMocapLibrary makes a library of recordings, for example of BVH files.
func NewMocapLibrary(takes ...*Take) *MocapLibrary {
	l := &MocapLibrary{takes: slices.Clone(takes), bodies: map[string]recordedBody{}}
	bySubject := map[string][]*Take{}
	for _, t := range takes {
		bySubject[t.Subject] = append(bySubject[t.Subject], t)
	}
	for subject, own := range bySubject {
		l.bodies[subject] = measureBody(own)
	}
	return l
}

// Only returns the part of the library that was recorded of the given
// subjects, so that training and test data never share a person.
func (l *MocapLibrary) Only(subjects ...string) *MocapLibrary {
	part := &MocapLibrary{bodies: l.bodies}
	for _, t := range l.takes {
		if slices.Contains(subjects, t.Subject) {
			part.takes = append(part.takes, t)
		}
	}
	return part
}

// Subjects lists the recorded people, sorted.
func (l *MocapLibrary) Subjects() []string {
	var names []string
	for _, t := range l.takes {
		if !slices.Contains(names, t.Subject) {
			names = append(names, t.Subject)
		}
	}
	slices.Sort(names)
	return names
}

// Body returns the size of a recorded person, for procedural movement of a
// real body. Sex and girth are not recorded and left at male and 1.
func (l *MocapLibrary) Body(subject string) (Subject, bool) {
	b, ok := l.bodies[subject]
	if !ok || !slices.Contains(l.Subjects(), subject) {
		return Subject{}, false
	}
	return b.subject(Subject{Girth: 1}), true
}

// Takes lists the recordings in the order of the index.
func (l *MocapLibrary) Takes() []*Take { return slices.Clone(l.takes) }

// readMocapIndex reads the index; load reads a file it names.
func readMocapIndex(index io.Reader, load func(name string) ([][17][3]float32, error)) ([]*Take, error) {
	r := csv.NewReader(index)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	columns, err := mocapColumns(header)
	if err != nil {
		return nil, err
	}
	files := map[string][][17][3]float32{}
	var takes []*Take
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return takes, nil
		}
		if err != nil {
			return nil, err // names the line
		}
		line, _ := r.FieldPos(0)
		t, first, count, err := parseMocapRow(record, columns)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		frames, ok := files[t.File]
		if !ok {
			if frames, err = load(t.File); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			files[t.File] = frames
		}
		if first < 0 || count < 2 || count > len(frames) || first > len(frames)-count {
			return nil, fmt.Errorf("line %d: %d frames from frame %d on of %s, which has %d; at least 2 are needed",
				line, count, first, t.File, len(frames))
		}
		t.frames = frames[first : first+count]
		takes = append(takes, t)
	}
}

// mocapColumns finds the columns of the index by name.
func mocapColumns(header []string) (map[string]int, error) {
	columns := map[string]int{}
	for i, name := range header {
		columns[name] = i
	}
	for _, name := range []string{"file", "subject", "movement", "label", "rep", "fps", "first", "count", "mmfi_closest"} {
		if _, ok := columns[name]; !ok {
			return nil, fmt.Errorf("column %q is missing", name)
		}
	}
	return columns, nil
}

func parseMocapRow(record []string, columns map[string]int) (t *Take, first, count int, err error) {
	field := func(name string) string { return record[columns[name]] }
	number := func(name string) int {
		n, convErr := strconv.Atoi(field(name))
		if convErr != nil && err == nil {
			err = fmt.Errorf("%s: %q is not a whole number", name, field(name))
		}
		return n
	}
	t = &Take{
		File: field("file"), Subject: field("subject"), Movement: field("movement"), Label: field("label"),
		Rep: number("rep"),
	}
	first, count = number("first"), number("count")
	if err != nil {
		return nil, 0, 0, err
	}
	t.FPS, err = strconv.ParseFloat(field("fps"), 64)
	if err != nil || !(t.FPS >= 1 && t.FPS <= 1000) {
		return nil, 0, 0, fmt.Errorf("fps: %q is not a rate of 1 to 1000", field("fps"))
	}
	if name := field("mmfi_closest"); name != "" {
		t.Activity, err = strconv.Atoi(strings.TrimPrefix(name, "A"))
		if err != nil || name != fmt.Sprintf("A%02d", t.Activity) || t.Activity < 1 || t.Activity > numActivities {
			return nil, 0, 0, fmt.Errorf("mmfi_closest: %q is not A01 to A27", name)
		}
	}
	if !filepath.IsLocal(t.File) {
		return nil, 0, 0, fmt.Errorf("file: %q lies outside the library", t.File)
	}
	return t, first, count, nil
}

func readMocapFile(dir, name string) ([][17][3]float32, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := mmfi.ReadNPY(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(a.Shape) != 3 || a.Shape[1] != 17 || a.Shape[2] != 3 {
		return nil, fmt.Errorf("%s: shape %v, want (frames, 17, 3)", name, a.Shape)
	}
	values := a.Float32()
	frames := make([][17][3]float32, a.Shape[0])
	for i := range frames {
		for j := range frames[i] {
			for k := range frames[i][j] {
				v := values[(i*17+j)*3+k]
				if !plausiblePosition(float64(v)) {
					return nil, fmt.Errorf("%s: joint %d of frame %d is at %v m", name, j, i, v)
				}
				frames[i][j][k] = v
			}
		}
	}
	return frames, nil
}

// plausiblePosition reports whether a coordinate, metres, can belong to a
// person in a room. NaN cannot.
func plausiblePosition(v float64) bool { return v > -100 && v < 100 }
