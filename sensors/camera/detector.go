package camera

import (
	"image"

	"posefuse/sensors"
)

// Detection is what a detector saw in one picture.
type Detection struct {
	// Person tells whether somebody is there; without, Keypoints mean nothing.
	Person    bool
	Keypoints sensors.Keypoints // in pixels of the picture
}

// Detector finds the keypoints of one person in the pictures of one camera, in
// their order: it may follow its person from one to the next. It is used by one
// goroutine at a time.
type Detector interface {
	// Detect looks at one picture, which it does not keep.
	Detect(img image.Image) (Detection, error)
	// Reset forgets the person; the next picture has nothing to do with the
	// one before.
	Reset()
}
