package camera

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/internal/rtsptest"
	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

// roomClock is a room clock.
type roomClock struct{ start time.Time }

func (c roomClock) NowNS() int64 { return time.Since(c.start).Nanoseconds() }

// checkLaw fails unless every picture ended in exactly one counter.
func checkLaw(t *testing.T, s *sensors.Snapshot) {
	t.Helper()
	var sum uint64
	for _, n := range s.Outcomes {
		sum += n
	}
	if sum != s.In {
		t.Errorf("in is %d, the outcomes sum to %d: %v", s.In, sum, s.Outcomes)
	}
}

// TestV4L2HundredCycles: unplugged and plugged in again a hundred times under a
// supervisor, in a bubble's time.
func TestV4L2HundredCycles(t *testing.T) {
	cam := newFakeCamera(fourccYUYV)
	cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
	before := runtime.NumGoroutine()
	synctest.Test(t, func(t *testing.T) {
		src, _ := v4l2Source(cam, nil)
		ctx, cancel := context.WithCancel(t.Context())
		samples := make(chan *sensors.Sample, 1000)
		sup := sensors.NewSupervisor("camera", modality.Camera, src, sensors.SupervisorConfig{}, roomClock{time.Now()}, func(x *sensors.Sample) { samples <- x })
		done := make(chan error, 1)
		go func() { done <- sup.Run(ctx) }()
		go func() { // the camera's own 30 pictures a second
			for seq := uint32(0); ctx.Err() == nil; seq++ {
				time.Sleep(33 * time.Millisecond)
				cam.shoot(monotonic(seq))
			}
		}()
		var longest time.Duration
		for i := range 100 {
			<-samples
			cam.unplug()
			for len(samples) > 0 {
				<-samples
			}
			time.Sleep(time.Duration(i%40) * 100 * time.Millisecond) // the supervisor's waits grow
			if s := sup.Snapshot(); i%40 > 6 && s.State != sensors.Down {
				t.Fatalf("cycle %d: unplugged, the state is %v", i, s.State)
			}
			plugged := time.Now()
			cam.plug()
			<-samples
			longest = max(longest, time.Since(plugged))
		}
		if longest > 3*time.Second {
			t.Errorf("back after %s", longest)
		}
		t.Logf("back after %s at most", longest)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s := sup.Snapshot()
		checkLaw(t, &s)
		time.Sleep(time.Second) // the camera's goroutine ends
	})
	cam.checkClosed(t)
	if cam.everOpened < 101 {
		t.Errorf("opened %d times", cam.everOpened)
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

// held is what this process holds of the system.
type held struct {
	goroutines, descriptors, children int
	rssKiB                            int
}

func holds(t *testing.T) held {
	t.Helper()
	debug.FreeOSMemory()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h := held{goroutines: runtime.NumGoroutine(), descriptors: len(fds), children: len(childrenOf(t, os.Getpid()))}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rss, &h.rssKiB); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestFFmpegHundredCycles: a camera on the network goes and comes back a hundred
// times under a supervisor.
func TestFFmpegHundredCycles(t *testing.T) {
	testenv.Slow(t)
	s := &rtsptest.Server{User: "admin", Password: oddPassword}
	rtsptest.Start(t, s)
	s.Feed(t, []string{"-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10"}, rtsptest.H264)
	cfg := NewFFmpegConfig()
	signIn(t, cfg, s, oddPassword)
	src := cfg.Source("camera").(*VideoSource)
	src.Detector = detectFunc(func(image.Image) (Detection, error) { return Detection{}, nil })
	sup := sensors.NewSupervisor("camera", modality.Camera, src, sensors.SupervisorConfig{}, roomClock{time.Now()}, func(*sensors.Sample) {})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- sup.Run(ctx) }()
	live := func() {
		t.Helper()
		testenv.Wait(t, "a live camera", func() bool { return sup.Snapshot().State == sensors.Live })
	}
	live()
	var took []time.Duration
	var early held
	for i := range 100 {
		s.Unplug()
		testenv.Wait(t, "a camera that is down", func() bool { return sup.Snapshot().State == sensors.Down })
		if step := sup.Snapshot(); strings.Contains(step.WhatToDo(), "it's") {
			t.Fatalf("the password stands in %s", step.WhatToDo())
		}
		s.Plug(t)
		plugged := time.Now()
		live()
		took = append(took, time.Since(plugged))
		if i == 9 {
			early = holds(t)
		}
	}
	late := holds(t)
	slices.Sort(took)
	t.Logf("back after %s in the median, %s at most; after 10 cycles %+v, after 100 %+v", took[50], took[99], early, late)
	if late.goroutines > early.goroutines+2 || late.descriptors > early.descriptors+2 || late.children > early.children || late.rssKiB > early.rssKiB+32<<10 {
		t.Errorf("after 10 cycles %+v, after 100 %+v", early, late)
	}
	cancel()
	if err := testenv.Receive(t, "the end of the supervisor", done); err != nil {
		t.Error(err)
	}
	snap := sup.Snapshot()
	checkLaw(t, &snap)
	if left := childrenOf(t, os.Getpid()); len(left) != 1 { // the recorder
		t.Errorf("children %v", left)
	}
}

// The variables that make the test program a daemon that plays a film, to be
// killed, and name its ffmpeg.
const helperFilm, helperProgram = "CAMERA_TEST_PLAY", "CAMERA_TEST_PROGRAM"

func playUntilKilled(film string) {
	cfg := NewFFmpegConfig()
	cfg.URL, cfg.Loop, cfg.Program = film, true, os.Getenv(helperProgram)
	src := cfg.Source("camera").(*VideoSource)
	src.Detector = &recorder{}
	sink := newTally()
	go func() {
		for sink.all()["sample"] < 1 {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("playing")
	}()
	fmt.Println(src.Run(context.Background(), sink))
	os.Exit(1)
}

// TestFFmpegDiesWithItsParent: kill -9 of the program that started it leaves no
// ffmpeg behind, not even one that would never notice that nobody reads.
func TestFFmpegDiesWithItsParent(t *testing.T) {
	tiny, err := filepath.Abs("testdata/tiny.nut")
	if err != nil {
		t.Fatal(err)
	}
	film := testenv.OpenCVPicture(t, "vtest.avi")
	for name, program := range map[string]string{"real": rtsptest.FFmpeg(t), "silent": script(t, "cat "+tiny+"; exec sleep 1000")} {
		t.Run(name, func(t *testing.T) { diesWithItsParent(t, film, program) })
	}
}

func diesWithItsParent(t *testing.T, film, program string) {
	start := func(give []uintptr) (*exec.Cmd, io.Reader, error) {
		daemon := exec.CommandContext(t.Context(), os.Args[0])
		daemon.Env = append(os.Environ(), helperFilm+"="+film, helperProgram+"="+program)
		daemon.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: give}
		out, err := daemon.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		return daemon, out, daemon.Start()
	}
	// As under systemd, which lets the daemon capture packets; who has no such
	// capability cannot give it on.
	daemon, out, err := start([]uintptr{unix.CAP_NET_RAW})
	capable := !errors.Is(err, unix.EPERM)
	if !capable {
		daemon, out, err = start(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || said != "playing\n" {
		t.Fatalf("%q, %v", said, err)
	}
	children := childrenOf(t, daemon.Process.Pid)
	if len(children) != 1 {
		t.Fatalf("children %v", children)
	}
	for pid := range children {
		if of, has := ambient(t, daemon.Process.Pid), ambient(t, pid); capable != (of != 0) || has != 0 {
			t.Errorf("capabilities given on: %#x to the daemon, %#x to ffmpeg", of, has)
		}
	}
	if err := daemon.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()
	for pid := range children {
		testenv.Wait(t, "the end of ffmpeg", func() bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			// Whoever inherits it may leave it as a zombie.
			return err != nil || strings.Contains(string(b), ") Z ")
		})
	}
}

// ambient returns the capabilities that any thread of a process gives on.
func ambient(t *testing.T, pid int) (set uint64) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads of %d: %v", pid, err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		var of uint64
		_, after, _ := strings.Cut(string(status), "CapAmb:")
		if _, err := fmt.Sscanf(strings.TrimSpace(after), "%x", &of); err != nil {
			t.Fatal(err)
		}
		set |= of
	}
	return set
}

