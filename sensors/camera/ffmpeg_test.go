package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures to compare with
	"image/png"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posefuse/internal/rtsptest"
	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// tally is a sink that counts, and keeps the newest samples.
type tally struct {
	start  time.Time
	mu     sync.Mutex
	counts map[string]uint64
	newest []*sensors.Sample
}

func newTally() *tally { return &tally{start: time.Now(), counts: map[string]uint64{}} }

func (s *tally) Emit(x *sensors.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts["sample"]++
	s.newest = append(s.newest[max(0, len(s.newest)-99):], x)
}

func (s *tally) Count(outcome string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[outcome] += n
}

func (s *tally) NowNS() int64 { return time.Since(s.start).Nanoseconds() }

func (s *tally) all() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

func (s *tally) samples() []*sensors.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.newest)
}

// running is a source that runs.
type running struct {
	*tally
	src  *VideoSource
	seen *recorder
	done chan error
	stop context.CancelFunc
}

// runFFmpeg runs a source of ffmpeg's with changed settings until the test ends.
func runFFmpeg(t *testing.T, change func(c *FFmpegConfig, g *ffmpegGrabber)) *running {
	t.Helper()
	rtsptest.FFmpeg(t)
	cfg := NewFFmpegConfig()
	cfg.MaxRateHz = 0
	g := &ffmpegGrabber{cfg: cfg, first: testenv.Patience, next: testenv.Patience}
	change(cfg, g)
	if found := cfg.Check(); len(found) > 0 {
		t.Fatal(found)
	}
	r := &running{tally: newTally(), seen: &recorder{}, done: make(chan error, 1)}
	r.src = &VideoSource{name: "camera", maxHz: cfg.MaxRateHz, grabber: g, Detector: r.seen}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() { r.done <- r.src.Run(ctx, r.tally) }()
	t.Cleanup(func() {
		r.stop()
		r.done <- testenv.Receive(t, "the end of the source", r.done)
	})
	return r
}

// await returns once there are n samples.
func (r *running) await(t *testing.T, n uint64) {
	t.Helper()
	testenv.Wait(t, fmt.Sprintf("%d samples", n), func() bool {
		select {
		case err := <-r.done:
			r.done <- err
			t.Fatalf("the source ended: %v", err)
		default:
		}
		return r.all()["sample"] >= n
	})
}

// failed returns the error with which the source ends.
func (r *running) failed(t *testing.T) error {
	t.Helper()
	err := testenv.Receive(t, "the end of the source", r.done)
	r.done <- err
	return err
}

// grid is a picture as the recorder sees it.
func grid(img image.Image) seenPicture {
	var r recorder
	_, _ = r.Detect(img)
	return r.seen[0]
}

// difference is the mean distance of two pictures' colours, 0..255.
func difference(a, b *seenPicture) float64 {
	if a.size != b.size {
		return 255
	}
	sum := 0
	for i := range a.grid {
		for _, c := range [][2]uint8{{a.grid[i].R, b.grid[i].R}, {a.grid[i].G, b.grid[i].G}, {a.grid[i].B, b.grid[i].B}} {
			sum += max(int(c[0])-int(c[1]), int(c[1])-int(c[0]))
		}
	}
	return float64(sum) / float64(3*len(a.grid))
}

// decoded returns the first pictures of a film as ffmpeg itself shows them.
func decoded(t *testing.T, film string, n int) []seenPicture {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-i", film, "-frames:v", fmt.Sprint(n), "-f", "image2pipe", "-c:v", "png", "-compression_level", "0", "-")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pictures []seenPicture
	for in := bytes.NewReader(out); in.Len() > 0; {
		img, err := png.Decode(in)
		if err != nil {
			t.Fatal(err)
		}
		pictures = append(pictures, grid(img))
	}
	return pictures
}

// closest returns the smallest difference to one of several pictures.
func closest(p *seenPicture, of []seenPicture) float64 {
	least := 255.
	for i := range of {
		least = min(least, difference(p, &of[i]))
	}
	return least
}

