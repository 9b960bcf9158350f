package sim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"posefuse/recording/mmfi"
)

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
		var ok bool
		if t.Activity, ok = parseActivity(name); !ok {
			return nil, 0, 0, fmt.Errorf("mmfi_closest: %q is not A01 to A27", name)
		}
	}
	if !filepath.IsLocal(t.File) {
		return nil, 0, 0, fmt.Errorf("file: %q lies outside the library", t.File)
	}
	return t, first, count, nil
}

// parseActivity reads the name of one of the 27 activities, A01 to A27.
func parseActivity(name string) (number int, ok bool) {
	number, err := strconv.Atoi(strings.TrimPrefix(name, "A"))
	return number, err == nil && name == fmt.Sprintf("A%02d", number) && number >= 1 && number <= numActivities
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
