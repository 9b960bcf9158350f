package camera

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posefuse/sensors"
)

// recorder is a detector that keeps a small copy of what it was shown. It sees
// somebody in every picture.
type recorder struct {
	mu    sync.Mutex
	seen  []seenPicture
	reset int
}

// seenPicture is a picture on a grid of 8 x 8 places.
type seenPicture struct {
	size image.Point
	grid [64]color.RGBA
}

func (r *recorder) Detect(img image.Image) (Detection, error) {
	b := img.Bounds()
	p := seenPicture{size: b.Size()}
	for i := range p.grid {
		at := image.Pt(b.Min.X+(2*(i%8)+1)*b.Dx()/16, b.Min.Y+(2*(i/8)+1)*b.Dy()/16)
		p.grid[i] = color.RGBAModel.Convert(img.At(at.X, at.Y)).(color.RGBA)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, p)
	return Detection{Person: true, Keypoints: sensors.Keypoints{Width: b.Dx(), Height: b.Dy()}}, nil
}

func (r *recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reset++
}

func (r *recorder) pictures() []seenPicture {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// writeYUYV writes rows of one colour per half: dark on the left, bright on the
// right, in limited or full range.
func writeYUYV(memory []byte, width, height, stride int) int {
	for y := range height {
		row := memory[y*stride:][:2*width]
		for x := range width / 2 {
			luma := byte(60) // 51 of 255
			if 2*x >= width/2 {
				luma = 235
			}
			copy(row[4*x:], []byte{luma, 128, luma, 128})
		}
	}
	return stride*(height-1) + 2*width
}

// v4l2Source is a source of the camera with its detector.
func v4l2Source(cam *fakeCamera, change func(*V4L2Config)) (*VideoSource, *recorder) {
	cfg := NewV4L2Config()
	cfg.Width, cfg.Height, cfg.MaxRateHz = 64, 48, 0
	if change != nil {
		change(cfg)
	}
	r := &recorder{}
	return &VideoSource{name: "camera", maxHz: cfg.MaxRateHz, grabber: &v4l2Grabber{cfg: cfg, open: cam.open}, Detector: r}, r
}

// outcome is what came out of a source.
type outcome struct {
	samples []*sensors.Sample
	counts  map[string]uint64
}

// inSynctest runs a source in a bubble while f uses its camera, and returns what
// came of it.
func inSynctest(t *testing.T, src *VideoSource, f func()) (out outcome, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sink := newTestSink()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx, sink) }()
		synctest.Wait()
		f()
		synctest.Wait()
		select {
		case err = <-done:
		default:
			cancel()
			err = <-done
		}
		close(sink.samples)
		for x := range sink.samples {
			out.samples = append(out.samples, x)
		}
		out.counts = sink.counts
	})
	return out, err
}

// monotonic is a picture of a driver that stamps as uvcvideo does.
func monotonic(sequence uint32) shot {
	return shot{sequence: sequence, at: time.Hour + time.Duration(sequence)*33*time.Millisecond, clock: bufFlagMonotonic}
}

