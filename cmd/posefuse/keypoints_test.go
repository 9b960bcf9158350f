package main

import (
	"bufio"
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // Debian's pictures
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"posefuse/internal/rtsptest"
	"posefuse/internal/testenv"
	"posefuse/sensors/camera"
)

// asJPEG returns a picture as a camera sends it.
func asJPEG(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// greyJPEG is a picture in which nobody is.
func greyJPEG(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 99
	}
	return asJPEG(t, img)
}

// runKeypoints runs the command and returns its lines and what it said.
func runKeypoints(t *testing.T, args ...string) (lines []camera.Message, said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"keypoints"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(&out)
	for s.Scan() {
		m, err := camera.Decode(s.Bytes())
		if err != nil {
			t.Errorf("%v: %s", err, s.Bytes())
		}
		lines = append(lines, m)
	}
	return lines, errs.String(), cmd.ProcessState.ExitCode()
}

// TestKeypointsOfAFolder: each picture with a person gives a line, and each
// picture a drawing; what is no picture is counted.
func TestKeypointsOfAFolder(t *testing.T) {
	folder, drawn := t.TempDir(), filepath.Join(t.TempDir(), "figures")
	b, err := os.ReadFile(testenv.OpenCVPicture(t, "basketball1.png"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "1.png"), b)
	writeFile(t, filepath.Join(folder, "2.jpg"), greyJPEG(t, 320, 240))
	writeFile(t, filepath.Join(folder, "3.jpg"), []byte("no picture"))
	b, err = os.ReadFile(testenv.OpenCVPicture(t, "messi5.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(folder, "4.jpg"), b)
	lines, said, code := runKeypoints(t, folder, "--draw", drawn)
	if code != 0 || len(lines) != 2 || !strings.Contains(said, "3 pictures: a person in 2, nobody in 1") || !strings.Contains(said, "; not looked at: 1 bad_image") {
		t.Fatalf("exit code %d, %d lines, said %s", code, len(lines), said)
	}
	if k := &lines[0].Keypoints; k.Width != 640 || k.Height != 480 || k.Score[0] < 0.3 {
		t.Errorf("first line %+v", lines[0])
	}
	if k := &lines[1].Keypoints; k.Width != 548 || k.Height != 342 || k.Score[0] < 0.3 {
		t.Errorf("second line %+v", lines[1])
	}
	if lines[1].CaptureNS <= lines[0].CaptureNS {
		t.Errorf("captured at %d, then at %d", lines[0].CaptureNS, lines[1].CaptureNS)
	}
	files, err := filepath.Glob(filepath.Join(drawn, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("drawn: %v, %v", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	img, _, err := image.Decode(f)
	if err != nil || img.Bounds().Dx() != 640 {
		t.Fatalf("%s: %v", files[0], err)
	}
	coloured := 0 // the picture itself is grey
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA); c.G > c.R+60 {
				coloured++
			}
		}
	}
	if coloured < 200 {
		t.Errorf("%d coloured pixels: no figure is drawn", coloured)
	}
}

// TestKeypointsOfAFilm: pedestrians of a film, as many pictures as asked for.
func TestKeypointsOfAFilm(t *testing.T) {
	rtsptest.FFmpeg(t)
	lines, said, code := runKeypoints(t, testenv.OpenCVPicture(t, "vtest.avi"), "--frames", "20")
	if code != 0 || len(lines) < 15 || !strings.Contains(said, "20 pictures: ") {
		t.Fatalf("exit code %d, %d lines, said %s", code, len(lines), said)
	}
	for i := range lines {
		if k := &lines[i].Keypoints; k.Width != 768 || k.Height != 576 || i > 0 && (lines[i].CaptureNS <= lines[i-1].CaptureNS || lines[i].Seq <= lines[i-1].Seq) {
			t.Fatalf("line %d: %+v", i, lines[i])
		}
	}
}

// TestKeypointsSaysWhatIsWrong: the command ends with a reason and a next step.
func TestKeypointsSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	empty, broken := filepath.Join(folder, "empty"), filepath.Join(folder, "broken.jpg")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, broken, []byte("no picture"))
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"no such film":    {[]string{filepath.Join(folder, "film.mp4")}, []string{"there is no such file", "/dev/video0"}},
		"no picture":      {[]string{broken}, []string{"no picture could be read", "1 bad_image"}},
		"empty folder":    {[]string{empty}, []string{empty}},
		"no device":       {[]string{"/dev/video99"}, []string{"/dev/video99"}},
		"nobody answers":  {[]string{"http://admin:hunter2@" + testenv.FreeAddr(t) + "/video"}, []string{"check the sensor's power, cable and address"}},
		"no detector":     {[]string{broken, "--detector", "none.safetensors"}, []string{"--detector", "none.safetensors"}},
		"negative frames": {[]string{broken, "--frames=-1"}, []string{"--frames"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, said, code := runKeypoints(t, c.args...)
			if code != 1 || len(lines) > 0 {
				t.Errorf("exit code %d, %d lines", code, len(lines))
			}
			for _, w := range c.want {
				if !strings.Contains(said, w) {
					t.Errorf("lacks %q: %s", w, said)
				}
			}
			if strings.Contains(said, "hunter2") {
				t.Errorf("says the password: %s", said)
			}
		})
	}
}
