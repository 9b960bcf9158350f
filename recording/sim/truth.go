package sim

import (
	"posefuse/recording"
)

// cameraHeightM is the height of the camera above the room frame's origin.
const cameraHeightM = 0.90

// Spread of the written ground truth around the true joints, per joint and
// axis (simulator.md 2.5).
const (
	labelBiasM  = 0.012 // per sequence
	labelNoiseM = 0.012 // per frame
)

// CameraFromRoom returns the joints in the camera frame of MM-Fi's ground
// truth (x right, y down, z forward). The camera is level, 0.90 m above the
// origin.
func CameraFromRoom(s Skeleton) recording.Pose {
	var p recording.Pose
	for i, v := range s {
		p[i] = [3]float64{v[0], cameraHeightM - v[1], v[2]}
	}
	return p
}

// CleanTruth returns the true joints of frame i, 0-based, in the camera frame.
func CleanTruth(m Motion, i int) recording.Pose {
	return CameraFromRoom(m.At(float64(i) * frameS))
}

// Labels makes the written ground truth of one clip: the true joints with the
// errors of a triangulated label. It is safe for concurrent use.
type Labels struct {
	motion Motion
	seed   uint64
	noise  float64
	bias   recording.Pose
	camera *sensorPose // nil for MM-Fi's
}

// NewLabels returns the labels of a motion. Noise scales both parts of the
// error: 1 for the preset mmfi, 0.5 for easy, 0 for clean.
func NewLabels(seed uint64, m Motion, noise float64) *Labels {
	l := &Labels{motion: m, seed: seed, noise: noise}
	key := m.Key()
	s := NewStream(seed, "label bias", key.Subject, key.Activity)
	for j := range l.bias {
		for k := range l.bias[j] {
			l.bias[j][k] = noise * labelBiasM * s.Norm()
		}
	}
	return l
}

// Frame returns the written ground truth of frame i, 0-based.
func (l *Labels) Frame(i int) recording.Pose {
	p := l.clean(i)
	if l.noise == 0 {
		return p
	}
	key := l.motion.Key()
	s := NewStream(l.seed, "label", key.Subject, key.Activity, i)
	for j := range p {
		for k := range p[j] {
			p[j][k] += l.bias[j][k] + float64(l.noise*labelNoiseM*s.Norm())
		}
	}
	return p
}

// clean returns the true joints of frame i in the frame of the clip's camera.
func (l *Labels) clean(i int) recording.Pose {
	if l.camera == nil {
		return CleanTruth(l.motion, i)
	}
	var p recording.Pose
	for j, v := range l.motion.At(float64(i) * frameS) {
		q := l.camera.fromRoom(v)
		p[j] = [3]float64{-q[1], -q[2], q[0]}
	}
	return p
}
