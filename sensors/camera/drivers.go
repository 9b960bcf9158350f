package camera

import (
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// Drivers returns the cameras this package reads. A further one is a row here
// and a file of its own with its settings and source.
func Drivers() []sensors.Driver {
	driver := func(name string, fresh func() sensors.Settings) sensors.Driver {
		return sensors.Driver{Name: name, Modality: modality.Camera, New: fresh, Silent: sensors.CheckPower}
	}
	return []sensors.Driver{
		driver("keypoints_tcp", func() sensors.Settings { return NewTCPConfig() }),
		driver("v4l2", func() sensors.Settings { return NewV4L2Config() }),
		driver("ffmpeg", func() sensors.Settings { return NewFFmpegConfig() }),
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
