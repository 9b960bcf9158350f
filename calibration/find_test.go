package calibration

import (
	"errors"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"posefuse/frame"
	"posefuse/internal/testenv"
)

func picture(t testing.TB, name string) image.Image {
	t.Helper()
	f, err := os.Open(testenv.OpenCVPicture(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

var (
	a4Board  = Board{Columns: 9, Rows: 6, SquareM: 0.025}
	testLens = frame.Intrinsics{WidthPx: 640, HeightPx: 480, FxPx: 540, FyPx: 536, CxPx: 326, CyPx: 233, Distortion: []float64{-0.2, 0.08, 0.001, -0.0008, 0}}
)

// TestBoardIsFound draws boards far and near, tilted, blurred, in noise, uneven
// light and shade: every corner is found, to a small part of a pixel.
func TestBoardIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scene)
		within float64 // RMS, pixels
	}{
		"as it is":             {func(*scene) {}, 0.03},
		"turned upside down":   {func(s *scene) { s.cameraFromBoard = held(s.board, vec{0, 0, 0.45}, 5, 5, 180) }, 0.15}, // edges along the rows of pixels,
		"turned on its side":   {func(s *scene) { s.cameraFromBoard = held(s.board, vec{0, 0, 0.45}, 5, 5, 80) }, 0.03},
		"tilted by 45°":        {func(s *scene) { s.cameraFromBoard = held(s.board, vec{0, 0, 0.5}, 45, 0, 10) }, 0.05},
		"tilted by 50° aside":  {func(s *scene) { s.cameraFromBoard = held(s.board, vec{0, 0, 0.5}, 0, 50, 0) }, 0.08},
		"far: squares of 9 px": {func(s *scene) { s.cameraFromBoard = held(s.board, vec{0.2, 0.1, 1.5}, 10, 10, 20) }, 0.1},
		"in a corner":          {func(s *scene) { s.cameraFromBoard = held(s.board, vec{-0.28, -0.2, 0.8}, 20, -20, 0) }, 0.06},
		"blurred":              {func(s *scene) { s.blurPx = 3 }, 0.08},
		"noise":                {func(s *scene) { s.noise = 8 }, 0.1},
		"uneven light":         {func(s *scene) { s.gradient, s.noise = 0.8, 1 }, 0.05},
		"half in shade":        {func(s *scene) { s.shade, s.noise = true, 2 }, 0.25}, // the shadow's edge bends what it crosses
	} {
		s := scene{lens: testLens, board: a4Board, cameraFromBoard: held(a4Board, vec{0.01, 0.005, 0.45}, 12, -18, 7), blurPx: 0.6, seed: 1}
		c.change(&s)
		grey := s.render()
		pictures := map[string]image.Image{"grey": grey}
		if name == "as it is" {
			pictures["colour"] = coloured(grey)
		}
		for kind, img := range pictures {
			v, err := Find(name, img, a4Board)
			if err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
				continue
			}
			rms, shifted := s.off(&v)
			t.Logf("%s, %s: %d corners, RMS %.3f px", name, kind, len(v.Points), rms)
			if len(v.Points) < 50 || rms > c.within {
				t.Errorf("%s, %s: %d corners, off by %.3f px, want 54 within %v (board begins at its %s)", name, kind, len(v.Points), rms, c.within, shifted)
			}
		}
	}
}

// off returns how far a view's corners are from the truth, whichever of the two
// ends of the board they begin at.
func (s *scene) off(v *View) (rms float64, from string) {
	best := math.Inf(1)
	for _, end := range []string{"upper left", "lower right"} {
		sum := 0.0
		for _, p := range v.Points {
			col, row := p.Column, p.Row
			if end == "lower right" {
				col, row = s.board.Columns-1-col, s.board.Rows-1-row
			}
			x, y := s.corner(col, row)
			sum += (p.X-x)*(p.X-x) + (p.Y-y)*(p.Y-y)
		}
		if r := math.Sqrt(sum / float64(len(v.Points))); r < best {
			best, from = r, end
		}
	}
	return best, from
}

// TestPicturesWithoutTheBoard: what is wrong is told apart.
func TestPicturesWithoutTheBoard(t *testing.T) {
	s := scene{lens: testLens, board: a4Board, cameraFromBoard: held(a4Board, vec{0, 0, 0.5}, 10, 10, 0), blurPx: 0.6}
	board := s.render()
	near := s
	near.cameraFromBoard = held(a4Board, vec{0.12, 0, 0.35}, 10, 10, 0)
	noise := image.NewGray(image.Rect(0, 0, 640, 480))
	r := rand.New(rand.NewPCG(3, 1))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(r.IntN(256))
	}
	for name, c := range map[string]struct {
		img   image.Image
		board Board
		want  error
	}{
		"grey":                  {image.NewGray(image.Rect(0, 0, 640, 480)), a4Board, ErrNoBoard},
		"noise":                 {noise, a4Board, ErrNoBoard},
		"tiny":                  {image.NewGray(image.Rect(0, 0, 8, 8)), a4Board, ErrNoBoard},
		"empty":                 {image.NewGray(image.Rect(0, 0, 0, 0)), a4Board, ErrNoBoard},
		"a smaller one is told": {board, Board{Columns: 7, Rows: 5, SquareM: 1}, ErrOtherBoard},
		"a larger one is told":  {board, Board{Columns: 11, Rows: 8, SquareM: 1}, ErrCutOff},
		"cut off":               {near.render(), a4Board, ErrCutOff},
	} {
		v, err := Find(name, c.img, c.board)
		if !errors.Is(err, c.want) || v.Points != nil {
			t.Errorf("%s: error %v and %d corners, want %v", name, err, len(v.Points), c.want)
		}
	}
	for _, name := range []string{"messi5.jpg", "fruits.jpg", "home.jpg"} {
		if v, err := Find(name, picture(t, name), a4Board); err == nil {
			t.Errorf("%s holds a board: %+v", name, v)
		}
	}
}

// TestBoardIsFoundInRealPictures: all 26 pictures of OpenCV's stereo example.
func TestBoardIsFoundInRealPictures(t *testing.T) {
	for _, side := range []string{"left", "right"} {
		for _, name := range openCVNames(side) {
			if v, err := Find(name, picture(t, name), a4Board); err != nil || len(v.Points) < 52 {
				t.Errorf("%s: %d corners, %v", name, len(v.Points), err)
			}
		}
	}
}

// FuzzFind: no picture breaks the search.
func FuzzFind(f *testing.F) {
	s := scene{lens: testLens, board: a4Board, cameraFromBoard: held(a4Board, vec{0, 0, 0.5}, 10, 10, 0)}
	img := s.render()
	f.Add(img.Pix[640*100:640*300], uint16(640))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, pix []byte, width uint16) {
		w := int(width)
		h := 0
		if w > 0 {
			h = len(pix) / w
		}
		g := &image.Gray{Pix: pix[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
		v, err := Find("fuzz", g, a4Board)
		if err == nil && len(v.Points) < 40 {
			t.Errorf("%d corners are a board", len(v.Points))
		}
		for _, p := range v.Points {
			if p.X < 0 || p.Y < 0 || p.X > float64(w) || p.Y > float64(h) || p.Column >= 9 || p.Row >= 6 || p.Column < 0 || p.Row < 0 {
				t.Errorf("corner %+v of a picture of %d x %d", p, w, h)
			}
		}
	})
}
