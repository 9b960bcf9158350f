package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/pipeline"
)

func TestChooseCamera(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"film.avi", "one.JPG", "two.png", "-odd:name.mkv"} {
		writeFile(t, name, []byte("x"))
	}
	if err := os.Mkdir("pictures.avi", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		driver, key, value, shown string
		file                      bool
	}{
		"/dev/video7":                 {"v4l2", "device", "/dev/video7", "/dev/video7", false},
		"/dev/v4l/by-id/usb-x-index0": {"v4l2", "device", "/dev/v4l/by-id/usb-x-index0", "/dev/v4l/by-id/usb-x-index0", false},
		"http://192.168.1.20/video":   {"mjpeg_http", "url", "http://192.168.1.20/video", "http://192.168.1.20", false},
		"HTTPS://cam.local:8443/":     {"mjpeg_http", "url", "HTTPS://cam.local:8443/", "https://cam.local:8443", false},
		"http://u:secret@10.0.0.2/x":  {"mjpeg_http", "url", "http://u:secret@10.0.0.2/x", "http://10.0.0.2", false},
		"https://host/live/one.m3u8":  {"ffmpeg", "url", "https://host/live/one.m3u8", "https://host", false},
		"rtsp://10.0.0.2:554/user=admin_password=secret_channel=1.sdp": {"ffmpeg", "url",
			"rtsp://10.0.0.2:554/user=admin_password=secret_channel=1.sdp", "rtsp://10.0.0.2:554", false},
		"rtsps://u:se%40cret@host/a": {"ffmpeg", "url", "rtsps://u:se%40cret@host/a", "rtsps://host", false},
		"rtsp://host/%40cam":         {"ffmpeg", "url", "rtsp://host/%40cam", "rtsp://host", false},
		"film.avi":                   {"ffmpeg", "url", filepath.Join(dir, "film.avi"), filepath.Join(dir, "film.avi"), true},
		"-odd:name.mkv":              {"ffmpeg", "url", filepath.Join(dir, "-odd:name.mkv"), filepath.Join(dir, "-odd:name.mkv"), true},
		"one.JPG":                    {"pictures", "path", filepath.Join(dir, "one.JPG"), filepath.Join(dir, "one.JPG"), true},
		"./two.png":                  {"pictures", "path", filepath.Join(dir, "two.png"), filepath.Join(dir, "two.png"), true},
		"pictures.avi":               {"pictures", "path", filepath.Join(dir, "pictures.avi"), filepath.Join(dir, "pictures.avi"), true},
	} {
		got, err := chooseCamera(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.driver != c.driver || got.keys[c.key] != c.value || got.shown != c.shown || got.file != c.file {
			t.Errorf("%s: %+v, want %+v", name, got, c)
		}
		for _, loop := range []bool{true, false} {
			cfg := pipeline.DefaultConfig()
			cfg.Sensors.Camera.Enabled = false
			if err := got.apply(&cfg, loop); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := cfg.Check(); err != nil || cfg.Sensors.Camera.Driver != c.driver || !cfg.Sensors.Camera.Enabled {
				t.Errorf("%s: %v", name, err)
			}
			if !cfg.Sensors.TakesPictures() {
				t.Errorf("%s: takes no pictures", name)
			}
		}
	}
}

// TestChooseCameraRefuses: what is no camera is told with what to write, and
// without the password it may hold.
func TestChooseCameraRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, want := range map[string]string{
		"":                                 "/dev/video0",
		"0":                                "ls /dev/video*",
		"holiday.mp4":                      "no such file",
		"rtsp://":                          "rtsp://HOST:PORT/PATH",
		"rtsp://admin:hunter2/7@10.0.0.2/": "%2F",
		"rtsp://admin:7/hunter2@10.0.0.2/": "%2F",
		"http://admin:hunter2@10.0.0.2:x/": "http://USER:PASSWORD@HOST",
		"rtsp://admin:hunter2%@10.0.0.2/":  "%40",
		"rtsp://admin:hun#ter2@10.0.0.2/x": "%23",
	} {
		_, err := chooseCamera(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2")) {
			t.Errorf("%q: the error holds the password: %v", name, err)
		}
	}
}
