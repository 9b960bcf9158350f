package keypoint

import (
	"context"
	"encoding/binary"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"posefuse/internal/testenv"
)

// scripts is the folder of the programs that drive ONNX Runtime.
const scripts = "../../study/bench/ort"

// published is MoveNet as its packages have it.
const published = "convert/node_modules/@vladmandic/human/models/movenet-lightning.json"

// runtime is MoveNet in ONNX Runtime, translated from the published graph
// operation by operation: it shares no line with this package.
type runtime struct{ model string }

func newRuntime(t *testing.T) runtime {
	t.Helper()
	for _, c := range []struct{ path, target string }{{filepath.Join(scripts, "node_modules/onnxruntime-node"), "need-ort"}, {published, "weights"}} {
		if _, err := os.Stat(c.path); err != nil {
			testenv.LeaveOut(t, "no ONNX Runtime, "+err.Error()+": run make "+c.target)
		}
	}
	r := runtime{filepath.Join(t.TempDir(), "movenet.onnx")}
	r.node(t, "movenet.mjs", "--graph", published, "--out", r.model)
	return r
}

func (runtime) node(t *testing.T, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join(scripts, script)}, args...)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, msg)
	}
}

// keypoints runs the model on what a network sees.
func (r runtime) keypoints(t *testing.T, input []uint8) (out [numKeypoints]Keypoint) {
	t.Helper()
	dir := t.TempDir()
	var b []byte
	for _, v := range input {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	if err := os.WriteFile(filepath.Join(dir, "input.f32"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	r.node(t, "run.mjs", "--model", r.model, "--inputs", dir, "--outputs", dir)
	b, err := os.ReadFile(filepath.Join(dir, "keypoints.f32"))
	if err != nil || len(b) != 4*3*numKeypoints {
		t.Fatalf("%d bytes of keypoints: %v", len(b), err)
	}
	at := func(i int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))) }
	for i := range out {
		out[i] = Keypoint{X: at(3*i + 1), Y: at(3 * i), Score: at(3*i + 2)}
	}
	return out
}

// picture reads a file.
func picture(t testing.TB, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

// people are pictures of people, and who took care of them: Debian's opencv-doc
// and python3-skimage.
func people(t testing.TB) map[string]image.Image {
	return map[string]image.Image{
		"basketball1.png": picture(t, testenv.OpenCVPicture(t, "basketball1.png")),
		"messi5.jpg":      picture(t, testenv.OpenCVPicture(t, "messi5.jpg")),
		"astronaut.png":   picture(t, testenv.ScikitPicture(t, "astronaut.png")),
		"camera.png":      picture(t, testenv.ScikitPicture(t, "camera.png")),
	}
}

func newDetector(t testing.TB) *Detector {
	t.Helper()
	d, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestEqualsONNXRuntime holds the network against ONNX Runtime on the same
// graph and the same input: real pictures, whole and cropped, and noise.
func TestEqualsONNXRuntime(t *testing.T) {
	r := newRuntime(t)
	d := newDetector(t)
	compare := func(name string) {
		t.Helper()
		got, want := d.net.run(), r.keypoints(t, d.net.input)
		var place, score float64
		for i := range want {
			place = max(place, math.Abs(got[i].X-want[i].X), math.Abs(got[i].Y-want[i].Y))
			score = max(score, math.Abs(got[i].Score-want[i].Score))
		}
		t.Logf("%s: places differ by at most %.1e of the side, scores by %.1e", name, place, score)
		if !(place <= 1e-3) || !(score <= 1e-3) {
			t.Errorf("%s: places differ by %g of the side, scores by %g", name, place, score)
		}
	}
	for name, img := range people(t) {
		d.Reset()
		if _, err := d.Detect(img); err != nil {
			t.Fatal(err)
		}
		for _, r := range []region{whole(img.Bounds().Dx(), img.Bounds().Dy()), d.region} {
			d.sampler.sample(img, r, d.net.input)
			compare(name)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range d.net.input {
		d.net.input[i] = uint8(rng.Uint32())
	}
	compare("noise")
	clear(d.net.input)
	compare("black")
}
