package camera

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// checkPictures is the advice for a camera that takes pictures, of which none
// says anything, not even that nobody is there.
const checkPictures = "check the camera's power, cable and address, and in posefuse_sensor_samples_total what becomes of its pictures"

// Drivers returns the cameras this package reads. A further one is a row here
// and a file of its own with its settings and source.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.Camera, New: fresh, Silent: sensors.CheckPower}
	}
	pictures := func(name string, fresh func() sensors.Settings) sensors.Driver {
		d := driver(name, fresh)
		d.Silent = checkPictures
		return d
	}
	return []sensors.Driver{
		driver("keypoints_tcp", func() sensors.Settings { return NewTCPConfig() }),
		pictures("v4l2", func() sensors.Settings { return NewV4L2Config() }),
		pictures("ffmpeg", func() sensors.Settings { return NewFFmpegConfig() }),
		pictures("mjpeg_http", func() sensors.Settings { return NewMJPEGConfig() }),
		pictures("pictures", func() sensors.Settings { return NewPicturesConfig() }),
		driver("keypoints_nats", func() sensors.Settings { return &PushConfig{} }),
	}
}

// PushConfig describes a camera whose keypoint lines the program hands over
// itself. It has no settings.
type PushConfig struct{}

// Check implements sensors.Settings.
func (*PushConfig) Check() setting.Problems { return nil }

// Source implements sensors.Settings. It returns a *PushSource.
func (*PushConfig) Source(name string) sensors.Source { return newPushSource(name) }
