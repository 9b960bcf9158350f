package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/frame"
	"posefuse/internal/testenv"
	"posefuse/pipeline"
)

// boardPictures returns the pictures of a board by OpenCV's left camera.
func boardPictures(t *testing.T) (files []string) {
	t.Helper()
	for _, i := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14} {
		files = append(files, testenv.OpenCVPicture(t, fmt.Sprintf("left%02d.jpg", i)))
	}
	return files
}

// TestCalibrateCameraGivesAConfiguration: what is printed is a configuration that
// the daemon takes, and its lens is OpenCV's.
func TestCalibrateCameraGivesAConfiguration(t *testing.T) {
	c := calibrateCameraCmd{Camera: boardPictures(t), boardFlags: boardFlags{Columns: 9, Rows: 6}, Views: 20}
	c.Camera = append(c.Camera, testenv.OpenCVPicture(t, "messi5.jpg"))
	var out bytes.Buffer
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	cfg, err := pipeline.ParseConfig(out.Bytes(), nil)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	checkOpenCVLens(t, cfg.Extrinsics.Camera)
	for _, want := range []string{"# 13 of 14 pictures used", "# standard deviations: fx ", "# not used: messi5.jpg: no checkerboard is seen", "# few or no corners there: upper left, lower left"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	c.JSON = true
	out.Reset()
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Intrinsics map[string]any     `json:"camera_intrinsics"`
		Deviation  map[string]float64 `json:"standard_deviation"`
		RMSPx      float64            `json:"rms_px"`
		Views      []map[string]any   `json:"views"`
		Unusable   map[string]string  `json:"unusable"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Intrinsics) != 7 || len(report.Deviation) != 9 || report.RMSPx > 0.3 || len(report.Views) != 13 || len(report.Unusable) != 1 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func checkOpenCVLens(t *testing.T, c *frame.Intrinsics) {
	t.Helper()
	if c == nil || c.WidthPx != 640 || c.HeightPx != 480 || c.FxPx < 530 || c.FxPx > 541 || c.FyPx < 530 || c.FyPx > 541 || c.CxPx < 335 || c.CxPx > 349 || c.Distortion[0] > -0.2 {
		t.Errorf("the lens is %+v", c)
	}
}

// TestCalibrateWatchesACamera: from a network camera before which the board is held
// here and there.
func TestCalibrateWatchesACamera(t *testing.T) {
	files := boardPictures(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := multipart.NewWriter(w)
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+parts.Boundary())
		// Each round holds the board for longer, for machines on which to look at a
		// picture takes long.
		for hold := 300 * time.Millisecond; ; hold *= 2 {
			for _, file := range files {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Error(err)
					return
				}
				for end := time.Now().Add(hold); time.Now().Before(end); {
					part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"image/jpeg"}})
					if err == nil {
						_, err = part.Write(b)
					}
					if err != nil || r.Context().Err() != nil {
						return
					}
					w.(http.Flusher).Flush()
					time.Sleep(25 * time.Millisecond)
				}
			}
		}
	}))
	defer server.Close()
	c := calibrateCameraCmd{Camera: []string{server.URL}, boardFlags: boardFlags{Columns: 9, Rows: 6}, Views: 8}
	var out bytes.Buffer
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	cfg, err := pipeline.ParseConfig(out.Bytes(), nil)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	checkOpenCVLens(t, cfg.Extrinsics.Camera)
	if !strings.Contains(out.String(), "# 8 of 8 pictures used") {
		t.Errorf("%s", out.String())
	}
}

// TestCalibrateBoardWritesASheet in both formats.
func TestCalibrateBoardWritesASheet(t *testing.T) {
	for name, begins := range map[string]string{"board.pdf": "%PDF-", "board.svg": "<svg "} {
		file := filepath.Join(t.TempDir(), name)
		c := calibrateBoardCmd{boardFlags: boardFlags{Columns: 9, Rows: 6}, SquareMM: 25, Out: file}
		out := printed(t, c.Run)
		if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), begins) || !strings.Contains(string(out), "--columns 9 --rows 6") {
			t.Errorf("%s: %v, printed %s", name, err, out)
		}
	}
}

// flatBoard returns the picture of a board of 9 x 6 inner corners that faces the
// camera.
func flatBoard(t *testing.T, width, height, side, left, top int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for y := range 7 * side {
		for x := range 10 * side {
			if (x/side+y/side)%2 == 0 {
				img.Pix[img.PixOffset(left+x, top+y)] = 0
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
