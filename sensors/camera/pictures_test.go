package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
	"posefuse/sensors"
	"posefuse/sensors/modality"
	"posefuse/setting"
)

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder writes files into a new folder.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pngOfSize is a PNG whose header says so.
func pngOfSize(t testing.TB, w, h int) []byte {
	t.Helper()
	img := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black})
	return encodePNG(t, img)
}

// TestPicturesOfAFolder are shown in the order of their names and at the rate;
// what is no picture is counted.
func TestPicturesOfAFolder(t *testing.T) {
	small, large := gradient(16, 16), gradient(40, 30)
	whole := encodePNG(t, large)
	dir := folder(t, map[string][]byte{
		"1.JPG": encodeJPEG(t, small), "2.png": whole, "3.jpeg": encodeJPEG(t, large),
		"4.jpg": []byte("no picture"), "5.png": whole[:len(whole)-100], "6.png": append([]byte("\x89PNG"), "no picture"...),
		"7.png": pngOfSize(t, 4000, 4000), "8.png": encodeJPEG(t, small), // a JPEG in spite of its name
		"notes.txt": []byte("no picture"), ".hidden.jpg": encodeJPEG(t, small), "empty.jpg": {}, "long.jpg": make([]byte, maxImageBytes+1),
	})
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "folder.jpg"), 0o700), unix.Mkfifo(filepath.Join(dir, "pipe.jpg"), 0o600),
		os.Symlink("/nowhere", filepath.Join(dir, "gone.jpg")), os.Symlink("1.JPG", filepath.Join(dir, "again.jpg"))); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sizes := make(chan image.Point, 100)
		src := (&PicturesConfig{Path: dir, RateHz: 10}).Source("camera").(*VideoSource)
		src.Detector = seesAll(sizes)
		sink := newClockSink()
		err := src.Run(t.Context(), sink)
		if !errors.Is(err, ErrEnded) || err.Error() != "loop: "+dir+": the last picture was shown; with loop it starts over" {
			t.Error(err)
		}
		want := []image.Point{{16, 16}, {40, 30}, {40, 30}, {16, 16}, {16, 16}}
		for i, w := range want {
			if got := <-sizes; got != w {
				t.Errorf("picture %d is %v, want %v", i, got, w)
			}
		}
		counts := map[string]uint64{string(BadImage): 3, string(ImageCut): 1, string(ImageSize): 1, string(ImageLimit): 1, outcomeUnreadable: 2}
		if !equalCounts(sink.counts, counts) || len(sink.samples) != len(want) {
			t.Errorf("%d samples, counts %v, want %v", len(sink.samples), sink.counts, counts)
		}
		for i, at := range []time.Duration{0, 100, 200, 700, 800} { // steps of 100 ms, the bad ones left out
			x := <-sink.samples
			if got := time.Duration(x.ReceiveNS - 1); got != at*time.Millisecond || x.HasDevice {
				t.Errorf("picture %d at %v, want %v", i, got, at*time.Millisecond)
			}
		}
		if err := src.Run(t.Context(), sink); !errors.Is(err, ErrEnded) || len(sizes) > 0 {
			t.Errorf("run again, an ended folder says %v and shows %d pictures", err, len(sizes))
		}
	})
}