// TestFFmpegFilm: every picture of a film, in its order, with the film's own
// time, and then the end.
func TestFFmpegFilm(t *testing.T) {
	film := testenv.OpenCVPicture(t, "vtest.avi")
	short := filepath.Join(t.TempDir(), "short film.avi")
	if out, err := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-i", film, "-frames:v", "12", "-c", "copy", short).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := decoded(t, short, 100)
	cfg := NewFFmpegConfig()
	cfg.URL = short
	src, seen, sink := cfg.Source("camera").(*VideoSource), &recorder{}, newTally()
	src.Detector, src.EveryPicture = seen, true
	err := src.Run(t.Context(), sink)
	if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), short+" ended, set loop") {
		t.Errorf("the end: %v", err)
	}
	pictures, samples := seen.pictures(), sink.samples()
	if len(pictures) != len(want) || len(samples) != len(want) || len(sink.all()) != 1 {
		t.Fatalf("%d pictures, %d samples of %d; counts %v", len(pictures), len(samples), len(want), sink.all())
	}
	for i := range pictures {
		if d := difference(&pictures[i], &want[i]); d > 3 {
			t.Errorf("picture %d is off by %.1f", i, d)
		}
		if at := time.Duration(i) * 100 * time.Millisecond; samples[i].DeviceNS != at.Nanoseconds() || !samples[i].HasDevice || samples[i].Seq != uint64(i) {
			t.Errorf("picture %d: %+v", i, samples[i])
		}
	}
}

func TestFFmpegLoopAndScale(t *testing.T) {
	film := filepath.Join(t.TempDir(), "x.nut")
	if out, err := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=rate=50:size=548x342", "-frames:v", "3", "-c:v", "ffv1", film).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL, c.Loop, c.MaxSide = film, true, 137 })
	r.await(t, 10) // of three pictures
	if p := r.seen.pictures()[0]; p.size != image.Pt(137, 85) {
		t.Errorf("548 x 342 pixels became %v", p.size)
	}
	if x := r.samples()[9]; x.Restarted || x.DeviceNS < int64(9*20*time.Millisecond) {
		t.Errorf("the film's time starts over: %+v", x)
	}
}

// TestFFmpegSquarePixels: pixels that are not square are made so, and the sides
// may be odd.
func TestFFmpegSquarePixels(t *testing.T) {
	film := filepath.Join(t.TempDir(), "x.nut")
	if out, err := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "color=red:size=33x31,format=gbrp", "-vf", "setsar=2", "-frames:v", "2", "-c:v", "ffv1", film).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = film })
	if err := r.failed(t); !errors.Is(err, ErrEnded) {
		t.Fatal(err)
	}
	p := r.seen.pictures()
	if len(p) == 0 || p[0].size != image.Pt(66, 31) {
		t.Fatalf("%v", p)
	}
	if c := p[0].grid[9]; c.R < 250 || c.G > 5 || c.B > 5 || c.A != 255 {
		t.Errorf("red became %v", c)
	}
}

// TestFFmpegNewSize: a stream whose pictures change their size ends the run
// instead of giving pictures of other pixels; the next one has the new size.
func TestFFmpegNewSize(t *testing.T) {
	dir := t.TempDir()
	var film []byte
	for _, size := range []string{"320x240", "176x144"} {
		part := filepath.Join(dir, size+".ts")
		if out, err := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=rate=10:size="+size, "-frames:v", "5", "-c:v", "libx264", "-preset", "ultrafast", "-f", "mpegts", part).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		film = append(film, b...)
	}
	whole := filepath.Join(dir, "whole.ts")
	if err := os.WriteFile(whole, film, 0o600); err != nil {
		t.Fatal(err)
	}
	r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = whole })
	if err := r.failed(t); !errors.Is(err, errPictureSize) {
		t.Fatal(err)
	}
	for i, p := range r.seen.pictures() {
		if p.size != image.Pt(320, 240) {
			t.Errorf("picture %d is %v", i, p.size)
		}
	}
	if n := r.all(); n["sample"]+n[outcomeOvertaken] != 5 || n[string(ImageSize)] != 1 {
		t.Errorf("counts %v", n)
	}
}

