package radar

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

// collector is a sink that keeps everything.
type collector struct {
	mu       sync.Mutex
	samples  []*sensors.Sample
	counts   map[string]uint64
	findings map[string]string
	start    time.Time
	changed  chan struct{}
}

func newCollector() *collector {
	return &collector{counts: map[string]uint64{}, findings: map[string]string{}, start: time.Now(), changed: make(chan struct{}, 1)}
}

func (c *collector) Emit(s *sensors.Sample) {
	c.mu.Lock()
	c.samples = append(c.samples, s)
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *collector) Count(o string, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[o] += n
}

func (c *collector) Tell(f sensors.Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.findings[f.Code] = f.Text
}

func (c *collector) NowNS() int64 { return time.Since(c.start).Nanoseconds() }

// wait returns the samples once there are n.
func (c *collector) wait(t *testing.T, n int) []*sensors.Sample {
	t.Helper()
	limit := time.After(testenv.Patience)
	for {
		c.mu.Lock()
		s := append([]*sensors.Sample(nil), c.samples...)
		c.mu.Unlock()
		if len(s) >= n {
			return s
		}
		select {
		case <-c.changed:
		case <-limit:
			t.Fatalf("%d samples after %s, want %d; counts %v", len(s), testenv.Patience, n, c.counts)
		}
	}
}

// ptyPair is a pseudo-terminal; the driver opens path.
type ptyPair struct {
	master *os.File
	slave  *os.File
	path   string
}

func openPty(t *testing.T) ptyPair {
	t.Helper()
	m, s, err := pty.Open()
	if err != nil {
		t.Fatal("pseudo-terminal:", err)
	}
	// The terminal is raw from the start, so nothing written early is echoed.
	raw, err := openRawPort(s.Name())
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Close()
	p := ptyPair{m, s, s.Name()}
	t.Cleanup(func() { _, _ = m.Close(), s.Close() })
	return p
}

// serveCLI answers the command port until its master closes, and returns the
// commands once done.
func serveCLI(t *testing.T, p ptyPair, started chan<- struct{}) <-chan []string {
	t.Helper()
	out := make(chan []string, 1)
	var first sync.Once
	go func() {
		var sent []string
		answer := demo(nil)
		buf, line := make([]byte, 1), ""
		for {
			if _, err := p.master.Read(buf); err != nil {
				out <- sent
				return
			}
			if buf[0] != '\n' {
				line += string(buf)
				continue
			}
			if line != "" {
				sent = append(sent, line)
			}
			text, _ := answer(line)
			_, _ = io.WriteString(p.master, text)
			if line == "sensorStart" {
				first.Do(func() { close(started) })
			}
			line = ""
		}
	}()
	return out
}

// writePaced writes b as fast as a UART of 921600 baud would.
func writePaced(w io.Writer, b []byte) {
	const bytesPerSecond = DefaultDataBaud / 10
	start, sent := time.Now(), 0
	for sent < len(b) {
		n := min(256, len(b)-sent)
		if _, err := w.Write(b[sent : sent+n]); err != nil {
			return
		}
		sent += n
		time.Sleep(time.Until(start.Add(time.Duration(sent) * time.Second / bytesPerSecond)))
	}
}

