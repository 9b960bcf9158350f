package replay

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/internal/testenv"
	"posefuse/recording"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/sensors/radar"
)

// radarPair returns a fake radar and the driver's source for it.
func radarPair(t *testing.T) (*RadarConfig, sensors.Source) {
	t.Helper()
	dir := t.TempDir()
	cfg := &RadarConfig{CommandPath: filepath.Join(dir, "radar-command"), DataPath: filepath.Join(dir, "radar-data")}
	ti := radar.NewTISerialConfig()
	ti.DataPort, ti.CommandPort, ti.ConfigFile = cfg.DataPath, cfg.CommandPath, testenv.Shared(t, "captures/radar-ti/xwr68xx_oob_sdk3.cfg")
	return cfg, ti.Source("radar")
}

// radarDiffers compares a sample with the stored frame it was made from.
func radarDiffers(c recording.Clip, i int, s *sensors.Sample) error {
	var f recording.Frame
	if err := c.Frame(i, &f); err != nil {
		return err
	}
	if len(s.Radar.Points) != len(f.MmWave)/5 {
		return fmt.Errorf("frame %d: %d points, stored %d", i, len(s.Radar.Points), len(f.MmWave)/5)
	}
	for n, p := range s.Radar.Points {
		row := f.MmWave[5*n:]
		if p.X != float32(row[0]) || p.Y != float32(row[1]) || p.Z != float32(row[2]) || p.Doppler != float32(row[3]) {
			return fmt.Errorf("frame %d point %d: %+v, stored %v", i, n, p, row[:5])
		}
		if math.Abs(float64(p.SNRdB)-row[4]) > 0.05001 {
			return fmt.Errorf("frame %d point %d: SNR %v dB, stored %v", i, n, p.SNRdB, row[4])
		}
	}
	return nil
}

// checkRadar compares samples with the frames of a clip that goes round, from
// any frame on: which is the first depends on when the driver's dialogue was
// over. It returns that frame.
func checkRadar(t *testing.T, c recording.Clip, got []*sensors.Sample) (first int) {
	t.Helper()
	for first < c.Len() && radarDiffers(c, first, got[0]) != nil {
		first++
	}
	for n, s := range got {
		if err := radarDiffers(c, (first+n)%c.Len(), s); err != nil {
			t.Errorf("sample %d: %v", n, err)
		}
	}
	return first
}

func TestRadarThroughPseudoTerminal(t *testing.T) {
	t.Parallel()
	cfg, src := radarPair(t)
	sink := newRecorder()
	drive(t, src, sink)
	clip := stored(1, 12)
	clip.empty = 9 // no points: an empty frame, not a missing one
	var ev events
	p, _ := play(t, Config{Data: clipSet{clip}, Loop: true, Pause: -1, Radar: cfg, OnFrame: ev.add})
	got := sink.waitFor(t, clip.frames)[:clip.frames]
	first := checkRadar(t, clip, got)
	for n, s := range got {
		if s.Seq != got[0].Seq+uint64(n) || s.Restarted {
			t.Errorf("sample %d: sequence %d after %d, restarted %v", n, s.Seq, got[0].Seq, s.Restarted)
		}
		if want := int64(n) * int64(p.Period()); s.DeviceNS-got[0].DeviceNS != want {
			t.Errorf("sample %d: device clock %d ns after the first, want %d", n, s.DeviceNS-got[0].DeviceNS, want)
		}
		// The magic word leaves at the capture time; it never comes earlier.
		frame, arrived := (first+n)%clip.frames, sink.zero.Add(time.Duration(s.ReceiveNS))
		if !slices.ContainsFunc(ev.all(), func(e FrameEvent) bool { return e.Frame == frame && !e.Capture.After(arrived) }) {
			t.Errorf("sample %d: frame %d arrived before it was captured", n, frame)
		}
	}
}

func TestRadarUnpluggedAndBack(t *testing.T) {
	t.Parallel()
	cfg, src := radarPair(t)
	sink := newRecorder()
	drive(t, src, sink)
	clip := stored(1, 100)
	p, _ := play(t, Config{Data: clipSet{clip}, Loop: true, Pause: -1, Radar: cfg, Speed: 2})
	sink.waitFor(t, 5)
	p.Stop(modality.Radar)
	testenv.Wait(t, "the ports to disappear", func() bool {
		_, err := os.Lstat(cfg.DataPath)
		return errors.Is(err, fs.ErrNotExist)
	})
	testenv.Wait(t, "frames to pass meanwhile", func() bool { return p.Counts()[modality.Radar].Off >= 2 })
	before := len(sink.all()) // or fewer: what was sent last may still be on its way
	p.Start(modality.Radar)
	testenv.Wait(t, "the counter to start over", func() bool {
		return slices.ContainsFunc(sink.all()[before:], func(s *sensors.Sample) bool { return s.Seq == 1 })
	})
}

func TestRadarIsSilentUntilStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := &RadarConfig{CommandPath: filepath.Join(dir, "c"), DataPath: filepath.Join(dir, "d")}
	p, wait := play(t, Config{Data: clipSet{stored(1, 5)}, Radar: cfg, Speed: 10})
	wait()
	if c := p.Counts()[modality.Radar]; c.Offered != 0 || c.Idle != 5 {
		t.Errorf("counts %+v: a radar that was not started sent frames", c)
	}
}

