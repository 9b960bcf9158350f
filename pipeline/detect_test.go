package pipeline

import (
	"errors"
	"image"
	_ "image/png" // Debian's pictures
	"os"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/sensors/camera"
)

// pictureOf returns one of the pictures of Debian's opencv-doc.
func pictureOf(t *testing.T, name string) image.Image {
	t.Helper()
	f, err := os.Open(testenv.OpenCVPicture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestDetectorSeesAPerson: the camera's detector gives the joints of the player
// in the middle of a picture, in its pixels, and none in an empty one.
func TestDetectorSeesAPerson(t *testing.T) {
	d, err := NewDetector("lightning")
	if err != nil {
		t.Fatal(err)
	}
	img := pictureOf(t, "basketball1.png")
	got, err := d.Detect(img)
	if err != nil || !got.Person {
		t.Fatalf("%+v, %v", got, err)
	}
	k := &got.Keypoints
	if nose, ankle := k.XY[0], k.XY[16]; k.Score[0] < 0.3 || k.Score[16] < 0.3 || nose[1] > ankle[1]-200 || ankle[1] > 480 {
		t.Errorf("nose %v (%.2f), right ankle %v (%.2f) of a standing player", nose, k.Score[0], ankle, k.Score[16])
	}
	d.Reset()
	empty, err := d.Detect(image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio420))
	if err != nil || empty.Person {
		t.Errorf("a picture of one colour: %+v, %v", empty, err)
	}
}

// TestDetectorModelIsNamed: a model that cannot be loaded is told with its key.
func TestDetectorModelIsNamed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Detector.Model = "nowhere.safetensors"
	if err := cfg.Sensors.Camera.Choose("v4l2", map[string]any{"device": "/dev/video0"}); err != nil {
		t.Fatal(err)
	}
	if !cfg.Sensors.TakesPictures() {
		t.Error("a video device takes no pictures")
	}
	_, err := New(Options{Config: cfg, Model: newFakeModel("fake")})
	if err == nil || !strings.Contains(err.Error(), "detector.model") || !strings.Contains(err.Error(), "nowhere.safetensors") {
		t.Error(err)
	}
	broken := errors.New("broken")
	if _, err = New(Options{Config: cfg, Model: newFakeModel("fake"), NewDetector: func(string) (camera.Detector, error) { return nil, broken }}); !errors.Is(err, broken) {
		t.Error(err)
	}
	cfg = DefaultConfig()
	if cfg.Sensors.TakesPictures() {
		t.Error("a keypoint port takes pictures")
	}
	if err := cfg.Sensors.Camera.Choose("v4l2", map[string]any{"devise": "x"}); err == nil || !strings.Contains(err.Error(), "devise") {
		t.Error(err)
	}
}
