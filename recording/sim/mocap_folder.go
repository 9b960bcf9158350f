package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mocapIndexName is the file that lists the recordings of a motion library of
// .npy files.
const mocapIndexName = "index.csv"

// Endings of a motion library's files.
const (
	bvhEnding = ".bvh"
	npyEnding = ".npy"
)

// mocapAdvice says what LoadMocap reads.
const mocapAdvice = "a motion library is a folder with an " + mocapIndexName + " and the .npy files it names, " +
	"or a folder of .bvh files named " + bvhNames

// bvhNames is the convention by which a .bvh file says who moves and what it
// is: the format has no place for either.
const bvhNames = "PERSON_ACTIVITY.bvh or PERSON_ACTIVITY_MORE.bvh, e.g. anna_A12.bvh, with an activity of A01 to A27"

// LoadMocap reads the motion library in a folder, which holds one of two
// things: index.csv and the .npy files it names (float, frames x 17 x 3,
// metres); or .bvh files whose names say who does which activity. Folders
// within a folder of .bvh files are not looked at. The error names the file
// and, for the index and inside a .bvh file, the line. One file that cannot be
// used fails the library, so that nobody trains on less than was given.
func LoadMocap(dir string) (*MocapLibrary, error) {
	l, err := loadMocap(dir)
	if err != nil {
		return nil, fmt.Errorf("sim: motion library %s: %w", dir, err)
	}
	return l, nil
}

func loadMocap(dir string) (*MocapLibrary, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("%w (%s)", err, mocapAdvice)
	}
	var hasIndex bool
	var npy, bvh []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == mocapIndexName:
			hasIndex = true
		case strings.EqualFold(filepath.Ext(name), bvhEnding):
			bvh = append(bvh, name)
		case strings.EqualFold(filepath.Ext(name), npyEnding):
			npy = append(npy, name)
		}
	}
	switch {
	case len(bvh) > 0 && hasIndex:
		return nil, fmt.Errorf("both %s and %s are in it: give each kind a folder of its own (%s)", mocapIndexName, bvh[0], mocapAdvice)
	case len(bvh) > 0 && len(npy) > 0:
		return nil, fmt.Errorf("both %s and %s are in it: give each kind a folder of its own (%s)", npy[0], bvh[0], mocapAdvice)
	case len(bvh) > 0:
		return loadBVHFolder(dir, bvh)
	case hasIndex:
		return loadMocapIndex(dir)
	}
	return nil, fmt.Errorf("neither %s nor a .bvh file is in it (%s)", mocapIndexName, mocapAdvice)
}

func loadMocapIndex(dir string) (*MocapLibrary, error) {
	f, err := os.Open(filepath.Join(dir, mocapIndexName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	takes, err := readMocapIndex(f, func(name string) ([][17][3]float32, error) { return readMocapFile(dir, name) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", mocapIndexName, err)
	}
	return NewMocapLibrary(takes...), nil
}

// loadBVHFolder reads .bvh files. How many repetitions they hold is not known.
func loadBVHFolder(dir string, names []string) (*MocapLibrary, error) {
	var takes []*Take
	for _, name := range names {
		t, err := readBVHTake(dir, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		takes = append(takes, t)
	}
	l := NewMocapLibrary(takes...)
	l.uncounted = true
	return l, nil
}

func readBVHTake(dir, name string) (*Take, error) {
	info, err := parseBVHName(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := LoadBVH(f)
	if err != nil {
		return nil, err
	}
	t, err := b.Take(info)
	if err != nil {
		return nil, err
	}
	if d := t.durationS(); d < mocapShortestS {
		return nil, fmt.Errorf("bvh: %.2f s are too short: at least %.2f s are needed", d, mocapShortestS)
	}
	return t, nil
}

// parseBVHName reads who does what from a file's name.
func parseBVHName(name string) (Take, error) {
	parts := strings.SplitN(strings.TrimSuffix(name, filepath.Ext(name)), "_", 3)
	if len(parts) < 2 || parts[0] == "" {
		return Take{}, errors.New("the name does not say who does what: want " + bvhNames)
	}
	activity, ok := parseActivity(parts[1])
	if !ok {
		return Take{}, fmt.Errorf("%q is not an activity: want %s", parts[1], bvhNames)
	}
	return Take{File: name, Subject: parts[0], Activity: activity}, nil
}
