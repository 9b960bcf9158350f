package camera

import (
	"context"

	"posefuse/sensors"
)

// Image is one video frame on its way to a Detector.
type Image struct {
	Pixels        []byte // RGB, 8 bits each, row by row without padding
	Width, Height int
	CaptureNS     int64 // the camera's clock
}

// Detector finds the keypoints of one person in an image. It is where video
// cameras (V4L2, RTSP) join: such a driver grabs images, calls a Detector and
// emits its result as a sample, exactly as the keypoint port does with a line.
// Detect returns false if it sees nobody. It is called by one goroutine.
type Detector interface {
	Detect(ctx context.Context, image *Image) (k sensors.Keypoints, found bool, err error)
}
