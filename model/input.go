// Package model is the fused pose network: configuration, encoders, fusion
// head, checkpoints and inference. No caller sees a tensor library.
package model

import "posefuse/sensors/modality"

// Shapes of the network's inputs that do not depend on its size.
const (
	NumJoints      = 17
	OutputDim      = NumJoints * 3 // joint-major x, y, z in metres, camera frame
	FeatureDim     = 256           // width of every encoder's feature
	CameraWindow   = 81            // keypoint sets seen by the camera encoder
	CSIAntennas    = 3
	CSISubcarriers = 114
	CSIPackets     = 10
	CSIValues      = CSIAntennas * CSISubcarriers * CSIPackets
	RadarPointDim  = 5
	LiDARPointDim  = 3
	// KeypointValues is a set of keypoints: x and y of each joint.
	KeypointValues = NumJoints * 2
	// ViewedKeypoints is the same for RoomRecipe: then for each joint 1 if it was
	// found and 0 if it is held or guessed, then the camera's height over the floor
	// and its distance from the person on it, metres.
	ViewedKeypoints = KeypointValues + NumJoints + 2
	// KeypointsValues is the camera's window in the paper's recipe.
	KeypointsValues = CameraWindow * KeypointValues
)

// Input is one prepared sample for the network, after the preprocessing of
// this package (see Prep*). Only the modalities in Present are read.
type Input struct {
	Present modality.Set
	Camera  []float32 // CameraWindow x Config.KeypointFrame, oldest first, screen-normalised
	LiDAR   []float32 // Config.LiDAR.Points x 3, metres, sensor frame
	Radar   []float32 // Config.Radar.Points x 5
	CSI     []float32 // 3 x 114 x 10, 0..1
}

// Window says which frames the camera encoder sees around its target.
type Window string

// The two windows. Only a causal one can run live.
const (
	Centred Window = "centred" // the target is frame 40 of 81
	Causal  Window = "causal"  // the target is frame 80 of 81, the newest
)