// TestPicturesLoop: a folder is shown again and again, and may change meanwhile.
func TestPicturesLoop(t *testing.T) {
	dir := folder(t, map[string][]byte{"a.png": encodePNG(t, gradient(16, 16))})
	sizes := make(chan image.Point, 1)
	src := (&PicturesConfig{Path: dir, RateHz: 200, Loop: true}).Source("camera").(*VideoSource)
	src.Detector = seesAll(sizes)
	done := make(chan error, 1)
	sink := newClockSink()
	go func() { done <- src.Run(t.Context(), sink) }()
	await := func(size int) {
		t.Helper()
		testenv.Wait(t, "a picture of another size", func() bool { return testenv.Receive(t, "a picture", sizes).X == size })
	}
	await(16)
	await(16)
	write := func(name string, data []byte) {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := errors.Join(os.WriteFile(file, data, 0o600), os.Rename(file, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	write("a.png", encodePNG(t, gradient(24, 16)))
	await(24)
	write("b.jpg", encodeJPEG(t, gradient(32, 16)))
	await(32)
	await(24)
	for _, name := range []string{"a.png", "b.jpg"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		for range sizes { // what was on its way
		}
	}()
	err := testenv.Receive(t, "the end", done)
	close(sizes)
	if err == nil || !strings.HasPrefix(err.Error(), "path: "+dir+": ") {
		t.Errorf("an emptied folder: %v", err)
	}
}

// TestPicturesAreReadOnce until they change; those that are gone are forgotten.
func TestPicturesAreReadOnce(t *testing.T) {
	dir := folder(t, map[string][]byte{"a.png": encodePNG(t, gradient(16, 16)), "b.jpg": encodeJPEG(t, gradient(16, 16))})
	g := &picturesGrabber{cfg: &PicturesConfig{Path: dir}}
	load := func(name string) Frame {
		t.Helper()
		f, err := g.load(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := load("a.png"), load("b.jpg")
	if &load("a.png").Data[0] != &a.Data[0] || &load("b.jpg").Data[0] != &b.Data[0] || g.keptBytes != len(a.Data)+len(b.Data) {
		t.Errorf("read again; %d bytes kept", g.keptBytes)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.png"), encodePNG(t, gradient(24, 24)), 0o600); err != nil {
		t.Fatal(err)
	}
	if a = load("a.png"); a.Width != 24 || g.keptBytes != len(a.Data)+len(b.Data) {
		t.Errorf("a changed file is %d pixels wide; %d bytes kept", a.Width, g.keptBytes)
	}
	if err := os.Remove(filepath.Join(dir, "b.jpg")); err != nil {
		t.Fatal(err)
	}
	if _, err := g.list(); err != nil || len(g.kept) != 1 || g.keptBytes != len(a.Data) {
		t.Errorf("%v, %d pictures of %d bytes kept", err, len(g.kept), g.keptBytes)
	}
	g.keptBytes = maxKeptBytes // as of many pictures
	if err := os.WriteFile(filepath.Join(dir, "c.png"), encodePNG(t, gradient(24, 24)), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := load("c.png"); c.Width != 24 || len(g.kept) != 1 || &load("c.png").Data[0] == &c.Data[0] {
		t.Errorf("%d pictures kept beyond the limit", len(g.kept))
	}
}

func TestPicturesRefused(t *testing.T) {
	empty := folder(t, nil)
	text := filepath.Join(folder(t, map[string][]byte{"a.txt": []byte("x")}), "a.txt")
	unreadable := folder(t, nil)
	if err := os.Symlink("/nowhere", filepath.Join(unreadable, "a.jpg")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		empty: "path: " + empty + ": the folder holds no picture (.jpg, .jpeg or .png)", "/none/x.jpg": "path: stat /none/x.jpg: no such file or directory",
		unreadable: "path: " + unreadable + ": none of the pictures there can be read", "/dev/null": "path: /dev/null: none of the pictures there can be read",
	} {
		src := (&PicturesConfig{Path: path, RateHz: 100, Loop: true}).Source("camera").(*VideoSource)
		src.Detector = seesAll(nil)
		err := src.Run(t.Context(), newClockSink())
		if _, ok := errors.AsType[*setting.Problem](err); !ok || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	// One file is taken for what it holds, whatever it is called.
	src := (&PicturesConfig{Path: text, RateHz: 100}).Source("camera").(*VideoSource)
	src.Detector, src.EveryPicture = seesAll(nil), true
	sink := newClockSink()
	if err := src.Run(t.Context(), sink); !errors.Is(err, ErrEnded) || sink.counts[string(BadImage)] != 1 {
		t.Errorf("%v, counts %v", err, sink.counts)
	}
	for want, cfg := range map[string]PicturesConfig{
		"path: empty":                  {RateHz: 1},
		"rate_hz: 0 is out of range":   {Path: "x"},
		"max_rate_hz: -1 is out of":    {Path: "x", RateHz: 1, MaxRateHz: -1},
		"rate_hz: 1000 is out of rang": {Path: "x", RateHz: 1000},
	} {
		if found := cfg.Check(); len(found) != 1 || !strings.HasPrefix(found[0].Error(), want) {
			t.Errorf("got %v, want %s", found, want)
		}
	}
}

// TestPicturesEveryOne: who waits for each picture need not wait for the rate.
func TestPicturesEveryOne(t *testing.T) {
	dir := folder(t, map[string][]byte{"a.jpg": encodeJPEG(t, gradient(16, 16)), "b.jpg": encodeJPEG(t, gradient(16, 16)), "c.jpg": encodeJPEG(t, gradient(16, 16))})
	synctest.Test(t, func(t *testing.T) {
		src := (&PicturesConfig{Path: dir, RateHz: 0.001, MaxRateHz: 1}).Source("camera").(*VideoSource)
		src.Detector, src.EveryPicture = seesAll(nil), true
		sink := newClockSink()
		if err := src.Run(t.Context(), sink); !errors.Is(err, ErrEnded) || len(sink.samples) != 3 || time.Since(sink.start) > 0 {
			t.Errorf("%v, %d samples, after %v", err, len(sink.samples), time.Since(sink.start))
		}
	})
}

// TestPicturesComeAndGo many times, as a medium that is pulled out does, and
// leave nothing behind; what they show reaches no error and no file.
func TestPicturesComeAndGo(t *testing.T) {
	cycles := 10
	if testenv.Full() {
		cycles = 100
	}
	const marker = "PRIVATE-PICTURE"
	private := insert(t, encodeJPEG(t, gradient(16, 16)), markSOF0, "\xff\xfe\x00\x11"+marker)
	dir := folder(t, map[string][]byte{"a.jpg": private, "b.jpg": private[:len(private)-80], "c.png": append(pngOfSize(t, 4, 4)[:40], marker...)})
	work := t.TempDir()
	t.Chdir(work)
	t.Setenv("TMPDIR", work)
	src := (&PicturesConfig{Path: dir, RateHz: 100, Loop: true}).Source("camera").(*VideoSource)
	src.Detector = seesAll(nil)
	samples := make(chan *sensors.Sample, 1)
	sup := sensors.NewSupervisor("camera", modality.Camera, src, sensors.SupervisorConfig{}, newClockSink(), func(x *sensors.Sample) {
		select {
		case samples <- x:
		default:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = sup.Run(ctx) }()
	testenv.Receive(t, "a sample", samples)
	testenv.Wait(t, "the bad pictures", func() bool {
		x := sup.Snapshot()
		return x.Outcomes[string(ImageCut)] > 0 && x.Outcomes[string(BadImage)] > 0
	})
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	var slowest time.Duration
	for range cycles {
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, "the source's failure", func() bool { return sup.Snapshot().State == sensors.Down })
		for len(samples) > 0 {
			<-samples
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		plugged := time.Now()
		x := testenv.Receive(t, "a sample", samples)
		slowest = max(slowest, time.Since(plugged))
		snap := sup.Snapshot()
		if seen := fmt.Sprintf("%+v %+v %+v", x, x.Keypoints, snap); strings.Contains(seen, marker) || !strings.Contains(snap.LastError, dir) {
			t.Fatalf("says %s", seen)
		}
	}
	testenv.Wait(t, "goroutines and descriptors as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files
	})
	t.Logf("back after at most %v", slowest)
	cancel()
	testenv.Receive(t, "the end", done)
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestPNGPixels: what a PNG holds is what the detector sees.
func TestPNGPixels(t *testing.T) {
	colours := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	for i, c := range []color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {200, 100, 50, 128}, {9, 9, 9, 0}, {1, 2, 3, 255}} {
		colours.SetNRGBA(i%3, i/3, c)
	}
	grey16 := image.NewGray16(image.Rect(0, 0, 2, 1))
	grey16.SetGray16(0, 0, color.Gray16{Y: 0xABCD})
	var d decoder
	for name, img := range map[string]image.Image{"colours": colours, "grey": grey16} {
		f, err := decodePNG(encodePNG(t, img))
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.decode(&f)
		if err != nil {
			t.Fatal(err)
		}
		want := image.NewRGBA(img.Bounds())
		draw.Draw(want, want.Rect, image.Black, image.Point{}, draw.Src)
		draw.Draw(want, want.Rect, img, image.Point{}, draw.Over)
		for y := range want.Rect.Dy() {
			for x := range want.Rect.Dx() {
				a, b := got.At(x, y).(color.RGBA), want.RGBAAt(x, y)
				if a.R != b.R || a.G != b.G || a.B != b.B {
					t.Errorf("%s: pixel %d, %d is %v, want %v", name, x, y, a, b)
				}
			}
		}
	}
	whole := encodePNG(t, gradient(40, 30))
	for n := range len(whole) {
		if _, err := decodePNG(whole[:n]); loadOutcome(err) != string(ImageCut) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := d.decode(&Frame{Encoding: RGBA, Width: 2, Height: 2, Data: make([]byte, 15)}); loadOutcome(err) != string(ImageCut) {
		t.Errorf("pixels cut: %v", err)
	}
}

// TestPicturesOfDebian reads what the demonstration shows.
func TestPicturesOfDebian(t *testing.T) {
	for path, size := range map[string]image.Point{
		testenv.OpenCVPicture(t, "basketball1.png"):  {640, 480},
		testenv.OpenCVPicture(t, "messi5.jpg"):       {548, 342},
		testenv.ScikitPicture(t, "astronaut.png"):    {512, 512},
		testenv.OpenCVPicture(t, "box_in_scene.png"): {512, 384},
	} {
		sizes := make(chan image.Point, 1)
		src := (&PicturesConfig{Path: path, RateHz: 1}).Source("camera").(*VideoSource)
		src.Detector, src.EveryPicture = seesAll(sizes), true
		if err := src.Run(t.Context(), newClockSink()); !errors.Is(err, ErrEnded) {
			t.Fatal(err)
		}
		if got := testenv.Receive(t, "a picture", sizes); got != size {
			t.Errorf("%s: %v, want %v", path, got, size)
		}
	}
}