func start(t *testing.T, src *SerialSource, sink sensors.Sink) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	errc := make(chan error, 1)
	go func() { errc <- src.Run(ctx, sink) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-errc:
			case <-time.After(testenv.Patience):
				err = errors.New("run did not return")
			}
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func TestSerialSourceOverPty(t *testing.T) {
	cmd, data := openPty(t), openPty(t)
	cfgPath := filepath.Join(t.TempDir(), "radar.cfg")
	if err := os.WriteFile(cfgPath, recorded(t, "xwr68xx_oob_sdk3.cfg"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := serialSource(t, "radar", func(c *TISerialConfig) { c.DataPort, c.CommandPort, c.ConfigFile = data.path, cmd.path, cfgPath })
	started := make(chan struct{})
	sent := serveCLI(t, cmd, started)
	sink := newCollector()
	stop := start(t, src, sink)
	for streaming := false; !streaming; {
		select {
		case <-started:
			streaming = true
		case <-time.After(20 * time.Second):
			// On a busy machine this radar answers too late for the driver, which
			// gives up. Again, as the supervisor does.
			_ = stop()
			stop = start(t, src, sink)
		}
	}
	stream := recorded(t, "xwr68xx_oob_sdk3.3_processed_stream.dat")
	want := decodeAll(Layout40, stream).Frames
	writePaced(data.master, stream)
	got := sink.wait(t, len(want))
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	for i, s := range got {
		f := want[i]
		if s.Sensor != "radar" || s.Modality != modality.Radar || s.Seq != uint64(f.FrameNumber) || !s.HasDevice || s.Restarted || len(s.Radar.Points) != len(f.Points) {
			t.Fatalf("sample %d: %+v", i, s)
		}
		for j, p := range s.Radar.Points {
			q := f.Points[j]
			if p.X != q.Y || p.Y != -q.X || p.Z != q.Z || p.Doppler != q.Doppler || p.SNRdB != q.SNRdB {
				t.Fatalf("frame %d point %d: %+v from %+v", i, j, p, q)
			}
		}
		if i > 0 {
			if step := s.DeviceNS - got[i-1].DeviceNS; step < 99_000_000 || step > 101_000_000 {
				t.Errorf("frame %d: device time steps %d ns", i, step)
			}
			if s.ReceiveNS < got[i-1].ReceiveNS {
				t.Errorf("frame %d received before the one ahead of it", i)
			}
		}
	}
	_ = cmd.slave.Close()
	_ = cmd.master.Close()
	commands := <-sent
	var lines []string
	for _, l := range config(t, string(recorded(t, "xwr68xx_oob_sdk3.cfg"))).Lines {
		lines = append(lines, l.Text)
	}
	if len(commands) < len(lines) || !slices.Equal(commands[len(commands)-len(lines):], lines) {
		t.Errorf("commands %q sent, want %q at the end", commands, lines)
	}
}

func TestUnplugAndReopen(t *testing.T) {
	one := openPty(t)
	link := filepath.Join(t.TempDir(), "port")
	if err := os.Symlink(one.path, link); err != nil {
		t.Fatal(err)
	}
	src := serialSource(t, "radar", func(c *TISerialConfig) { c.DataPort, c.Layout = link, "oob40" })
	frames, _ := frameBytes(t, "xwr68xx_oob_sdk3.3_processed_stream.dat", 2)
	sink := newCollector()
	errc := make(chan error, 1)
	run := func() { errc <- src.Run(t.Context(), sink) }
	go run()
	if _, err := one.master.Write(frames[0]); err != nil {
		t.Fatal(err)
	}
	sink.wait(t, 1)
	_ = one.slave.Close()
	_ = one.master.Close()
	select {
	case err := <-errc:
		if err == nil || !strings.Contains(err.Error(), "connection lost") {
			t.Errorf("unplugged: %v", err)
		}
	case <-time.After(testenv.Patience):
		t.Fatal("run did not notice the unplug")
	}
	two := openPty(t)
	_ = os.Remove(link)
	if err := os.Symlink(two.path, link); err != nil {
		t.Fatal(err)
	}
	go run()
	if _, err := two.master.Write(frames[1]); err != nil {
		t.Fatal(err)
	}
	if s := sink.wait(t, 2); s[1].Seq != 210 {
		t.Errorf("after replug: frame %d", s[1].Seq)
	}
	_ = two.slave.Close()
	_ = two.master.Close()
	<-errc
}

func TestRawPort(t *testing.T) {
	p := openPty(t)
	port, err := openRawPort(p.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = port.Close() }()
	b := make([]byte, 16)
	if n, err := port.Read(b); n != 0 || err != nil {
		t.Errorf("idle read: %d, %v", n, err)
	}
	want := "\x03\x04\n\r\x11\x13\xff\x00"
	if _, err := io.WriteString(p.master, want); err != nil {
		t.Fatal(err)
	}
	got := ""
	for range 100 {
		n, err := port.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got += string(b[:n]); len(got) >= len(want) {
			break
		}
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := openRawPort(capturePathOfAnyFile(t)); err == nil {
		t.Error("a plain file opened as a terminal")
	}
}

func capturePathOfAnyFile(t *testing.T) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPortErrorsSayWhatToDo(t *testing.T) {
	src := serialSource(t, "r1", func(c *TISerialConfig) { c.DataPort = "/dev/does-not-exist" })
	err := src.Run(t.Context(), newCollector())
	if err == nil || !strings.Contains(err.Error(), "/dev/does-not-exist does not exist") || !strings.Contains(err.Error(), "by-id") {
		t.Errorf("missing port: %v", err)
	}
	if err := portError("/dev/ttyACM1", os.ErrPermission); !strings.Contains(err.Error(), "dialout") || !errors.Is(err, os.ErrPermission) {
		t.Errorf("permission: %v", err)
	}
	plain := capturePathOfAnyFile(t)
	if _, err := openPort(plain, DefaultDataBaud); err == nil || !strings.Contains(err.Error(), plain) {
		t.Errorf("plain file: %v", err)
	}
}

func TestDeafCommandPortEndsRun(t *testing.T) {
	cmd, data := openPty(t), openPty(t)
	cfg := filepath.Join(t.TempDir(), "c.cfg")
	if err := os.WriteFile(cfg, []byte("sensorStop\nsensorStart"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := serialSource(t, "r1", func(c *TISerialConfig) { c.DataPort, c.CommandPort, c.ConfigFile = data.path, cmd.path, cfg })
	err := src.Run(t.Context(), newCollector())
	if !errors.Is(err, ErrNoPrompt) || !strings.Contains(err.Error(), cmd.path) {
		t.Errorf("error %v", err)
	}
}

func TestSettingsRefuse(t *testing.T) {
	for key, spoil := range map[string]func(*TISerialConfig){
		"data_port":       func(c *TISerialConfig) { c.DataPort = "" },
		"command_port":    func(c *TISerialConfig) { c.ConfigFile = "c" },
		"config_file":     func(c *TISerialConfig) { c.CommandPort = "c" },
		"data_baud":       func(c *TISerialConfig) { c.DataBaud = -1 },
		"layout":          func(c *TISerialConfig) { c.Layout = "oob44" },
		"frame_period_ms": func(c *TISerialConfig) { c.FramePeriodMS = math.NaN() },
	} {
		c := NewTISerialConfig()
		spoil(c)
		found := c.Check()
		if p, ok := errors.AsType[*setting.Problem](errors.Join(found...)); !ok || len(found) != 1 || p.Key != key {
			t.Errorf("%s: %v", key, found)
		}
	}
}

func TestLayoutFromSettings(t *testing.T) {
	for l := LayoutAuto; l <= Layout52; l++ {
		if s := serialSource(t, "r", func(c *TISerialConfig) { c.Layout = l.String() }); s.layout != l {
			t.Errorf("%v became %v", l, s.layout)
		}
	}
}

func TestConfigFileThatIsNotThere(t *testing.T) {
	src := serialSource(t, "r", func(c *TISerialConfig) { c.CommandPort, c.ConfigFile = "/dev/none", "/no/radar.cfg" })
	p, ok := errors.AsType[*setting.Problem](src.Run(t.Context(), newCollector()))
	const want = "configuration: open /no/radar.cfg: no such file or directory: correct sensors.radar.ti_serial.config_file"
	if !ok || p.Below("sensors.radar.ti_serial").Error() != want {
		t.Errorf("got  %v\nwant %s", p, want)
	}
}

// serialSource returns a source with the defaults changed by edit.
func serialSource(t *testing.T, name string, edit func(*TISerialConfig)) *SerialSource {
	t.Helper()
	c := NewTISerialConfig()
	edit(c)
	if found := c.Check(); len(found) > 0 {
		t.Fatal(found)
	}
	return c.Source(name).(*SerialSource)
}