func TestRadarOverrunIsCounted(t *testing.T) {
	// A radar that streams to a port nobody reads loses bytes and goes on.
	dir := t.TempDir()
	port := &ptyPort{link: filepath.Join(dir, "d")}
	if err := port.open(); err != nil {
		t.Fatal(err)
	}
	defer port.close()
	line := uartLine{bytesPerSecond: 1e6}
	if err := line.write(port, make([]byte, ptyUnread/2)); err != nil {
		t.Fatal(err)
	}
	var err error
	for sent := 0; err == nil; sent += uartChunk {
		if sent > 1<<20 {
			t.Fatal("a megabyte went into a port that nobody reads")
		}
		err = line.write(port, make([]byte, uartChunk))
	}
	if !errors.Is(err, errOverrun) {
		t.Errorf("error %v, want an overrun", err)
	}
}

// TestRadarCLIOutlivesAnOverrun: a driver that went away in the middle of the
// dialogue finds the command port alive when it is back.
func TestRadarCLIOutlivesAnOverrun(t *testing.T) {
	var answers []string
	lost := false
	c := &radarCLI{port: strings.NewReader("sensorStop\nflushCfg\n"), configured: map[string]bool{}, answer: func(b []byte) error {
		if !lost {
			lost = true
			return errOverrun
		}
		answers = append(answers, string(b))
		return nil
	}}
	c.serve()
	if len(answers) != 1 || !strings.Contains(answers[0], "flushCfg") {
		t.Errorf("answers after the overrun: %q", answers)
	}
}

// heldUp is a writer whose timer wins the first times although there is room.
type heldUp struct {
	times int
	got   []byte
}

func (h *heldUp) SetWriteDeadline(time.Time) error { return nil }
func (h *heldUp) Write(b []byte) (int, error) {
	if h.times--; h.times >= 0 {
		h.got = append(h.got, b[:1]...)
		return 1, os.ErrDeadlineExceeded
	}
	h.got = append(h.got, b...)
	return len(b), nil
}

func TestWriteInTimeTriesAgain(t *testing.T) {
	h := &heldUp{times: 1}
	if err := writeInTime(h, []byte("frame")); err != nil || string(h.got) != "frame" {
		t.Errorf("held up once: %q, %v", h.got, err)
	}
	if err := writeInTime(&heldUp{times: 2}, []byte("frame")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a driver that does not read: %v", err)
	}
}

func TestUARTPacing(t *testing.T) {
	port := &ptyPort{link: filepath.Join(t.TempDir(), "d")}
	if err := port.open(); err != nil {
		t.Fatal(err)
	}
	defer port.close()
	line := uartLine{bytesPerSecond: 92160}
	start := time.Now()
	for range 3 {
		if err := line.write(port, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if took, least := time.Since(start), 3000*time.Second/92160; took < least {
		t.Errorf("3000 bytes in %v, a real line needs %v", took, least)
	}
}

func TestPortLink(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&ptyPort{link: file}).open(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file in the way: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is gone: %q %v", b, err)
	}
	// A link left by a killed player is replaced.
	link := filepath.Join(dir, "sub", "port")
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/pts/99999", link); err != nil {
		t.Fatal(err)
	}
	p := &ptyPort{link: link}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to == "/dev/pts/99999" {
		t.Errorf("link points to %s, %v", to, err)
	}
	p.close()
	if _, err := os.Lstat(link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("link is left behind: %v", err)
	}
}

func TestRadarCLI(t *testing.T) {
	c := &radarCLI{configured: map[string]bool{}}
	steps := []struct{ line, want string }{
		{"", "\n\rmmwDemo:/>"},
		{"% a comment", "% a comment\n\rmmwDemo:/>"},
		{"sensorStop", "sensorStop\nIgnored: Sensor is already stopped\n\rDone\n\rmmwDemo:/>"},
		{"flushCfg", "flushCfg\n\rDone\n\rmmwDemo:/>"},
		{"sensorStart", "Error -1"},
		{"profileCfg 0 60 7", "Done"},
		{"chirpCfg 0 0 0", "Done"},
		{"frameCfg 0 1 16 0 100 1 0", "Done"},
		{"fooBar 1", "'fooBar' is not recognized as a CLI command"},
		{"sensorStart", "Debug: Init Calibration Status = 0x1ffe\n\rDone"},
		{"sensorStart", "Ignored: Sensor is already started"},
		{"sensorStop", "sensorStop\n\rDone"},
		{"sensorStart 0", "sensorStart 0\n\rDone"},
		{"flushCfg", "Done"},
	}
	for _, s := range steps {
		if got := c.reply(s.line); !strings.Contains(got, s.want) || !strings.HasSuffix(got, "\r"+radarPrompt) {
			t.Errorf("%q: answer %q, want %q and the prompt", s.line, got, s.want)
		}
	}
	if c.running() != 2 {
		t.Errorf("running %d, want the second start", c.running())
	}
}
