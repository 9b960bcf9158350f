package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/internal/rtsptest"
	"posefuse/internal/testenv"
	"posefuse/message"
)

// cameraRoom is a daemon that was started with --camera, and everything it
// said on the bus.
type cameraRoom struct {
	dir  string // its working directory, home and temporary folder
	web  string
	cmd  *exec.Cmd
	said *lockedBuffer

	mu   sync.Mutex
	sent []*nats.Msg
}

// lockedBuffer collects what a process prints.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written so far.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func runCamera(t *testing.T, env []string, args ...string) *cameraRoom {
	t.Helper()
	r := &cameraRoom{dir: t.TempDir(), web: testenv.FreeAddr(t), said: &lockedBuffer{}}
	bus := testenv.FreeAddr(t)
	r.cmd = exec.Command(binary(t), append([]string{"run"}, args...)...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = r.dir, r.said, r.said
	r.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "TMPDIR=" + r.dir, "POSEFUSE_BUS_NATS_LISTEN=" + bus, "POSEFUSE_BUS_WEBSOCKET_LISTEN=",
		"POSEFUSE_BUS_MQTT_LISTEN=" + testenv.FreeAddr(t), "POSEFUSE_WEB_LISTEN=" + r.web, "POSEFUSE_LOG_LEVEL=debug",
		"POSEFUSE_SENSORS_LIDAR_OUSTER_LISTEN=" + testenv.FreeAddr(t), "POSEFUSE_SENSORS_CSI_ATHEROS_LISTEN=" + testenv.FreeAddr(t)}, env...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = r.cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		testenv.Receive(t, "the daemon's end", ended)
		if t.Failed() {
			t.Logf("daemon:\n%s", r.said)
		}
	})
	var nc *nats.Conn
	testenv.Wait(t, "the daemon's bus", func() bool {
		select {
		case <-ended:
			t.Fatalf("the daemon ended:\n%s", r.said)
		default:
		}
		var err error
		nc, err = nats.Connect("nats://" + bus)
		return err == nil
	})
	t.Cleanup(nc.Close)
	if _, err := nc.Subscribe("posefuse.>", func(m *nats.Msg) {
		r.mu.Lock()
		r.sent = append(r.sent, m)
		r.mu.Unlock()
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// messages returns what was published on a subject below the room's.
func messages[T any](t *testing.T, r *cameraRoom, what string) (out []T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.sent {
		if m.Subject != "posefuse.room1."+what {
			continue
		}
		var v T
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// traces are parts of a picture that must not be found anywhere: bytes of its
// file and pixels of a row through its middle.
func traces(t *testing.T, file []byte) [][]byte {
	t.Helper()
	const length = 24
	at := len(file) / 2
	out := [][]byte{file[at : at+length]}
	if img, _, err := image.Decode(bytes.NewReader(file)); err == nil {
		b, row := img.Bounds(), []byte(nil)
		for x := range length {
			y, _, _, _ := img.At(b.Dx()/2+x, b.Dy()/2).RGBA()
			row = append(row, byte(y>>8))
		}
		out = append(out, row)
	}
	return out
}

// privacyOf fails the test for each trace of the pictures in what the daemon
// printed, published or wrote, and for files that it has no business with.
func (r *cameraRoom) privacyOf(t *testing.T, pictures [][]byte) {
	t.Helper()
	look := func(where string, data []byte) {
		for _, trace := range pictures {
			if bytes.Contains(data, trace) {
				t.Errorf("%s holds a part of a picture", where)
			}
		}
		if bytes.Contains(data, []byte("\xff\xd8\xff")) || bytes.Contains(data, []byte("\x89PNG")) || bytes.Contains(data, []byte("JFIF")) {
			t.Errorf("%s holds the start of a picture", where)
		}
	}
	look("the log", []byte(r.said.String()))
	r.mu.Lock()
	for _, m := range r.sent {
		look("a message on "+m.Subject, m.Data)
	}
	r.mu.Unlock()
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if !strings.HasPrefix(path, filepath.Join(r.dir, "posefuse-state")) {
			t.Errorf("the daemon wrote %s", path)
		}
		b, err := os.ReadFile(path)
		look(path, b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// motionJPEG is a camera on the network that shows one picture again and again.
func motionJPEG(t *testing.T, picture []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "viewer" || password != "hunter2" {
			w.Header().Set("WWW-Authenticate", `Basic realm="camera"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=picture")
		for r.Context().Err() == nil {
			_, _ = fmt.Fprintf(w, "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(picture), picture)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestCameraMakesPoses: a camera of each kind makes poses of the room alone,
// and no trace of its pictures is left anywhere.
func TestCameraMakesPoses(t *testing.T) {
	png, err := os.ReadFile(testenv.OpenCVPicture(t, "basketball1.png"))
	if err != nil {
		t.Fatal(err)
	}
	film := testenv.OpenCVPicture(t, "vtest.avi")
	filmBytes, err := os.ReadFile(film)
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := image.Decode(bytes.NewReader(png))
	if err != nil {
		t.Fatal(err)
	}
	jpg := asJPEG(t, img)
	folder := t.TempDir()
	var inFolder [][]byte
	for i := range 3 { // of one person, as a room has
		path := testenv.ScikitPicture(t, "astronaut.png")
		b, readErr := os.ReadFile(path)
		if readErr != nil {
			t.Fatal(readErr)
		}
		writeFile(t, filepath.Join(folder, fmt.Sprint(i)+filepath.Ext(path)), b)
		inFolder = traces(t, b)
	}
	rtsp := &rtsptest.Server{User: "viewer", Password: "hunter2"}
	rtsptest.Start(t, rtsp)
	rtsp.Feed(t, []string{"-re", "-stream_loop", "-1", "-i", film}, rtsptest.H264)
	network := strings.Replace(motionJPEG(t, jpg), "http://", "http://viewer:hunter2@", 1)
	for name, c := range map[string]struct {
		camera        string
		traces        [][]byte
		width, height int
	}{
		"picture":     {testenv.OpenCVPicture(t, "basketball1.png"), traces(t, png), 640, 480},
		"film":        {film, traces(t, filmBytes), 768, 576},
		"folder":      {folder, inFolder, 512, 512},
		"motion JPEG": {network, traces(t, jpg), 640, 480},
		"RTSP":        {strings.Replace(rtsp.URL(), "rtsp://", "rtsp://viewer:hunter2@", 1), traces(t, filmBytes), 768, 576},
	} {
		t.Run(name, func(t *testing.T) {
			r := runCamera(t, nil, "--camera", c.camera)
			testenv.Wait(t, "a pose of the camera alone", func() bool {
				for _, p := range messages[message.Pose](t, r, "pose") {
					if p.Coalition == "R" && p.JointsM != nil {
						return true
					}
				}
				return false
			})
			testenv.Wait(t, "joints in the picture", func() bool {
				for _, k := range messages[message.ImageKeypoints](t, r, "image_keypoints") {
					if k.Keypoints != nil && k.Width == c.width && k.Height == c.height {
						return true
					}
				}
				return false
			})
			testenv.Wait(t, "a status in which the others are off", func() bool {
				for _, s := range messages[message.Status](t, r, "status") {
					codes := map[string]string{}
					for _, p := range s.Parts {
						codes[p.Part] = p.Code
					}
					if (codes["sensor.camera"] == "ok" || codes["sensor.camera"] == "others") && codes["sensor.lidar"] == "off" && codes["sensor.radar"] == "off" && codes["sensor.csi"] == "off" {
						return true
					}
				}
				return false
			})
			said := r.said.String()
			for _, want := range []string{"LiDAR, radar and WiFi are off", "The camera's pictures stay in memory: none is written, published or shown."} {
				if !strings.Contains(said, want) {
					t.Errorf("the banner lacks %q", want)
				}
			}
			if strings.Contains(said, "hunter2") {
				t.Error("the password is in the log or the banner")
			}
			res, err := http.Get("http://" + r.web + "/api/camera.jpg")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				t.Errorf("the picture is answered with %d", res.StatusCode)
			}
			filter, err := os.ReadFile(fmt.Sprintf("/proc/%d/coredump_filter", r.cmd.Process.Pid))
			if err != nil || strings.TrimSpace(string(filter)) != "00000000" {
				t.Errorf("core dumps hold %q, %v", filter, err)
			}
			r.privacyOf(t, c.traces)
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestCameraBesideSimulatedSensors: with --others simulated the others are there
// beside the camera, and called simulated; who is measured stands where the camera
// or the others see somebody. The page may show the
// picture where the configuration says so.
func TestCameraBesideSimulatedSensors(t *testing.T) {
	r := runCamera(t, []string{"POSEFUSE_WEB_SHOW_IMAGE=true"}, "--camera", testenv.OpenCVPicture(t, "basketball1.png"), "--others", "simulated")
	testenv.Wait(t, "a pose, and each sensor's share in a tick", func() bool {
		posed, fused := false, map[string]bool{}
		for _, p := range messages[message.Pose](t, r, "pose") {
			posed = posed || p.JointsM != nil
			for letter, m := range p.Modalities {
				fused[letter] = fused[letter] || m.State == "fused"
			}
		}
		return posed && fused["R"] && fused["L"] && fused["M"] && fused["W"]
	})
	for name, simulated := range map[string]bool{"camera": false, "lidar": true, "radar": true, "csi": true} {
		testenv.Wait(t, name, func() bool {
			states := messages[message.Sensor](t, r, "sensor."+name)
			return len(states) > 0 && states[0].Simulated == simulated
		})
	}
	said := r.said.String()
	for _, want := range []string{"the other sensors are simulated", "The page shows the camera's pictures (web.show_image)"} {
		if !strings.Contains(said, want) {
			t.Errorf("the banner lacks %q", want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.web+"/api/camera.jpg", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	img, kind, err := image.Decode(res.Body)
	if err != nil || kind != "jpeg" || img.Bounds().Dx() != 640 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v; %v", kind, err, res.Header)
	}
	http.DefaultClient.CloseIdleConnections()
}