// script writes a program in place of ffmpeg.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFFmpegThatFails: what each way to fail says, and that nothing is left.
func TestFFmpegThatFails(t *testing.T) {
	tiny, err := filepath.Abs("testdata/tiny.nut")
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.mp4")
	for name, c := range map[string]struct {
		program string // a shell script; none is the real one
		change  func(c *FFmpegConfig, g *ffmpegGrabber)
		want    []string
	}{
		"not installed":     {change: func(c *FFmpegConfig, _ *ffmpegGrabber) { c.Program = "no-ffmpeg-here" }, want: []string{"no-ffmpeg-here is not on this machine: apt install ffmpeg"}},
		"not a program":     {change: func(c *FFmpegConfig, _ *ffmpegGrabber) { c.Program = tiny }, want: []string{"apt install ffmpeg"}},
		"hangs":             {program: "sleep 1000", change: func(_ *FFmpegConfig, g *ffmpegGrabber) { g.first = 100 * time.Millisecond }, want: []string{"rtsp://127.0.0.1:1: no picture for 100ms, ffmpeg was stopped"}},
		"hangs later":       {program: "head -c 330 " + tiny + "; sleep 1000", change: func(_ *FFmpegConfig, g *ffmpegGrabber) { g.next = 100 * time.Millisecond }, want: []string{"no picture for 100ms"}},
		"closes and stays":  {program: "exec >&-; sleep 1000", want: []string{"the stream broke off", "signal: killed"}},
		"says why":          {program: "echo one >&2; echo 'rtsp://a:b@c/d is not nice' >&2; exit 3", want: []string{"ffmpeg: rtsp://c is not nice (exit status 3)"}},
		"old":               {program: "echo \"Unrecognized option 'fps_mode'.\" >&2; exit 1", want: []string{"needs ffmpeg 5.1 or newer"}},
		"other output":      {program: "echo 'hello, this is no picture at all, is it'; sleep 1000", want: []string{"ffmpeg's output cannot be used, correct args"}},
		"ends in a picture": {program: "head -c 290 " + tiny, want: []string{"the stream broke off"}},
		"no file":           {change: func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = none }, want: []string{none + " does not exist: correct url"}},
		"no film":           {change: func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = "ffmpeg_test.go" }, want: []string{"is no video that ffmpeg can read"}},
		"nobody there":      {change: func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = "rtsp://admin:hush@" + testenv.FreeAddr(t) + "/x" }, want: []string{"rtsp://127.0.0.1:", "refuses connections: check host and port"}},
		"bad option":        {change: func(c *FFmpegConfig, _ *ffmpegGrabber) { c.Args = []string{"-no_such", "1", "-i", "{url}"} }, want: []string{"needs ffmpeg 5.1 or newer: update it, or correct args"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := runFFmpeg(t, func(cfg *FFmpegConfig, g *ffmpegGrabber) {
				cfg.URL = "rtsp://127.0.0.1:1/x"
				if c.program != "" {
					cfg.Program = script(t, c.program)
				}
				if c.change != nil {
					c.change(cfg, g)
				}
			})
			err := r.failed(t)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "hush") || sensors.NextStep(err) != "" {
				t.Errorf("%v; %s", err, sensors.NextStep(err))
			}
			if left := childrenOf(t, os.Getpid()); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if strings.Contains(name, "picture") && r.all()[string(ImageCut)] != 1 {
				t.Errorf("counts %v", r.all())
			}
		})
	}
}

// TestFFmpegHTTP: a film from a web server, one that is not there, and a server
// with a certificate of its own making.
func TestFFmpegHTTP(t *testing.T) {
	film := testenv.OpenCVPicture(t, "vtest.avi")
	web := http.NewServeMux()
	web.HandleFunc("/it's.avi", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, film) })
	plain, secure := httptest.NewServer(web), httptest.NewUnstartedServer(web)
	defer plain.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it is refused
	secure.StartTLS()
	defer secure.Close()
	runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = plain.URL + "/it's.avi" }).await(t, 3)
	for url, want := range map[string]string{
		plain.URL + "/none?password=hush": plain.URL + " has no such stream: correct the path in url",
		secure.URL + "/it's.avi":          secure.URL + " shows a certificate that this machine does not trust",
	} {
		if err := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = url }).failed(t); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// childrenOf returns the command lines of a process's children, zombies too.
func childrenOf(t testing.TB, pid int) map[int]string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // gone meanwhile
		}
		var child, parent int
		var state string
		_, rest, _ := strings.Cut(string(b), ") ")
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil || parent != pid {
			continue
		}
		_, _ = fmt.Sscan(string(b), &child)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		found[child] = state + " " + strings.ReplaceAll(string(line), "\x00", " ")
	}
	return found
}
