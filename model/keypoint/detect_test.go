package keypoint

import (
	"image"
	"image/color"
	"io"
	"math"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"

	"posefuse/internal/testenv"
)

// TestFindsPeople holds the detector against joints as people see them in the
// pictures, pixels, and mean scores a little below what other programs reach
// with the same model and rule (TensorFlow.js 4.22: 0.68, 0.66, 0.38, 0.40).
func TestFindsPeople(t *testing.T) {
	const nose, leftWrist, leftAnkle, rightAnkle = 0, 9, 15, 16
	pictures := people(t)
	for name, c := range map[string]struct {
		score  float64
		others bool
		joints map[int][2]float64
	}{
		"basketball1.png": {0.64, true, map[int][2]float64{nose: {92, 118}, rightHip: {71, 278}, leftHip: {114, 276}, rightAnkle: {62, 454}, leftAnkle: {117, 441}}},
		"messi5.jpg":      {0.60, false, map[int][2]float64{nose: {245, 118}, leftShoulder: {275, 122}, rightShoulder: {194, 126}, leftWrist: {355, 160}}},
		"astronaut.png":   {0.36, false, map[int][2]float64{nose: {222, 121}, leftShoulder: {319, 274}, rightShoulder: {105, 262}}},
		"camera.png":      {0.36, false, nil},
	} {
		d := newDetector(t)
		p, err := d.Detect(pictures[name])
		if err != nil || !p.Found {
			t.Errorf("%s: found %t, %v", name, p.Found, err)
			continue
		}
		if s := p.Score(); s < c.score {
			t.Errorf("%s: mean score %.2f, want %.2f", name, s, c.score)
		}
		if p.Others != c.others {
			t.Errorf("%s: somebody else in view: %t", name, p.Others)
		}
		for j, at := range c.joints {
			if k := p.Keypoints[j]; math.Hypot(k.X-at[0], k.Y-at[1]) > 9 {
				t.Errorf("%s: joint %d at (%.0f, %.0f), want %v", name, j, k.X, k.Y, at)
			}
		}
	}
}

// TestNobody: pictures of things, of animals and of nothing hold nobody.
func TestNobody(t *testing.T) {
	d := newDetector(t)
	for _, name := range []string{"fruits.jpg", "building.jpg", "home.jpg", "baboon.jpg", "butterfly.jpg", "board.jpg", "box.png", "detect_blob.png", "WindowsLogo.jpg", "notes.png"} {
		d.Reset()
		if p, err := d.Detect(picture(t, testenv.OpenCVPicture(t, name))); err != nil || p.Found || p.Others {
			t.Errorf("%s: found %t with %.2f, others %t, %v", name, p.Found, p.Score(), p.Others, err)
		}
	}
	for _, name := range []string{"horse.png", "coffee.png", "chelsea.png"} {
		d.Reset()
		if p, err := d.Detect(picture(t, testenv.ScikitPicture(t, name))); err != nil || p.Found {
			t.Errorf("%s: found %t with %.2f, %v", name, p.Found, p.Score(), err)
		}
	}
	d.Reset()
	if p, err := d.Detect(image.NewGray(image.Rect(0, 0, 640, 480))); err != nil || p.Found {
		t.Errorf("black: %+v, %v", p, err)
	}
}

// TestPersonLeaves: once the person is gone the whole picture is searched again.
func TestPersonLeaves(t *testing.T) {
	person, empty := people(t)["basketball1.png"], image.NewGray(image.Rect(0, 0, 640, 480))
	d := newDetector(t)
	for step, c := range []struct {
		img  image.Image
		want bool
	}{{person, true}, {empty, false}, {empty, false}, {person, true}} {
		p, err := d.Detect(c.img)
		if err != nil || p.Found != c.want {
			t.Errorf("step %d: found %t, %v", step, p.Found, err)
		}
		if !c.want && d.region != whole(640, 480) {
			t.Errorf("step %d: looks at %+v", step, d.region)
		}
	}
}

// view draws what a camera sees of src from the point (dx, dy) on, zoomed in, on
// a canvas of its size.
func view(src image.Image, dx, dy, zoom float64) *image.RGBA {
	out := image.NewRGBA(image.Rectangle{Max: src.Bounds().Size()})
	draw.BiLinear.Transform(out, f64.Aff3{zoom, 0, -dx * zoom, 0, zoom, -dy * zoom}, src, src.Bounds(), draw.Src, nil)
	return out
}

