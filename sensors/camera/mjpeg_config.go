package camera

import (
	"posefuse/sensors"
	"posefuse/setting"
)

// MJPEGConfig describes a network camera that gives motion JPEG, or single
// JPEGs, over HTTP or HTTPS.
type MJPEGConfig struct {
	URL          string  `yaml:"url"`           // of the stream, or of a snapshot, which is then asked for again and again
	User         string  `yaml:"user"`          // instead of one in the URL
	PasswordFile string  `yaml:"password_file"` // its first line is the user's password
	CAFile       string  `yaml:"ca_file"`       // PEM: the camera's own certificate, or the authority's that signed it
	MaxRateHz    float64 `yaml:"max_rate_hz"`   // pictures looked at, or asked for, a second; 0 is all, and 15 to ask for
}

// NewMJPEGConfig returns the defaults.
func NewMJPEGConfig() *MJPEGConfig {
	return &MJPEGConfig{URL: "http://192.168.0.90/video.mjpg", MaxRateHz: defaultMaxRateHz}
}

// Check implements sensors.Settings.
func (c *MJPEGConfig) Check() setting.Problems {
	var p setting.Problems
	u, err := parseURL(c.URL)
	switch {
	case err != nil:
		p.Add("url", "%w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		p.Add("url", "%s is no address of a web server; write http:// or https://", redacted(c.URL))
	default:
		checkLogin(&p, u, c.User, c.PasswordFile)
	}
	p.Between("max_rate_hz", c.MaxRateHz, 0, 120)
	return p
}

// Files implements sensors.FileSettings.
func (c *MJPEGConfig) Files() map[string]string {
	files := map[string]string{}
	for key, path := range map[string]string{"password_file": c.PasswordFile, "ca_file": c.CAFile} {
		if path != "" {
			files[key] = path
		}
	}
	return files
}

// Source implements sensors.Settings. It returns a *VideoSource.
func (c *MJPEGConfig) Source(name string) sensors.Source {
	return &VideoSource{name: name, maxHz: c.MaxRateHz, grabber: newMJPEGGrabber(c)}
}
