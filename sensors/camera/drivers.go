package camera

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// checkPictures is the advice for a camera that takes pictures, of which none
// says anything, not even that nobody is there.
const checkPictures = "check the camera's power, cable and address, and in posefuse_sensor_samples_total what becomes of its pictures"

// checkDetector is the advice for a port of keypoint lines where nothing comes.
const checkDetector = "check that the detector runs and sends its lines here"

// lineOutcomes describes the keypoint lines that are refused.
func lineOutcomes() map[string]sensors.Outcome {
	const form = ", see docs/formats/keypoints.md"
	o := map[string]sensors.Outcome{}
	for reason, advice := range map[Reason]string{
		BadJSON:   "they are no keypoint lines: check what sends to this port" + form,
		BadTime:   "the lines have no capture time, two of them or an impossible one" + form,
		BadSize:   "the lines do not say the image's width and height, in pixels" + form,
		BadCount:  "the lines do not hold 17 keypoints of three numbers" + form,
		BadValue:  "keypoints lie far outside the image, or their scores are not 0 to 1: coordinates are pixels, not shares, and scores no per cent" + form,
		LineLimit: "the lines are longer than any keypoint line: check what sends to this port" + form,
	} {
		o[string(reason)] = sensors.Outcome{Refused: advice}
	}
	o[sensors.OutcomeHTTP] = sensors.HTTPRefused
	return o
}

// Drivers returns the cameras this package reads. A further one is a row here
// and a file of its own with its settings and source.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.Camera, New: fresh, Silent: checkPictures}
	}
	lines := func(name string, fresh func() sensors.Settings) sensors.Driver {
		d := driver(name, fresh)
		d.Silent, d.Outcomes = checkDetector, lineOutcomes()
		return d
	}
	return []sensors.Driver{
		lines("keypoints_tcp", func() sensors.Settings { return NewTCPConfig() }),
		driver("v4l2", func() sensors.Settings { return NewV4L2Config() }),
		driver("ffmpeg", func() sensors.Settings { return NewFFmpegConfig() }),
		driver("mjpeg_http", func() sensors.Settings { return NewMJPEGConfig() }),
		driver("pictures", func() sensors.Settings { return NewPicturesConfig() }),
		lines("keypoints_nats", func() sensors.Settings { return &PushConfig{} }),
	}
}

// PushConfig describes a camera whose keypoint lines the program hands over
// itself. It has no settings.
type PushConfig struct{}

// Check implements sensors.Settings.
func (*PushConfig) Check() setting.Problems { return nil }

// Source implements sensors.Settings. It returns a *PushSource.
func (*PushConfig) Source(name string) sensors.Source { return newPushSource(name) }