// extent returns the longer side of the box around the sure joints.
func extent(p *Person) float64 {
	box := [2][2]float64{{math.Inf(1), math.Inf(-1)}, {math.Inf(1), math.Inf(-1)}}
	for _, k := range p.Keypoints {
		for axis, v := range []float64{k.X, k.Y} {
			if k.Score >= 0.5 {
				box[axis] = [2]float64{min(box[axis][0], v), max(box[axis][1], v)}
			}
		}
	}
	return max(box[0][1]-box[0][0], box[1][1]-box[1][0])
}

// TestKeypointsFollowTheCamera: a camera that pans and zooms over a picture by
// known amounts moves the sure joints by these amounts, within 1.5 % of the
// longer side of the person's box (the median over joints and steps).
func TestKeypointsFollowTheCamera(t *testing.T) {
	for _, name := range []string{"basketball1.png", "messi5.jpg"} {
		src := people(t)[name]
		w, h := float64(src.Bounds().Dx()), float64(src.Bounds().Dy())
		d := newDetector(t)
		var first Person
		for range 3 { // until the crop has settled
			p, err := d.Detect(src)
			if err != nil {
				t.Fatal(err)
			}
			first = p
		}
		var errs []float64
		const steps = 30
		for step := range steps {
			s := 2 * math.Pi * float64(step+1) / steps
			zoom := 1 - 0.12*math.Sin(2*s)
			dx, dy := w/2*(1-1/zoom)+30*math.Sin(s), h/2*(1-1/zoom)+10*math.Cos(s)
			p, err := d.Detect(view(src, dx, dy, zoom))
			if err != nil || !p.Found {
				t.Fatalf("%s, step %d: found %t, %v", name, step, p.Found, err)
			}
			side := zoom * extent(&first)
			for i, k := range first.Keypoints {
				if q := p.Keypoints[i]; k.Score >= 0.5 && q.Score >= 0.5 {
					errs = append(errs, math.Hypot(q.X-(k.X-dx)*zoom, q.Y-(k.Y-dy)*zoom)/side)
				}
			}
		}
		if len(errs) < 8*steps {
			t.Fatalf("%s: only %d joints in %d steps were sure", name, len(errs), steps)
		}
		slices.Sort(errs)
		median, most := errs[len(errs)/2], errs[len(errs)*9/10]
		t.Logf("%s: joints off by %.2f %% of the box (median), nine in ten by at most %.2f %%", name, 100*median, 100*most)
		if median > 0.015 || most > 0.05 {
			t.Errorf("%s: joints off by %.2f %% of the box, nine in ten by at most %.2f %%", name, 100*median, 100*most)
		}
	}
}

