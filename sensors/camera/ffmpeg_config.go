package camera

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"posefuse/sensors"
	"posefuse/setting"
)

// urlPlaceholder is where args name the picture's origin.
const urlPlaceholder = "{url}"

// FFmpegConfig describes a camera or film that ffmpeg reads.
type FFmpegConfig struct {
	URL          string   `yaml:"url"`           // RTSP, HTTP or another address, or a file's path
	User         string   `yaml:"user"`          // of the camera
	PasswordFile string   `yaml:"password_file"` // whose first line is the password
	Args         []string `yaml:"args"`          // ffmpeg's input with {url}, in place of the program's own choice
	Program      string   `yaml:"program"`       // ffmpeg's name or path
	MaxSide      int      `yaml:"max_side"`      // larger pictures are scaled down to this, pixels
	Loop         bool     `yaml:"loop"`          // a file starts over at its end
	MaxRateHz    float64  `yaml:"max_rate_hz"`   // pictures looked at per second; 0 is all
}

// NewFFmpegConfig returns the defaults.
func NewFFmpegConfig() *FFmpegConfig {
	return &FFmpegConfig{URL: "rtsp://127.0.0.1:8554/camera", Args: []string{}, Program: "ffmpeg", MaxSide: 1280, MaxRateHz: defaultMaxRateHz}
}

// Check implements sensors.Settings. No problem repeats the URL, which may hold
// a password.
func (c *FFmpegConfig) Check() setting.Problems {
	var p setting.Problems
	u, err := c.address()
	switch {
	case c.URL == "":
		p.Add("url", "empty; name a camera, e.g. rtsp://192.168.0.90/stream1, or a film's path")
	case strings.ContainsFunc(c.URL, unicode.IsControl):
		p.Add("url", "holds a line end or another control character; remove it")
	case err != nil:
		p.Add("url", "%w", err)
	case u != nil:
		checkLogin(&p, u, c.User, c.PasswordFile)
	case c.User != "" || c.PasswordFile != "":
		p.Add("user", "a film has no user and password; remove them, or write url as an address")
	}
	if len(c.Args) > 0 && !slices.ContainsFunc(c.Args, func(a string) bool { return strings.Contains(a, urlPlaceholder) }) {
		p.Add("args", "nothing in it is %s; write for example [-rtsp_transport, udp, -i, %q]", urlPlaceholder, urlPlaceholder)
	}
	if c.Program == "" {
		p.Add("program", "empty; write ffmpeg, or the path of it")
	}
	p.Between("max_side", float64(c.MaxSide), 64, 4096)
	p.Between("max_rate_hz", c.MaxRateHz, 0, 240)
	return p
}

// Files implements sensors.FileSettings.
func (c *FFmpegConfig) Files() map[string]string {
	if c.PasswordFile == "" {
		return nil
	}
	return map[string]string{"password_file": c.PasswordFile}
}

// Source implements sensors.Settings. It returns a *VideoSource.
func (c *FFmpegConfig) Source(name string) sensors.Source {
	return &VideoSource{name: name, maxHz: c.MaxRateHz, grabber: &ffmpegGrabber{cfg: c, first: ffmpegFirst, next: ffmpegNext}}
}

// address returns the URL, nil if it is a file's path.
func (c *FFmpegConfig) address() (*url.URL, error) {
	if !strings.Contains(c.URL, "://") {
		return nil, nil //nolint:nilnil // neither an address nor a mistake
	}
	return parseURL(c.URL)
}
