package camera

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"posefuse/internal/rtsptest"
	"posefuse/internal/testenv"
)

// oddPassword has everything that addresses, scripts and ffmpeg treat in a way
// of their own.
const oddPassword = `it's a/pass@word:%2F?#\"`

// signIn gives a source the camera's address with user and password.
func signIn(t *testing.T, c *FFmpegConfig, s *rtsptest.Server, password string) {
	t.Helper()
	c.URL, c.User, c.PasswordFile = s.URL(), s.User, filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(c.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkSecret fails if a text holds the password in any form.
func checkSecret(t *testing.T, text, password string) {
	t.Helper()
	for _, form := range []string{password, url.QueryEscape(password), url.PathEscape(password), url.UserPassword("", password).String()[1:]} {
		if strings.Contains(text, form) {
			t.Errorf("the password stands in %s", text)
		}
	}
}

// secondOfFilm returns the first ten pictures of a film with people.
func secondOfFilm(t *testing.T) string {
	t.Helper()
	film, second := testenv.OpenCVPicture(t, "vtest.avi"), filepath.Join(t.TempDir(), "second.avi")
	if out, err := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-i", film, "-frames:v", "10", "-c", "copy", second).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return second
}

// TestRTSPMakes: a film from cameras that speak as real makes do, with a
// password, has the pictures that its own decoder shows.
func TestRTSPMakes(t *testing.T) {
	film := secondOfFilm(t)
	want := decoded(t, film, 10)
	s := &rtsptest.Server{User: "admin", Password: oddPassword}
	rtsptest.Start(t, s)
	s.Feed(t, []string{"-re", "-stream_loop", "-1", "-i", film}, rtsptest.H264)
	makes := rtsptest.Makes(t)
	for _, m := range makes {
		t.Run(m.Name, func(t *testing.T) {
			s.Speak(m)
			r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { signIn(t, c, s, oddPassword) })
			r.await(t, 4)
			for pid, line := range childrenOf(t, os.Getpid()) {
				checkSecret(t, line, oddPassword)
				if environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ")); err == nil && strings.Contains(string(environ), "TMP") {
					t.Errorf("the child knows a folder for temporary files: %q", environ)
				}
			}
			for i, p := range r.seen.pictures()[:4] {
				if d := closest(&p, want); d > 5 {
					t.Errorf("picture %d of %v is off by %.1f", i, p.size, d)
				}
			}
			samples := r.samples()
			for i, x := range samples[:4] {
				if i == 0 {
					continue
				}
				// The recorder's own clock: multiples of a tenth, to its rounding.
				step := time.Duration(x.DeviceNS - samples[i-1].DeviceNS)
				if off := (step + 50*time.Millisecond) % (100 * time.Millisecond); !x.HasDevice || step <= 0 || off < 45*time.Millisecond || off > 55*time.Millisecond {
					t.Errorf("sample %d is %s after the one before", i, step)
				}
			}
			if given, refused := s.Described(); given != 1 || refused == 0 {
				t.Errorf("described %d times, refused %d times", given, refused)
			}
		})
	}
}

func TestRTSPMotionJPEG(t *testing.T) {
	film := secondOfFilm(t)
	want := decoded(t, film, 10)
	s := &rtsptest.Server{Make: rtsptest.JPEG}
	rtsptest.Start(t, s)
	s.Feed(t, []string{"-re", "-stream_loop", "-1", "-i", film}, rtsptest.MotionJPEG)
	r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = s.URL() })
	r.await(t, 3)
	for i, p := range r.seen.pictures()[:3] {
		if d := closest(&p, want); d > 5 {
			t.Errorf("picture %d of %v is off by %.1f", i, p.size, d)
		}
	}
}

// TestRTSPPicture: one picture, again and again.
func TestRTSPPicture(t *testing.T) {
	for name, picture := range map[string]string{
		"basketball1": testenv.OpenCVPicture(t, "basketball1.png"),
		"messi5":      testenv.OpenCVPicture(t, "messi5.jpg"),
		"astronaut":   testenv.ScikitPicture(t, "astronaut.png"),
	} {
		t.Run(name, func(t *testing.T) {
			want := decoded(t, picture, 1)
			s := &rtsptest.Server{}
			rtsptest.Start(t, s)
			s.Feed(t, []string{"-re", "-loop", "1", "-framerate", "10", "-i", picture}, rtsptest.H264)
			r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = s.URL() })
			r.await(t, 3)
			for i, p := range r.seen.pictures()[:3] {
				if d := closest(&p, want); d > 6 {
					t.Errorf("picture %d of %v is off by %.1f", i, p.size, d)
				}
			}
		})
	}
}

func TestRTSPWrongPassword(t *testing.T) {
	s := &rtsptest.Server{User: "admin", Password: oddPassword}
	rtsptest.Start(t, s)
	const wrong = `it's not/th@t`
	for name, change := range map[string]func(c *FFmpegConfig){
		"file": func(c *FFmpegConfig) { signIn(t, c, s, wrong) },
		"url": func(c *FFmpegConfig) {
			c.URL = "rtsp://" + url.UserPassword(s.User, wrong).String() + "@" + strings.TrimPrefix(s.URL(), "rtsp://")
		},
		"own arguments": func(c *FFmpegConfig) {
			signIn(t, c, s, wrong)
			c.Args = []string{"-rtsp_transport", "tcp", "-i", "{url}"}
		},
		"no password": func(c *FFmpegConfig) { c.URL = s.URL() },
	} {
		t.Run(name, func(t *testing.T) {
			r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { change(c) })
			err := r.failed(t)
			if err == nil || !strings.Contains(err.Error(), "refuses user and password: correct user and password_file, or those in url") {
				t.Fatal(err)
			}
			checkSecret(t, err.Error(), wrong)
		})
	}
	if given, refused := s.Described(); given != 0 || refused < 4 {
		t.Errorf("described %d times, refused %d times", given, refused)
	}
}

// TestRTSPStallAndCut: a camera that stalls and one that is cut off are errors;
// the next run has pictures again.
func TestRTSPStallAndCut(t *testing.T) {
	s := &rtsptest.Server{}
	rtsptest.Start(t, s)
	s.Feed(t, []string{"-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20"}, rtsptest.H264)
	play := func() *running {
		return runFFmpeg(t, func(c *FFmpegConfig, g *ffmpegGrabber) { c.URL, g.next = s.URL(), time.Second })
	}
	r := play()
	r.await(t, 2)
	s.Stall(true)
	if err := r.failed(t); err == nil || !strings.Contains(err.Error(), ": no picture for 1s, ffmpeg was stopped: check the camera's power and cable") {
		t.Errorf("stalled: %v", err)
	}
	s.Stall(false)
	r = play()
	r.await(t, 2)
	s.Unplug()
	if err := r.failed(t); err == nil || !strings.Contains(err.Error(), "the stream broke off") && !strings.Contains(err.Error(), "no picture for 1s") {
		t.Errorf("cut: %v", err)
	}
	if err := play().failed(t); err == nil || !strings.Contains(err.Error(), "refuses connections") {
		t.Errorf("gone: %v", err)
	}
	s.Plug(t)
	play().await(t, 2)
	if left := childrenOf(t, os.Getpid()); len(left) > 2 { // the recorder, and the last one
		t.Errorf("children %v", left)
	}
}
