// Package recording is the contract of recorded data: clips of frames with the
// sensors' values and, where somebody measured them, the joints. Files of any
// format and the simulator keep it alike, so that training, evaluation and
// replay do not know which they read. A format is a package below this one.
package recording

import (
	"errors"
	"fmt"

	"posefuse/sensors/modality"
)

// FramePeriodMS is the time between frames of a clip: every data set is read
// at MM-Fi's 10 Hz.
const FramePeriodMS = 100

// Key names one clip of a data set: who moves and what they do. The numbers
// are the data set's own, from 1; activities are numbered as MM-Fi's 27.
type Key struct {
	Subject  int
	Activity int
}

// String returns e.g. "S01/A12".
func (k Key) String() string { return fmt.Sprintf("S%02d/A%02d", k.Subject, k.Activity) }

// Frame holds the raw sensor data of one instant of a clip, as stored. Slices
// are reused by readers and generators that take a *Frame to fill.
type Frame struct {
	RGB      [17][2]float64 // pixels, COCO order, 640 x 480
	LiDAR    []float64      // n x 3, metres, x forward, y left, z up
	MmWave   []float64      // n x 5: x, y, z, Doppler, intensity (raw file columns)
	CSIAmp   []float64      // 3 x 114 x 10 (antenna, subcarrier, packet), dB; may hold -Inf and NaN
	CSIPhase []float64      // 3 x 114 x 10, radians

	// What a recording may tell besides. Readers that take a *Frame to fill may
	// leave these as they are.
	Scores    []float64             // of RGB, 0..1; empty: nobody noted them
	Absent    modality.Set          // sensors that gave nothing for this frame, not even an empty one
	CaptureNS [modality.Count]int64 // when each sensor's sample was captured; 0: FramePeriodMS a frame
}

// ErrLeftOut is wrapped by the error of a frame that a data set leaves out by
// design, such as one without a radar point; the clip's other frames keep their
// numbers.
var ErrLeftOut = errors.New("the data set leaves this frame out")

// Pose is 17 joints in H36M order, metres, camera frame (x right, y down, z forward).
type Pose [17][3]float64

// Clip is one recording: sensor frames and ground truth.
type Clip interface {
	// Key names the clip.
	Key() Key
	// Len returns the number of frames.
	Len() int
	// Frame fills f with frame i, 0-based. It is safe for concurrent use with
	// different f.
	Frame(i int, f *Frame) error
	// Truth returns the ground-truth pose of frame i, 0-based.
	Truth(i int) (Pose, error)
}

// Dataset is a set of clips, one per key.
type Dataset interface {
	// Keys lists the clips present, ordered by subject, then activity.
	Keys() []Key
	// Open returns a clip; the error names the path or the key.
	Open(k Key) (Clip, error)
	// Describe returns one line for figures and model cards that says what the
	// data is, e.g. "MM-Fi at /data/mmfi" or "simulated sensors (generator
	// v1, preset mmfi, seed 1)".
	Describe() string
}

// PartialClip is a Clip that can read some sensors only, which saves time and
// lets a data set be used that lacks the others.
type PartialClip interface {
	Clip
	// FrameOf fills the members of f that belong to which with frame i,
	// 0-based, and leaves the others as they are.
	FrameOf(i int, which modality.Set, f *Frame) error
}

// Backgrounded is a Clip of a room that a daemon had learned before it began.
type Backgrounded interface {
	Clip
	// Background returns the daemon's file of it, nil if nobody kept it.
	Background() []byte
}

// Stander is a Dataset that can show the person of a clip before it begins,
// standing quietly: what a daemon learns a body from.
type Stander interface {
	Dataset
	// Standing returns that part as a clip of its own, with the clip's key.
	Standing(k Key) (Clip, error)
}

// CleanClip is a Clip whose ground truth has errors and that knows the true joints
// too, as a simulator does.
type CleanClip interface {
	Clip
	// CleanTruth returns the true pose of frame i, 0-based, in the frame of Truth.
	CleanTruth(i int) (Pose, error)
}

// PartialDataset is a Dataset that may lack a sensor altogether and says so.
type PartialDataset interface {
	Dataset
	// Modalities returns the sensors of which the data set has recordings.
	Modalities() modality.Set
}

// Bordered is a Clip of a data set that was published divided into parts.
type Bordered interface {
	Clip
	// Border returns the first frame of the part that begins at a share of the clip,
	// if the data set has a border there.
	Border(share float64) (frame int, known bool)
}

// ReadFrame fills f with the sensors which of frame i, or with all of them
// where the clip cannot tell them apart.
func ReadFrame(c Clip, i int, which modality.Set, f *Frame) error {
	if p, ok := c.(PartialClip); ok {
		return p.FrameOf(i, which, f)
	}
	return c.Frame(i, f)
}

// Modalities returns the sensors of which the data set has recordings, all of
// them where it does not say.
func Modalities(ds Dataset) modality.Set {
	if p, ok := ds.(PartialDataset); ok {
		return p.Modalities()
	}
	return modality.All
}

// Present returns the clips of want that the data set holds.
func Present(ds Dataset, want []Key) []Key {
	have := map[Key]bool{}
	for _, k := range ds.Keys() {
		have[k] = true
	}
	var out []Key
	for _, k := range want {
		if have[k] {
			out = append(out, k)
		}
	}
	return out
}
