package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posefuse/pipeline"
	"posefuse/sensors/camera"
)

// cameraChoice is a camera as the command line names it: a driver and the
// settings that differ from its defaults.
type cameraChoice struct {
	driver string
	keys   map[string]any
	shown  string // for people, without a password
	file   bool   // it ends, or starts over
}

// Endings of names that tell the kind of a file.
var (
	pictureEndings = []string{".jpg", ".jpeg", ".png"}
	filmEndings    = []string{".m3u8", ".mpd", ".mp4", ".m4v", ".mkv", ".avi", ".mov", ".webm", ".ts", ".flv"}
)

// fastRateHz is the rate of pictures from a folder that nobody watches; the
// detector sets the pace.
const fastRateHz = 240

// chooseCamera finds the driver for what --camera and posefuse keypoints take:
// a device, a URL, a film, a picture or a folder of pictures. Its errors hold
// no password.
func chooseCamera(name string) (cameraChoice, error) {
	switch {
	case name == "":
		return cameraChoice{}, errors.New("no camera is named; use a device such as /dev/video0, a URL, a film, a picture or a folder of pictures")
	case strings.Contains(name, "://"):
		return chooseStream(name)
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return cameraChoice{}, fmt.Errorf("camera %s: %w", name, err)
	}
	info, err := os.Stat(path)
	ending := strings.ToLower(filepath.Ext(path))
	switch {
	case strings.HasPrefix(path, "/dev/"), err == nil && info.Mode()&fs.ModeCharDevice != 0:
		// One that is not there yet may be plugged in.
		return cameraChoice{driver: "v4l2", keys: map[string]any{"device": path}, shown: path}, nil
	case errors.Is(err, fs.ErrNotExist):
		return cameraChoice{}, fmt.Errorf("camera %s: there is no such file; use a device such as /dev/video0 (ls /dev/video* shows them), a URL, a film, a picture or a folder of pictures", name)
	case err != nil:
		return cameraChoice{}, fmt.Errorf("camera %s: %w", name, err)
	case info.IsDir(), slices.Contains(pictureEndings, ending):
		return cameraChoice{driver: "pictures", keys: map[string]any{"path": path}, shown: path, file: true}, nil
	}
	return cameraChoice{driver: "ffmpeg", keys: map[string]any{"url": path}, shown: path, file: true}, nil
}

// chooseStream finds the driver for a URL. A web address is motion JPEG or a
// snapshot unless it names a film; all else is ffmpeg's.
func chooseStream(name string) (cameraChoice, error) {
	u, err := url.Parse(name)
	// An @ in the path is the end of a password whose / was written as it is.
	if err != nil || u.Host == "" || strings.Contains(u.EscapedPath(), "@") {
		scheme, _, _ := strings.Cut(name, "://")
		// Not the error itself: it repeats the address, and with it a password.
		return cameraChoice{}, fmt.Errorf("the camera's address is no URL; write %s://HOST:PORT/PATH, with a user %s://USER:PASSWORD@HOST:PORT/PATH, and / @ : ? # in the password, or an @ in the path, as %%2F %%40 %%3A %%3F %%23", scheme, scheme)
	}
	// A path or a query may hold a password, too.
	c := cameraChoice{driver: "ffmpeg", keys: map[string]any{"url": name}, shown: u.Scheme + "://" + u.Host}
	if scheme := strings.ToLower(u.Scheme); scheme == "http" || scheme == "https" {
		if !slices.Contains(filmEndings, strings.ToLower(filepath.Ext(u.Path))) {
			c.driver = "mjpeg_http"
		}
	}
	return c, nil
}

// apply makes the camera that of the configuration. A file starts over if loop
// says so.
func (c *cameraChoice) apply(cfg *pipeline.Config, loop bool) error {
	if c.file {
		c.keys["loop"] = loop
	}
	if err := cfg.Sensors.Camera.Choose(c.driver, c.keys); err != nil {
		return fmt.Errorf("camera %s: %w", c.shown, err)
	}
	return nil
}

// source returns the camera's source, to be read once, without a daemon.
func (c *cameraChoice) source() (*camera.VideoSource, error) {
	cfg := pipeline.DefaultConfig()
	if c.driver == "pictures" {
		c.keys["rate_hz"] = fastRateHz
	}
	if err := c.apply(&cfg, false); err != nil {
		return nil, err
	}
	for _, d := range cfg.Sensors.Camera.Drivers {
		if d.Name != c.driver {
			continue
		}
		if problems := d.Settings.Check(); len(problems) > 0 {
			return nil, fmt.Errorf("camera %s: %w", c.shown, errors.Join(problems...))
		}
		if src, ok := d.Settings.Source("camera").(*camera.VideoSource); ok {
			src.EveryPicture = c.file
			return src, nil
		}
	}
	return nil, fmt.Errorf("camera %s: the driver %s takes no pictures", c.shown, c.driver)
}
