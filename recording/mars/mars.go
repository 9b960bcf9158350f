// Package mars reads real radar recordings with measured joints: clips of the
// MARS data set (An and Ogras 2021: TI IWR1443 beside a Kinect v2, ten
// rehabilitation movements), stored as index.csv and three NumPy files a clip.
// The data set has the radar only. A radar point is x (the person's left), y
// (away from the radar), z (up) in metres, the Doppler velocity in m/s and the
// intensity in dB: as stored it spans three decades, of which the largest few
// would be all a network sees.
package mars

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/sensors/modality"
)

// Steps of the stored integers.
const (
	metresPerStep   = 1.0 / 1024
	dopplerPerStep  = 0.356003645 // m/s
	kinectJoints    = 25
	radarColumns    = 5
	frameColumns    = 4
	maxClipRows     = 1 << 24 // points of one clip, far above any recording
	indexName       = "index.csv"
	maxRadarHistory = 32
)

// joints are the Kinect v2 joints that stand for MM-Fi's 17.
var joints = [17]int{0, 16, 17, 18, 12, 13, 14, 1, 20, 2, 3, 4, 5, 6, 8, 9, 10}

var (
	_ recording.PartialDataset = (*Dataset)(nil)
	_ recording.PartialClip    = (*clip)(nil)
)

// Dataset is a folder of MARS clips.
type Dataset struct {
	root    string
	history recording.Window // radar frames of one sample
	forward bool             // points are x away, y to the radar's left
	form    string           // how the folder is laid out
	keys    []recording.Key
	open    map[recording.Key]func() (*clip, error)
}

// Options of Open.
type Options struct {
	// History is how many radar frames one sample holds, the newest and those
	// before it: one frame of 20 to 50 points shows little of a body. 1 if 0,
	// at most 32.
	History int
	// RadarFrame gives points in the frame of package frame's radars, x away from
	// the radar, y to its left, for networks that were trained on others than
	// MARS. Without it they keep the axes of the files.
	RadarFrame bool
}

// Open lists the clips of a folder: one with an index as this package's own, the set
// as its authors publish it (synced_data, or a folder of subjects below it), or their
// feature maps. Subject and movement become the clip's key: the movement as the MM-Fi
// activity nearest to it.
func Open(root string, opt Options) (*Dataset, error) {
	d := &Dataset{root: root, forward: opt.RadarFrame, history: recording.Window{Before: max(opt.History, 1) - 1}, open: map[recording.Key]func() (*clip, error){}}
	if d.history.Len() > maxRadarHistory {
		return nil, fmt.Errorf("mars: history of %d radar frames: want at most %d", d.history.Len(), maxRadarHistory)
	}
	_, err := os.Stat(filepath.Join(root, indexName))
	found := err == nil
	if found {
		err = d.openIndex(root)
	} else if found, err = d.openPublished(root); err == nil && !found {
		found, err = d.openFeatures(root)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("mars: %s holds neither %s, nor synced_data or subject1, nor feature/featuremap_train.npy: give the folder of the MARS repository", root, indexName)
	}
	sort.Slice(d.keys, func(i, j int) bool {
		a, b := d.keys[i], d.keys[j]
		if a.Subject != b.Subject {
			return a.Subject < b.Subject
		}
		return a.Activity < b.Activity
	})
	return d, nil
}

// openIndex reads the index of a folder of this package's own form.
func (d *Dataset) openIndex(root string) error {
	path := filepath.Join(root, indexName)
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("mars: %w; the folder must hold %s and the clips' .npy files", err, indexName)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("mars: %s: %w", path, err)
	}
	if len(rows) == 0 {
		return fmt.Errorf("mars: %s is empty", path)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, want := range []string{"clip", "subject", "mmfi_closest"} {
		if _, ok := column[want]; !ok {
			return fmt.Errorf("mars: %s has no column %q", path, want)
		}
	}
	names := map[recording.Key]string{}
	for n, row := range rows[1:] {
		subject, err := strconv.Atoi(row[column["subject"]])
		if err != nil || subject < 1 {
			return fmt.Errorf("mars: %s line %d: subject %q: want a number from 1", path, n+2, row[column["subject"]])
		}
		activity, err := strconv.Atoi(strings.TrimPrefix(row[column["mmfi_closest"]], "A"))
		if err != nil || activity < 1 || activity > mmfi.NumActivities {
			return fmt.Errorf("mars: %s line %d: activity %q: want A01 to A27", path, n+2, row[column["mmfi_closest"]])
		}
		name := row[column["clip"]]
		if name == "" || name != filepath.Base(name) {
			return fmt.Errorf("mars: %s line %d: clip %q is no file name", path, n+2, name)
		}
		key := recording.Key{Subject: subject, Activity: activity}
		if other, double := names[key]; double {
			return fmt.Errorf("mars: %s line %d: %s and %s are both subject %d, A%02d", path, n+2, other, name, subject, activity)
		}
		names[key] = name
		d.open[key] = func() (*clip, error) { return d.openClip(name) }
		d.keys = append(d.keys, key)
	}
	return nil
}

// Keys lists the clips, ordered by subject, then activity.
func (d *Dataset) Keys() []recording.Key { return slices.Clone(d.keys) }

// Modalities implements mmfi.PartialDataset: there is a radar only.
func (d *Dataset) Modalities() modality.Set { return modality.Of(modality.Radar) }

// Describe names the data for figures and model cards.
func (d *Dataset) Describe() string {
	form := ""
	if d.form != "" {
		form = d.form + ", "
	}
	return fmt.Sprintf("MARS at %s (%sreal radar IWR1443 and Kinect v2 joints, %d clips, %d radar frames a sample)", d.root, form, len(d.keys), d.history.Len())
}