// TestFollowsAFilm: pedestrians ninety pixels high, a second's worth of whom the
// whole picture shows too small: with the crop rule their mean score is 0.5 at
// least.
func TestFollowsAFilm(t *testing.T) {
	film := testenv.OpenCVPicture(t, "vtest.avi")
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		testenv.LeaveOut(t, err.Error()+": apt install ffmpeg")
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-loglevel", "error", "-i", film, "-frames:v", "200", "-f", "rawvideo", "-pix_fmt", "yuvj420p", "-")
	raw, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	img := image.NewYCbCr(image.Rect(0, 0, 768, 576), image.YCbCrSubsampleRatio420)
	d := newDetector(t)
	var sum float64
	frames := 0
	for {
		for _, plane := range [][]uint8{img.Y, img.Cb, img.Cr} {
			if _, err = io.ReadFull(raw, plane); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
		p, err := d.Detect(img)
		if err != nil {
			t.Fatal(err)
		}
		sum += p.Score()
		frames++
	}
	if err := cmd.Wait(); err != nil || frames != 200 {
		t.Fatalf("%d frames, %v", frames, err)
	}
	t.Logf("mean score %.2f", sum/200)
	if sum/200 < 0.5 {
		t.Errorf("mean score %.2f with the crop rule, want 0.5", sum/200)
	}
}

// TestPicturesOfAnyForm: the same picture in the forms that cameras and files
// have gives the same keypoints.
func TestPicturesOfAnyForm(t *testing.T) {
	src := people(t)["basketball1.png"] // grey, so that no form loses colour
	b := src.Bounds()
	forms := map[string]draw.Image{"rgba": image.NewRGBA(b), "nrgba": image.NewNRGBA(b), "gray16": image.NewGray16(b), "moved": image.NewRGBA(b.Add(image.Pt(7, 5)))}
	pictures := map[string]image.Image{"file": src}
	for name, m := range forms {
		draw.Draw(m, m.Bounds(), src, b.Min, draw.Src)
		pictures[name] = m
	}
	for name, ratio := range map[string]image.YCbCrSubsampleRatio{"4:4:4": image.YCbCrSubsampleRatio444, "4:2:2": image.YCbCrSubsampleRatio422, "4:2:0": image.YCbCrSubsampleRatio420,
		"4:4:0": image.YCbCrSubsampleRatio440, "4:1:1": image.YCbCrSubsampleRatio411, "4:1:0": image.YCbCrSubsampleRatio410} {
		m := image.NewYCbCr(b, ratio)
		for y := range b.Dy() {
			for x := range b.Dx() {
				m.Y[m.YOffset(x, y)] = color.GrayModel.Convert(src.At(x, y)).(color.Gray).Y
			}
		}
		for i := range m.Cb {
			m.Cb[i], m.Cr[i] = 128, 128
		}
		pictures[name] = m
	}
	want, err := newDetector(t).Detect(src)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range pictures {
		got, err := newDetector(t).Detect(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, k := range got.Keypoints {
			if w := want.Keypoints[i]; math.Hypot(k.X-w.X, k.Y-w.Y) > 3 {
				t.Errorf("%s: joint %d at (%.1f, %.1f), want (%.1f, %.1f)", name, i, k.X, k.Y, w.X, w.Y)
			}
		}
	}
}

func TestColoursAreSampledRight(t *testing.T) {
	s := sampler{size: 8}
	to := make([]uint8, 8*8*3)
	colour := color.RGBA{200, 100, 30, 255}
	y, cb, cr := color.RGBToYCbCr(colour.R, colour.G, colour.B)
	rgba, ycc := image.NewRGBA(image.Rect(0, 0, 5, 3)), image.NewYCbCr(image.Rect(0, 0, 5, 3), image.YCbCrSubsampleRatio420)
	draw.Draw(rgba, rgba.Rect, image.NewUniform(colour), image.Point{}, draw.Src)
	for i := range ycc.Y {
		ycc.Y[i] = y
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = cb, cr
	}
	for name, img := range map[string]image.Image{"rgba": rgba, "ycbcr": ycc} {
		s.sample(img, whole(5, 3), to)
		for p := range 64 {
			got := to[3*p:][:3]
			row := p / 8
			inside := row >= 2 && row <= 5 // rows of 5/8 pixel from -1
			if !inside {
				if got[0]|got[1]|got[2] != 0 && (row < 1 || row > 6) {
					t.Errorf("%s: place %d is %v outside the picture", name, p, got)
				}
				continue
			}
			for i, want := range []uint8{colour.R, colour.G, colour.B} {
				if d := int(got[i]) - int(want); d < -2 || d > 2 {
					t.Errorf("%s: place %d is %v, want %v", name, p, got, colour)
				}
			}
		}
	}
}

// TestOddSizes: pictures of every shape are looked at without a fault.
func TestOddSizes(t *testing.T) {
	d := newDetector(t)
	if _, err := d.Detect(image.NewRGBA(image.Rectangle{})); err == nil {
		t.Error("a picture without pixels was looked at")
	}
	for _, size := range []image.Point{{1, 1}, {1, 1000}, {1000, 1}, {3, 2}, {191, 193}, {641, 479}, {4000, 3000}} {
		for _, img := range []image.Image{image.NewGray(image.Rectangle{Max: size}), image.NewYCbCr(image.Rectangle{Max: size}, image.YCbCrSubsampleRatio420)} {
			if p, err := d.Detect(img); err != nil || p.Found {
				t.Errorf("%v: found %t, %v", size, p.Found, err)
			}
		}
	}
}

func TestDetectAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	src := people(t)["messi5.jpg"]
	d := newDetector(t)
	if n := testenv.AllocsPerRun(30, func() {
		if _, err := d.Detect(src); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a picture", n)
	}
}

func BenchmarkDetect(b *testing.B) {
	src := people(b)["messi5.jpg"]
	d := newDetector(b)
	for b.Loop() {
		if _, err := d.Detect(src); err != nil {
			b.Fatal(err)
		}
	}
}
