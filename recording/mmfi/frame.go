// Package mmfi reads and writes recordings in the layout of the MM-Fi data
// set: E01..E04 / S01..S40 / A01..A27 / {rgb,lidar,mmwave,wifi-csi}.
package mmfi

import "fmt"

// FramesPerClip is the number of frames of an MM-Fi clip.
const FramesPerClip = 297

// FramePeriodMS is the time between frames of a clip: MM-Fi runs at 10 Hz.
const FramePeriodMS = 100

// ClipKey names one clip: subject 1..40 and activity 1..27. The environment
// follows from the subject.
type ClipKey struct {
	Subject  int // 1..40
	Activity int // 1..27
}

// Environment returns the scene of the clip's subject, 1..4.
func (k ClipKey) Environment() int { return (k.Subject-1)/10 + 1 }

// String returns the clip's path below the data set's root, with slashes.
func (k ClipKey) String() string {
	return fmt.Sprintf("E%02d/S%02d/A%02d", k.Environment(), k.Subject, k.Activity)
}

// Frame holds the raw sensor data of one instant of a clip, as stored. Slices
// are reused by readers and generators that take a *Frame to fill.
type Frame struct {
	RGB      [17][2]float64 // pixels, COCO order, 640 x 480
	LiDAR    []float64      // n x 3, metres, x forward, y left, z up
	MmWave   []float64      // n x 5: x, y, z, Doppler, intensity (raw file columns)
	CSIAmp   []float64      // 3 x 114 x 10 (antenna, subcarrier, packet), dB; may hold -Inf and NaN
	CSIPhase []float64      // 3 x 114 x 10, radians
}

// Pose is 17 joints in H36M order, metres, camera frame (x right, y down, z forward).
type Pose [17][3]float64

// Clip is one recording: sensor frames and ground truth. Readers and the
// simulator both provide it, so that training and replay do not care which.
type Clip interface {
	// Key names the clip.
	Key() ClipKey
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
	Keys() []ClipKey
	// Open returns a clip; the error names the path or the key.
	Open(k ClipKey) (Clip, error)
	// Describe returns one line for figures and model cards that says what the
	// data is, e.g. "MM-Fi at /data/mmfi" or "simulated sensors (generator
	// v1, preset mmfi, seed 1)".
	Describe() string
}