// Open reads a clip whole: a few hundred kilobytes.
func (d *Dataset) Open(k recording.Key) (recording.Clip, error) {
	open, ok := d.open[k]
	if !ok {
		return nil, fmt.Errorf("mars: %s has no clip of subject %d, A%02d", d.root, k.Subject, k.Activity)
	}
	c, err := open()
	if err != nil {
		return nil, err
	}
	c.key, c.history = k, d.history
	if d.forward { // the person faces the radar: their left is its right
		c.points = slices.Clone(c.points) // the folder's may be shared
		for i := 0; i < len(c.points); i += radarColumns {
			c.points[i], c.points[i+1] = c.points[i+1], -c.points[i]
		}
	}
	return c, nil
}

// openClip reads a clip of this package's own form.
func (d *Dataset) openClip(name string) (*clip, error) {
	c := &clip{}
	radar, err := d.read(name, "radar", radarColumns)
	if err != nil {
		return nil, err
	}
	truth, err := d.read(name, "joints", kinectJoints, 3)
	if err != nil {
		return nil, err
	}
	frames, err := d.read(name, "frames", frameColumns)
	if err != nil {
		return nil, err
	}
	if truth.Shape[0] != frames.Shape[0] {
		return nil, fmt.Errorf("mars: %s: %d frames but joints of %d", name, frames.Shape[0], truth.Shape[0])
	}
	c.joints = truth.Float64()
	points := radar.Float64()
	for i := 0; i < len(points); i += radarColumns {
		for a := range 3 {
			points[i+a] *= metresPerStep
		}
		points[i+3] *= dopplerPerStep
		points[i+4] = 10 * math.Log10(max(points[i+4], 1))
	}
	c.points = points
	rows := frames.Float64()
	for i := 0; i < len(rows); i += frameColumns {
		first, n := int(rows[i+1]), int(rows[i+2])
		if first < 0 || n < 0 || n > maxClipRows || first+n > radar.Shape[0] {
			return nil, fmt.Errorf("mars: %s: frame %d has points %d to %d of %d", name, i/frameColumns, first, first+n, radar.Shape[0])
		}
		c.frames = append(c.frames, span{number: int(rows[i]), first: first, n: n})
	}
	return c, nil
}

func (d *Dataset) read(name, what string, inner ...int) (*mmfi.Array, error) {
	return readArray(filepath.Join(d.root, name+"_"+what+".npy"), inner...)
}

func checkRows(a *mmfi.Array, path string, inner ...int) error {
	if len(a.Shape) != 1+len(inner) || !slices.Equal(a.Shape[1:], inner) {
		return fmt.Errorf("mars: %s: shape %v, want rows of %v", path, a.Shape, inner)
	}
	if a.Shape[0] == 0 {
		return fmt.Errorf("mars: %s: %w", path, errors.New("no rows"))
	}
	return nil
}

// span is where a frame's points lie.
type span struct{ number, first, n int }

type clip struct {
	key     recording.Key
	history recording.Window
	points  []float64 // n x 5: metres, m/s, dB
	joints  []float64 // frames x 25 x 3, metres
	frames  []span
	borders []int // where the authors' three parts end; nil if the folder does not tell
}

// Border implements recording.Bordered.
func (c *clip) Border(share float64) (frame int, known bool) {
	for i, end := range [...]float64{0.6, 0.8} {
		if i < len(c.borders) && share == end {
			return c.borders[i], true
		}
	}
	return 0, false
}

// Key names the clip.
func (c *clip) Key() recording.Key { return c.key }

// Len returns the number of frames.
func (c *clip) Len() int { return len(c.frames) }

// Frame fills the radar points of frame i and of those before it, newest
// first, and empties the other sensors. A frame after a gap in the sensor's
// numbering does not reach back across it, but for a single missing frame.
func (c *clip) Frame(i int, f *recording.Frame) error { return c.FrameOf(i, modality.All, f) }

// FrameOf implements mmfi.PartialClip.
func (c *clip) FrameOf(i int, which modality.Set, f *recording.Frame) error {
	if i < 0 || i >= len(c.frames) {
		return fmt.Errorf("mars: %s: frame %d of %d", c.key, i, len(c.frames))
	}
	if which.Has(modality.Radar) {
		f.MmWave = f.MmWave[:0]
		for h := range c.history.Len() {
			at, padded := c.history.Frame(i, c.history.Before-h, len(c.frames))
			if padded || c.frames[i].number-c.frames[at].number > c.history.Len() {
				break
			}
			s := c.frames[at]
			f.MmWave = append(f.MmWave, c.points[s.first*radarColumns:(s.first+s.n)*radarColumns]...)
		}
	}
	if which.Has(modality.Camera) {
		f.RGB = [17][2]float64{}
	}
	if which.Has(modality.LiDAR) {
		f.LiDAR = f.LiDAR[:0]
	}
	if which.Has(modality.CSI) {
		f.CSIAmp, f.CSIPhase = f.CSIAmp[:0], f.CSIPhase[:0]
	}
	return nil
}

// Truth returns the joints of frame i in a frame like the camera's: x right as
// the radar sees it, y down, z away from the radar. The person faces the
// radar, so that the person's left is the radar's right. Radar and Kinect
// stand some centimetres apart; nothing is done about that.
func (c *clip) Truth(i int) (recording.Pose, error) {
	var p recording.Pose
	if i < 0 || i >= len(c.frames) {
		return p, fmt.Errorf("mars: %s: frame %d of %d", c.key, i, len(c.frames))
	}
	for j, k := range joints {
		q := c.joints[(i*kinectJoints+k)*3:][:3]
		p[j] = [3]float64{q[0], -q[2], q[1]}
	}
	return p, nil
}
