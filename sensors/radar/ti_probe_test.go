package radar

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/sensors"
)

// people returns a frame as the demos for people send it.
func people(l Layout, number uint32) *Frame {
	f := &Frame{Version: VersionSDK36, Platform: PlatformIWR6843, FrameNumber: number, TargetIndex: []uint8{0, 253}}
	for i := range 4 {
		s := SphericalPoint{RangeM: 1 + float32(i), AzimuthRad: -0.2 + 0.1*float32(i), ElevationRad: 0.1, DopplerMPS: 0.28, SNR: 12}
		if l == Layout52 {
			s.ElevationRad = 0
		}
		f.Spherical = append(f.Spherical, s)
		f.Points = append(f.Points, Point{X: 1, Y: 2, Z: 0.5, RangeIndex: uint16(i), Peak: 700})
	}
	f.Targets = []Target{{ID: 3, Pos: [3]float32{1, 2, 0}, Vel: [3]float32{0.5, 0, 0}, Gain: 2}}
	return f
}

func encodeAs(t testing.TB, l Layout, f *Frame) []byte {
	t.Helper()
	b, err := AppendFrameAs(nil, l, f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodeAsEveryDemo(t *testing.T) {
	for _, l := range []Layout{Layout36, Layout40, Layout48, Layout52} {
		var stream []byte
		for n := range uint32(5) {
			stream = append(stream, encodeAs(t, l, people(l, n))...)
		}
		r := decodeAll(LayoutAuto, stream)
		if len(r.Frames) != 5 || len(r.Rejects) != 0 {
			t.Fatalf("%s: %d frames, %v", l, len(r.Frames), r.Rejects)
		}
		in := people(l, 4)
		f := r.Frames[4]
		if f.Layout != l || f.FrameNumber != 4 || len(f.Points) != 4 {
			t.Errorf("%s: %+v", l, f)
		}
		if l == Layout36 {
			if f.Points[3] != in.Points[3] {
				t.Errorf("%+v, want %+v", f.Points[3], in.Points[3])
			}
			continue
		}
		for i, s := range f.Spherical {
			w := in.Spherical[i]
			for _, d := range []float32{s.RangeM - w.RangeM, s.AzimuthRad - w.AzimuthRad, s.ElevationRad - w.ElevationRad} {
				if math.Abs(float64(d)) > 0.005 {
					t.Errorf("%s: point %d is %+v, want %+v", l, i, s, w)
				}
			}
		}
		if len(f.Targets) != 1 || f.Targets[0].ID != 3 || f.Targets[0].Pos != in.Targets[0].Pos || f.Targets[0].Gain != 2 || !bytes.Equal(f.TargetIndex, in.TargetIndex) {
			t.Errorf("%s: targets %+v, index %v", l, f.Targets, f.TargetIndex)
		}
	}
	for _, s := range []SphericalPoint{{RangeM: 100}, {RangeM: -1}, {AzimuthRad: 4}, {DopplerMPS: float32(math.NaN())}} {
		if _, err := AppendFrameAs(nil, Layout48, &Frame{Spherical: []SphericalPoint{s}}); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

// Another firmware starts on the open port: after a few refusals the layout is
// found out again; damage to a few frames does not change it.
func TestLayoutIsProbedAgain(t *testing.T) {
	var stream []byte
	for n := range uint32(10) {
		stream = append(stream, encodeAs(t, Layout48, people(Layout48, n))...)
	}
	for _, l := range []Layout{Layout36, Layout40, Layout52} {
		for n := range uint32(20) {
			stream = append(stream, encodeAs(t, l, people(l, n))...)
		}
	}
	r := decodeAll(LayoutAuto, stream)
	if len(r.Frames) != 10+3*(20-probeAgain) {
		t.Errorf("%d frames, %v", len(r.Frames), r.Rejects)
	}
	fixed := decodeAll(Layout48, stream)
	if len(fixed.Frames) != 10 {
		t.Errorf("a fixed layout gave %d frames", len(fixed.Frames))
	}
	for _, size := range []int{1, 7, 1000} {
		if got := decodeChunks(LayoutAuto, stream, func() int { return size }); !reflect.DeepEqual(got, r) {
			t.Errorf("pieces of %d bytes give another result", size)
		}
	}
	// Damage.
	frame := encodeAs(t, Layout48, people(Layout48, 99))
	var damaged []byte
	for n := range uint32(30) {
		b := encodeAs(t, Layout48, people(Layout48, n))
		if n >= 10 && n < 15 {
			b[len(b)-5] ^= 0x55
			b[20] ^= 1 // the header's checksum is wrong now
		}
		damaged = append(damaged, b...)
	}
	if r := decodeAll(LayoutAuto, append(damaged, frame...)); len(r.Frames) != 26 {
		t.Errorf("after damage: %d frames of 26, %v", len(r.Frames), r.Rejects)
	}
}

// The two inputs of the findings, through the driver on a pseudo-terminal.
func TestInputs(t *testing.T) {
	for _, c := range []struct {
		name           string
		frames, points int
		layout         Layout
	}{{"ti_1443_empty_start.bin", 65, 300, Layout36}, {"ti_people_tracking_1020.bin", 60, 270, Layout40}} {
		t.Run(c.name, func(t *testing.T) {
			data := openPty(t)
			src := serialSource(t, "radar", func(s *TISerialConfig) { s.DataPort = data.path })
			sink := newCollector()
			stop := start(t, src, sink)
			stream := testenv.ReadShared(t, "inputs/sensors", c.name)
			go writePaced(data.master, stream)
			points := 0
			for _, s := range sink.wait(t, c.frames) {
				points += len(s.Radar.Points)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if points != c.points || len(sink.samples) != c.frames || len(sink.counts) != 0 {
				t.Errorf("%d frames, %d points, %v", len(sink.samples), points, sink.counts)
			}
			if r := decodeAll(c.layout, stream); len(r.Frames) != c.frames || len(r.Rejects) != 0 {
				t.Errorf("as %s: %d frames, %v", c.layout, len(r.Frames), r.Rejects)
			}
		})
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	stream := recorded(t, "xwr68xx_oob_sdk3.3_processed_stream.dat")
	for _, c := range []struct {
		code, text string
		layout     Layout
		b          []byte
	}{
		{"wrong_layout", "layout: auto or oob40", Layout48, stream[:20000]},
		{"wrong_port", "exchanged", LayoutAuto, []byte("\r\nmmwDemo:/>sensorStop\r\nDone\r\n" + mmwPrompt)},
		{"", "", LayoutAuto, stream[:20000]},
		{"", "", Layout40, stream[:20000]},
	} {
		data := openPty(t)
		src := serialSource(t, "radar", func(s *TISerialConfig) { s.DataPort, s.Layout = data.path, c.layout.String() })
		sink := newCollector()
		stop := start(t, src, sink)
		writePaced(data.master, c.b)
		if c.code == "" {
			sink.wait(t, 10)
		} else {
			testenv.Wait(t, "a finding", func() bool {
				sink.mu.Lock()
				defer sink.mu.Unlock()
				return strings.Contains(sink.findings[c.code], c.text)
			})
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if c.code == "" && len(sink.findings) > 0 {
			t.Errorf("%s: %v", c.layout, sink.findings)
		}
	}
}

// A radar that refuses lines: what it says is in the error, and it is not
// started with what it happens to have.
func TestRefusedConfigurationIsShown(t *testing.T) {
	cmd, data := openPty(t), openPty(t)
	path := filepath.Join(t.TempDir(), "radar.cfg")
	if err := os.WriteFile(path, []byte("sensorStop\nadcbufCfg -1 0 1 1 1\nframeCfg 0 1 16 0 100 1 0\nsensorStart\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src := serialSource(t, "radar", func(c *TISerialConfig) { c.DataPort, c.CommandPort, c.ConfigFile = data.path, cmd.path, path })
	done := make(chan []string, 1)
	go func() {
		var sent []string
		answer := demo(map[string]string{"adcbufCfg -1 0 1 1 1": "Error -1\n" + mmwPrompt})
		buf, line := make([]byte, 1), ""
		for {
			if _, err := cmd.master.Read(buf); err != nil {
				done <- sent
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
			_, _ = cmd.master.WriteString(text)
			line = ""
		}
	}()
	err := src.Run(t.Context(), newCollector())
	if err == nil || !strings.Contains(err.Error(), `line 2 "adcbufCfg -1 0 1 1 1" refused: Error -1`) || !strings.Contains(err.Error(), "reset") {
		t.Fatalf("error %v", err)
	}
	if sensors.NextStep(err) != "" {
		t.Errorf("a next step beside the error's own: %s", sensors.NextStep(err))
	}
	_ = cmd.slave.Close()
	_ = cmd.master.Close()
	if sent := <-done; strings.Contains(strings.Join(sent, " "), "sensorStart") {
		t.Errorf("the radar was started: %q", sent)
	}
}
