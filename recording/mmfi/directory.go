package mmfi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

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
	filtered   string     // MM-Fi's second radar download beside the clips
	misplaced  []Problem
}

var (
	_ recording.PartialDataset = (*Directory)(nil)
	_ recording.PartialClip    = (*directoryClip)(nil)
	_ recording.Backgrounded   = (*directoryClip)(nil)
	_ frame.Rigged             = riggedClip{}
)

// Open lists the clips below root, or below its one folder that has clips. Clips
// and frames may be missing; what is missing or broken inside a clip is reported
// when it is read. What nothing will ever read is told by Misplaced.
func Open(root string) (*Directory, error) {
	d := &Directory{root: root}
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("mmfi: open data set: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("mmfi: open data set: %s is a file, not a folder", root)
	}
	if err = d.listClips(); err != nil {
		return nil, err
	}
	if len(d.keys) == 0 {
		if err = d.descend(); err != nil {
			return nil, err
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
	_, err = os.Stat(filepath.Join(d.root, ManifestName))
	d.simulated = err == nil
	for _, beside := range []string{filteredFolder, filteredFolder + "/" + filteredFolder} {
		folder := filepath.Join(d.root, filepath.FromSlash(beside))
		if _, err := os.Stat(filepath.Join(folder, "E01")); err == nil {
			d.filtered = folder
		}
	}
	d.misplaced = append(d.misplaced, d.strays()...)
	if err := d.readRoom(); err != nil {
		return nil, err
	}
	return d, nil
}

// listClips finds the clips below the root. An empty folder is none.
func (d *Directory) listClips() error {
	for subject := 1; subject <= NumSubjects; subject++ {
		folder := filepath.Dir(d.path(recording.Key{Subject: subject, Activity: 1}))
		entries, readErr := os.ReadDir(folder)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue
		}
		if readErr != nil {
			return fmt.Errorf("mmfi: open data set: %w", readErr)
		}
		for _, e := range entries {
			a, ok := activityOf(e.Name())
			if !ok {
				continue
			}
			k := recording.Key{Subject: subject, Activity: a}
			inside, err := os.ReadDir(d.path(k))
			switch {
			case err != nil:
				d.misplaced = append(d.misplaced, Problem{Kind: Unreadable, Path: Path(k), Count: 1, Detail: err.Error()})
			case !slices.ContainsFunc(inside, func(e fs.DirEntry) bool { return !junk(e.Name()) }):
				d.misplaced = append(d.misplaced, Problem{Kind: EmptyClip, Path: Path(k), Count: 1, Detail: "the folder is empty: unpack the clip again"})
			default:
				d.keys = append(d.keys, k)
			}
		}
	}
	return nil
}

// descend takes the one folder of the root that has clips for the root, as where an
// archive was unpacked into a folder of its own name.
func (d *Directory) descend() error {
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return fmt.Errorf("mmfi: open data set: %w", err)
	}
	given, found := d.root, ""
	for _, e := range entries {
		inner := &Directory{root: filepath.Join(given, e.Name())}
		if info, statErr := os.Stat(inner.root); statErr != nil || !info.IsDir() || inner.listClips() != nil || len(inner.keys) == 0 {
			continue
		}
		if found != "" {
			return fmt.Errorf("mmfi: %s and %s both hold clips: give one of them", filepath.Join(given, found), inner.root)
		}
		found, d.root, d.keys, d.misplaced = e.Name(), inner.root, inner.keys, inner.misplaced
	}
	return nil
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
	for _, k := range d.keys {
		entries, err := os.ReadDir(d.path(k))
		if err != nil {
			continue // reported when it is read
		}
		for m := range modality.Count {
			if !have.Has(m) && hasTrack(entries, m) {
				have |= modality.Of(m)
			}
		}
		if d.filtered != "" {
			have |= modality.Of(modality.Radar)
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

// Open implements Dataset. It reads the ground truth of a clip anew, since that of
// all clips would take as much memory as a training's samples; a clip without a ground truth file opens, its length is then that of the longest
// sensor recording.
func (d *Directory) Open(k recording.Key) (recording.Clip, error) {
	c := d.newClip(k)
	if _, err := os.Stat(c.path); err != nil {
		return nil, fmt.Errorf("mmfi: open clip: %w", err)
	}
	if err := errors.Join(c.loadTruth(), c.loadScores()); err != nil {
		return nil, err
	}
	return d.withRig(c), nil
}

func (d *Directory) withRig(c *directoryClip) recording.Clip {
	if d.rig == nil {
		return c
	}
	return riggedClip{c, *d.rig}
}
