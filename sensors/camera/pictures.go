package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"posefuse/sensors"
	"posefuse/setting"
)

// PicturesConfig describes a folder of pictures, or one picture, that is shown
// as if a camera took them.
type PicturesConfig struct {
	Path      string  `yaml:"path"`        // a folder, whose .jpg, .jpeg and .png are shown in the order of their names, or one file
	RateHz    float64 `yaml:"rate_hz"`     // pictures a second
	Loop      bool    `yaml:"loop"`        // start over behind the last one
	MaxRateHz float64 `yaml:"max_rate_hz"` // pictures looked at per second; 0 is all
}

// NewPicturesConfig returns the defaults.
func NewPicturesConfig() *PicturesConfig {
	return &PicturesConfig{Path: "./pictures", RateHz: 10, Loop: true, MaxRateHz: defaultMaxRateHz}
}

// Check implements sensors.Settings.
func (c *PicturesConfig) Check() setting.Problems {
	var p setting.Problems
	if c.Path == "" {
		p.Add("path", "empty; name a folder of pictures, or one picture")
	}
	p.Between("rate_hz", c.RateHz, 0.001, 240)
	p.Between("max_rate_hz", c.MaxRateHz, 0, 240)
	return p
}

// Files implements sensors.FileSettings.
func (c *PicturesConfig) Files() map[string]string { return map[string]string{"path": c.Path} }

// Source implements sensors.Settings. It returns a *VideoSource.
func (c *PicturesConfig) Source(name string) sensors.Source {
	return &VideoSource{name: name, maxHz: c.MaxRateHz, grabber: &picturesGrabber{cfg: c}}
}

const (
	outcomeUnreadable = "unreadable" // a file that could be opened or read no more
	// maxPNGPixels bounds a PNG, which takes up to 12 bytes a pixel here.
	maxPNGPixels = MaxPixels / 4
	// maxKeptBytes bounds the pictures that are not read anew each time.
	maxKeptBytes = 64 << 20
)

// picturesGrabber shows pictures from files.
type picturesGrabber struct {
	cfg   *PicturesConfig
	seq   uint64
	ended bool

	kept      map[string]keptPicture // by path
	keptBytes int
}

// keptPicture is a file's picture, ready to be shown again.
type keptPicture struct {
	size     int64 // of the file then, as its time
	modified time.Time
	frame    Frame
}

// grab implements grabber.
func (g *picturesGrabber) grab(ctx context.Context, in *intake) error {
	// Like an ended film the folder stays at its end when it is run again.
	for steps := newPace(g.cfg.RateHz); !g.ended; g.ended = !g.cfg.Loop {
		files, err := g.list()
		if err != nil {
			return err
		}
		shown := 0
		for _, file := range files {
			// Who waits for every picture need not wait for the time, too.
			if in.taken == nil && !steps.wait(ctx) || ctx.Err() != nil {
				return nil //nolint:nilerr // ended by the caller
			}
			now := in.sink.NowNS()
			kept, err := g.load(file)
			if err != nil {
				in.sink.Count(loadOutcome(err), 1)
				continue
			}
			f := kept
			f.Seq, f.ReceiveNS, f.Data = g.seq, now, append(in.buffer(), kept.Data...)
			in.put(f)
			g.seq++
			shown++
		}
		if shown == 0 {
			return problem("path", fmt.Errorf("%s: none of the pictures there can be read", g.cfg.Path))
		}
	}
	return problem("loop", fmt.Errorf("%s: %w; with loop it starts over", g.cfg.Path, ErrEnded))
}

// list returns the files to show, and forgets pictures of others.
func (g *picturesGrabber) list() ([]string, error) {
	path := g.cfg.Path
	info, err := os.Stat(path)
	if err != nil {
		return nil, problem("path", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, problem("path", err)
	}
	var files []string
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && slices.Contains([]string{".jpg", ".jpeg", ".png"}, ext) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, problem("path", fmt.Errorf("%s: the folder holds no picture (.jpg, .jpeg or .png)", path))
	}
	for file := range g.kept {
		if _, there := slices.BinarySearch(files, file); !there {
			g.forget(file)
		}
	}
	return files, nil
}

func (g *picturesGrabber) forget(file string) {
	g.keptBytes -= len(g.kept[file].frame.Data)
	delete(g.kept, file)
}

// load returns the picture of a file, whose data is not to be changed. A PNG is
// decoded here, so once: that takes longer than to decode a JPEG.
func (g *picturesGrabber) load(file string) (Frame, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Frame{}, err
	}
	if k, ok := g.kept[file]; ok {
		if k.size == info.Size() && k.modified.Equal(info.ModTime()) {
			return k.frame, nil
		}
		g.forget(file)
	}
	data, err := readPicture(file, info)
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Encoding: JPEG, Data: data}
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		if f, err = decodePNG(data); err != nil {
			return Frame{}, err
		}
	}
	if g.keptBytes+len(f.Data) <= maxKeptBytes {
		if g.kept == nil {
			g.kept = map[string]keptPicture{}
		}
		g.kept[file] = keptPicture{info.Size(), info.ModTime(), f}
		g.keptBytes += len(f.Data)
	}
	return f, nil
}

// readPicture reads a file that may be a picture.
func readPicture(file string, info os.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() { // a pipe would hold up all
		return nil, fmt.Errorf("%s is no file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxImageBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxImageBytes {
		return nil, &ImageError{ImageLimit, fmt.Sprintf("more than %d bytes", maxImageBytes)}
	}
	return data, nil
}

// decodePNG returns the pixels of a PNG, over black where they are transparent.
func decodePNG(data []byte) (Frame, error) {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return Frame{}, pngError(err)
	}
	if err = checkSize(c.Width, c.Height); err != nil {
		return Frame{}, err
	}
	if c.Width*c.Height > maxPNGPixels {
		return Frame{}, &ImageError{ImageSize, fmt.Sprintf("%d x %d pixels, a PNG may have %d", c.Width, c.Height, maxPNGPixels)}
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return Frame{}, pngError(err)
	}
	pixels := image.NewRGBA(img.Bounds())
	draw.Draw(pixels, pixels.Rect, img, img.Bounds().Min, draw.Src)
	return Frame{Encoding: RGBA, Width: c.Width, Height: c.Height, Data: pixels.Pix}, nil
}

// What image/png says of a file that ends too early, inside its pixels.
var (
	errFewPixels error = png.FormatError("not enough pixel data")
	errPixelsEnd error = png.FormatError("unexpected EOF")
)

func pngError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errFewPixels) || errors.Is(err, errPixelsEnd) {
		return &ImageError{ImageCut, err.Error()}
	}
	return &ImageError{BadImage, err.Error()}
}

// loadOutcome is under which name a file without a picture is counted.
func loadOutcome(err error) string {
	if e, ok := errors.AsType[*ImageError](err); ok {
		return string(e.Reason)
	}
	return outcomeUnreadable
}