// TestNoPictureInFiles: ffmpeg writes into its pipes and nowhere else, leaves no
// core dump and knows no folder for temporary files; a picture that ends in an
// error is not in its text.
func TestNoPictureInFiles(t *testing.T) {
	film := testenv.OpenCVPicture(t, "vtest.avi")
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	t.Setenv("HOME", dir)
	r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) { c.URL = film })
	r.await(t, 3)
	children := childrenOf(t, os.Getpid())
	if len(children) != 1 {
		t.Fatalf("children %v", children)
	}
	for pid := range children {
		proc := fmt.Sprintf("/proc/%d/", pid)
		limits, err := os.ReadFile(proc + "limits")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0 ") {
			t.Errorf("core dumps are allowed:\n%s", limits)
		}
		environ, err := os.ReadFile(proc + "environ")
		if err != nil || strings.Contains(string(environ), dir) {
			t.Errorf("the child's environment is %q, %v", environ, err)
		}
		fds, err := os.ReadDir(proc + "fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			target, _ := os.Readlink(proc + "fd/" + fd.Name())
			info, _ := os.ReadFile(proc + "fdinfo/" + fd.Name())
			var flags int
			_, after, _ := strings.Cut(string(info), "flags:")
			if _, err := fmt.Sscanf(strings.TrimSpace(after), "%o", &flags); err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY && filepath.IsAbs(target) && target != os.DevNull {
				t.Errorf("it writes to %s", target)
			}
		}
	}
	r.stop()
	if err := r.failed(t); err != nil {
		t.Error(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestNoPictureInErrors(t *testing.T) {
	const marker = "PIXELS-OF-A-PICTURE-"
	pixels := strings.Repeat(marker, 400)
	r := runFFmpeg(t, func(c *FFmpegConfig, _ *ffmpegGrabber) {
		c.URL, c.Program = "rtsp://127.0.0.1:1/x", script(t, "echo '"+pixels+"'")
	})
	if err := r.failed(t); err == nil || strings.Contains(err.Error(), marker[:8]) {
		t.Errorf("ffmpeg: %v", err)
	}
	for cut := range 200 {
		b := tinyNUT(t)
		if _, _, err := readNUT(append(b[:min(cut, len(b)):len(b)], pixels...)); err == nil || strings.Contains(err.Error(), marker[:8]) {
			t.Errorf("after %d bytes: %v", cut, err)
		}
	}
	cam := newFakeCamera(fourccMJPG)
	cam.prepare = func(m []byte) int { return copy(m, pixels) }
	src, _ := v4l2Source(cam, nil)
	out, err := inSynctest(t, src, func() {
		cam.shoot(monotonic(0)) // is no JPEG
		cam.shoot(shot{sequence: 1, flags: bufFlagError})
		synctest.Wait()
		cam.unplug()
	})
	if err == nil || strings.Contains(err.Error(), marker[:8]) {
		t.Errorf("v4l2: %v", err)
	}
	for outcome := range out.counts {
		if strings.Contains(outcome, marker[:8]) {
			t.Errorf("v4l2 counts %s", outcome)
		}
	}
}
