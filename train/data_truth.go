package train

import (
	"fmt"
	"math"

	"posefuse/frame"
	"posefuse/intake"
	"posefuse/model"
	"posefuse/recording"
)

// appendMovement keeps where the pose of a frame is, and its true joints if the clip
// knows them.
func (c *ClipData) appendMovement(clip recording.Clip, i int, place *intake.Place) error {
	if place.Moved {
		for len(c.CameraFromPose) < len(c.Frames)-1 { // frames before anybody was placed
			c.CameraFromPose = append(c.CameraFromPose, unmoved)
		}
		c.CameraFromPose = append(c.CameraFromPose, place.CameraFromPose)
	} else if c.CameraFromPose != nil {
		c.CameraFromPose = append(c.CameraFromPose, unmoved)
	}
	known, ok := clip.(recording.CleanClip)
	if !ok {
		return nil
	}
	pose, err := known.CleanTruth(i)
	if err != nil {
		return err
	}
	return appendPose(&c.Clean, place, &pose)
}

// seenFromCamera returns the pose of a row in the frame of the room's camera, if
// CameraFromPose is known; else as it is.
func (c *ClipData) seenFromCamera(row int, pose []float32) *[model.OutputDim]float32 {
	var out [model.OutputDim]float32
	copy(out[:], pose)
	if c.CameraFromPose != nil {
		for j := 0; j < model.OutputDim; j += 3 {
			p := c.CameraFromPose[row].Apply([3]float64{float64(out[j]), float64(out[j+1]), float64(out[j+2])})
			for k, v := range p {
				out[j+k] = float32(v)
			}
		}
	}
	return &out
}

// unmoved leaves a pose where it is.
var unmoved = frame.Transform{R: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}

// appendPose appends a pose of the room's camera, as seen where the network's is.
func appendPose(dst *[]float32, place *intake.Place, pose *recording.Pose) error {
	back := place.CameraFromPose.Inverse()
	for j, p := range pose {
		if place.Moved {
			p = back.Apply(p)
		}
		for _, v := range p {
			if !(math.Abs(v) <= model.MaxPointValue) {
				return fmt.Errorf("ground truth: joint %d has coordinate %g", j, v)
			}
			*dst = append(*dst, float32(v))
		}
	}
	return nil
}