func TestV4L2TakesWhatTheDriverGrants(t *testing.T) {
	// Another size than asked for, rows longer than their pixels.
	const width, height, stride = 40, 30, 96
	cam := newFakeCamera(fourccMJPG, fourccYUYV)
	cam.interrupted = true
	cam.grant = func(f pixelFormat) {
		put32(f, 8, width)
		put32(f, 12, height)
		put32(f, 24, stride)
	}
	cam.prepare = func(m []byte) int { return writeYUYV(m, width, height, stride) }
	src, seen := v4l2Source(cam, nil)
	got, err := inSynctest(t, src, func() {
		for seq := range uint32(20) { // more than there are buffers
			if !cam.shoot(monotonic(seq)) {
				t.Fatalf("picture %d: no buffer was given back", seq)
			}
			synctest.Wait()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	cam.checkClosed(t)
	pictures := seen.pictures()
	if len(pictures) != 20 || len(got.samples) != 20 || len(got.counts) != 0 {
		t.Fatalf("%d pictures, %d samples, counts %v", len(pictures), len(got.samples), got.counts)
	}
	for i, p := range pictures {
		if p.size != image.Pt(width, height) {
			t.Fatalf("picture %d is %v", i, p.size)
		}
		for j, c := range p.grid {
			if want := map[bool]uint8{true: 51, false: 255}[j%8 < 4]; c != (color.RGBA{want, want, want, 255}) {
				t.Fatalf("picture %d, place %d: %v, want %d", i, j, c, want)
			}
		}
		x := got.samples[i]
		if want := int64(time.Hour) + int64(i)*33_000_000; x.Seq != uint64(i) || !x.HasDevice || x.DeviceNS != want || x.ReceiveNS != 42 || x.Restarted || x.Sensor != "camera" {
			t.Errorf("sample %d: %+v", i, x)
		}
	}
}

func TestV4L2MotionJPEG(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	cam := newFakeCamera(fourccYUYV, fourccMJPG)
	cam.prepare = func(m []byte) int {
		for i := range m {
			m[i] = 0xff // what an earlier, longer picture left
		}
		return copy(m, b.Bytes())
	}
	src, seen := v4l2Source(cam, func(c *V4L2Config) { c.Format = formatMJPEG })
	_, err := inSynctest(t, src, func() { cam.shoot(monotonic(0)) })
	p := seen.pictures()
	if err != nil || len(p) != 1 || p[0].size != image.Pt(64, 48) || p[0].grid[20].R < 195 || p[0].grid[20].R > 205 {
		t.Fatalf("%v, %v", p, err)
	}
	cam.checkClosed(t)
}

// TestV4L2ChoosesAFormat: packed pixels where the USB can carry them, JPEG
// elsewhere, and what there is where there is only one.
func TestV4L2ChoosesAFormat(t *testing.T) {
	for name, c := range map[string]struct {
		has    []uint32
		change func(*V4L2Config)
		want   uint32
		errs   string
	}{
		"small":         {has: []uint32{fourccMJPG, fourccYUYV}, want: fourccYUYV},
		"large":         {has: []uint32{fourccYUYV, fourccMJPG}, change: func(c *V4L2Config) { c.Width, c.Height = 1280, 720 }, want: fourccMJPG},
		"large, slow":   {has: []uint32{fourccYUYV, fourccMJPG}, change: func(c *V4L2Config) { c.Width, c.Height, c.FPS = 1280, 720, 10 }, want: fourccYUYV},
		"only jpeg":     {has: []uint32{'H' | '2'<<8 | '6'<<16 | '4'<<24, fourccJPEG}, want: fourccJPEG},
		"wanted yuyv":   {has: []uint32{fourccMJPG}, change: func(c *V4L2Config) { c.Format = formatYUYV }, errs: `has the formats "MJPG" and not yuyv: change format`},
		"neither":       {has: []uint32{'N' | 'V'<<8 | '1'<<16 | '2'<<24, 0}, errs: `has the formats "NV12", "\x00\x00\x00\x00" and not auto`},
		"nothing":       {errs: "not auto"},
		"wanted, large": {has: []uint32{fourccYUYV, fourccMJPG}, change: func(c *V4L2Config) { c.Width, c.Format = 3840, formatYUYV }, want: fourccYUYV},
	} {
		t.Run(name, func(t *testing.T) {
			var asked uint32
			cam := newFakeCamera(c.has...)
			cam.grant = func(f pixelFormat) { asked = f.fourcc() }
			src, _ := v4l2Source(cam, c.change)
			_, err := inSynctest(t, src, func() {})
			if c.errs == "" && (err != nil || asked != c.want) || c.errs != "" && (err == nil || !strings.Contains(err.Error(), c.errs)) {
				t.Errorf("asked for %s: %v", fourccName(asked), err)
			}
			cam.checkClosed(t)
		})
	}
}

// TestV4L2CountsEveryPicture: each ends in one counter, and the stream goes on.
func TestV4L2CountsEveryPicture(t *testing.T) {
	cam := newFakeCamera(fourccYUYV)
	cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
	src, _ := v4l2Source(cam, nil)
	shots := []shot{
		monotonic(7),
		{sequence: 8, flags: bufFlagError, clock: bufFlagMonotonic, at: 1},
		{sequence: 9, used: 6143, clock: bufFlagMonotonic, at: time.Hour}, // a byte short
		{sequence: 10, used: -1},
		{sequence: 11, used: 1 << 20},
		monotonic(15), // three were lost
		{sequence: 16, at: time.Hour, clock: 0},
		{sequence: 17, at: time.Hour, clock: 2 << 13},   // copied from an output
		{sequence: 18, at: 0, clock: bufFlagMonotonic},  // not stamped
		{sequence: 18, at: 50, clock: bufFlagMonotonic}, // does not count, and its clock started over
		monotonic(2),
	}
	got, err := inSynctest(t, src, func() {
		for i, s := range shots {
			if !cam.shoot(s) {
				t.Fatalf("shot %d: no buffer was given back", i)
			}
			synctest.Wait()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{outcomeDamaged: 1, string(ImageCut): 2, string(BadImage): 1, outcomeLost: 3}
	for k, n := range want {
		if got.counts[k] != n {
			t.Errorf("%s: %d, want %d", k, got.counts[k], n)
		}
	}
	if len(got.counts) != len(want) {
		t.Errorf("counts %v", got.counts)
	}
	type stamp struct {
		seq       uint64
		has       bool
		restarted bool
	}
	stamps := []stamp{{7, true, false}, {15, true, false}, {16, false, false}, {17, false, false}, {18, false, false}, {19, false, false}, {20, true, false}}
	if len(got.samples) != len(stamps) {
		t.Fatalf("%d samples, want %d", len(got.samples), len(stamps))
	}
	for i, w := range stamps {
		x := got.samples[i]
		if is := (stamp{x.Seq, x.HasDevice, x.Restarted}); is != w {
			t.Errorf("sample %d: %+v, want %+v", i, is, w)
		}
	}
	cam.checkClosed(t)
}

// TestV4L2ClockThatGoesBack: stamps that are not monotonic are a restart of the
// device's clock once they are off by more than jitter.
func TestV4L2ClockThatGoesBack(t *testing.T) {
	cam := newFakeCamera(fourccYUYV)
	cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
	src, _ := v4l2Source(cam, nil)
	at := []time.Duration{time.Hour, time.Hour - 30*time.Millisecond, time.Hour + time.Second, time.Minute, time.Minute + time.Second}
	got, err := inSynctest(t, src, func() {
		for i, d := range at {
			cam.shoot(shot{sequence: uint32(i), at: d, clock: bufFlagMonotonic})
			synctest.Wait()
		}
	})
	if err != nil || len(got.samples) != len(at) {
		t.Fatalf("%d samples: %v", len(got.samples), err)
	}
	for i, d := range at {
		if x := got.samples[i]; x.Restarted != (i == 3) || x.DeviceNS != d.Nanoseconds() {
			t.Errorf("sample %d: %+v", i, x)
		}
	}
}

func TestV4L2FullRange(t *testing.T) {
	for name, c := range map[string]struct {
		colorspace, magic, quantization uint32
		full                            bool
	}{
		"says nothing":  {0, extendedPixFields, 0, false},
		"says full":     {8, extendedPixFields, quantizationFull, true},
		"says limited":  {colorspaceJPEG, extendedPixFields, 2, false},
		"jpeg colours":  {colorspaceJPEG, extendedPixFields, 0, true},
		"an old driver": {8, 0, quantizationFull, false},
	} {
		f := newPixelFormat(4, 4, fourccYUYV)
		put32(f, 32, c.colorspace)
		put32(f, 36, c.magic)
		put32(f, 48, c.quantization)
		if f.fullRange() != c.full {
			t.Errorf("%s: full range %v", name, !c.full)
		}
	}
	cam := newFakeCamera(fourccYUYV)
	cam.grant = func(f pixelFormat) { put32(f, 48, quantizationFull) }
	cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
	src, seen := v4l2Source(cam, nil)
	if _, err := inSynctest(t, src, func() { cam.shoot(monotonic(0)) }); err != nil {
		t.Fatal(err)
	}
	if c := seen.pictures()[0].grid[7]; c.R != 235 {
		t.Errorf("%v, want the driver's own value 235", c)
	}
}
