package camera

import (
	"posefuse/sensors"
	"posefuse/setting"
)

// Formats that a V4L2 camera can be asked for.
const (
	formatAuto  = "auto"
	formatMJPEG = "mjpeg"
	formatYUYV  = "yuyv"
)

// defaultMaxRateHz is how many pictures a second are looked at: enough for a
// room of 10 poses a second.
const defaultMaxRateHz = 15

// V4L2Config describes a camera that the kernel drives, such as a webcam.
type V4L2Config struct {
	Device    string  `yaml:"device"`      // e.g. /dev/v4l/by-id/...-video-index0
	Width     int     `yaml:"width"`       // pixels to ask for; the camera may choose others
	Height    int     `yaml:"height"`      // the same
	FPS       int     `yaml:"fps"`         // pictures per second to ask for
	Format    string  `yaml:"format"`      // auto, mjpeg or yuyv
	MaxRateHz float64 `yaml:"max_rate_hz"` // pictures looked at per second; 0 is all
}

// NewV4L2Config returns the defaults.
func NewV4L2Config() *V4L2Config {
	return &V4L2Config{Device: "/dev/video0", Width: 640, Height: 480, FPS: 30, Format: formatAuto, MaxRateHz: defaultMaxRateHz}
}

// Check implements sensors.Settings.
func (c *V4L2Config) Check() setting.Problems {
	var p setting.Problems
	if c.Device == "" {
		p.Add("device", "empty; name the camera, e.g. /dev/video0")
	}
	p.Between("width", float64(c.Width), 16, MaxImageSide)
	p.Between("height", float64(c.Height), 16, MaxImageSide)
	p.Between("fps", float64(c.FPS), 1, 240)
	p.OneOf("format", c.Format, formatAuto, formatMJPEG, formatYUYV)
	p.Between("max_rate_hz", c.MaxRateHz, 0, 240)
	return p
}

// Source implements sensors.Settings. It returns a *VideoSource.
func (c *V4L2Config) Source(name string) sensors.Source {
	return &VideoSource{name: name, maxHz: c.MaxRateHz, grabber: &v4l2Grabber{cfg: c, open: openVideo}}
}

// fourccs returns the formats to try, best first. Packed pixels need no
// decoding, but more of the USB than a large or fast picture can have.
func (c *V4L2Config) fourccs() []uint32 {
	switch {
	case c.Format == formatYUYV:
		return []uint32{fourccYUYV}
	case c.Format == formatMJPEG:
		return []uint32{fourccMJPG, fourccJPEG}
	case c.Width*c.Height*c.FPS <= 640*480*30:
		return []uint32{fourccYUYV, fourccMJPG, fourccJPEG}
	}
	return []uint32{fourccMJPG, fourccJPEG, fourccYUYV}
}
