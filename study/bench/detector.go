package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures to measure on
	"image/png"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"

	"posefuse/model/keypoint"
)

// Detector measures the error of the camera's keypoint detector in the units of
// the simulator's camera, so that the simulator can have the same.
type Detector struct {
	Files     []string `arg:"" placeholder:"FILE" help:"Pictures (.png, .jpg) and films (with ffmpeg) of people."`
	Reference string   `placeholder:"FILE" required:"" help:"A better model to hold it against: movenet-thunder.safetensors (make thunder)."`
	Frames    int      `default:"300" help:"Frames of a film, and steps of the camera's way over a picture."`
	JSON      bool     `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (Detector) Help() string {
	return "Errors are distances from the reference's joints, of joints that it is sure of, in units of COCO's\n" +
		"constant of the joint times the root of the person's area. A picture becomes a film by a camera that\n" +
		"pans and zooms over it by known amounts; what the joints move beyond these is the detector's noise.\n\n" +
		"Example:\n\n  posefuse bench detector basketball1.png vtest.avi --reference bin/movenet-thunder.safetensors"
}

// detectorRow is what was found on one file, and on all.
type detectorRow struct {
	File   string `json:"file"`
	Frames int    `json:"frames"`
	Joints int    `json:"joints"` // compared
	// Core is the standard deviation per axis of a normal distribution with the
	// median error; Over are the shares of errors beyond 2, 4 and 8 times it,
	// of which a normal one has 13.5 %, 0.03 % and none.
	Core        float64    `json:"core"`
	Over        [3]float64 `json:"over"`
	Correlation float64    `json:"correlation"` // of the error of one frame with the next's
	Inverted    float64    `json:"inverted"`    // share of pairs, left and right exchanged
	// Motion is the standard deviation per axis around known motion, of
	// pictures; the error that stays the same is not in it.
	Motion      float64 `json:"motion"`
	ScoreSure   float64 `json:"score_sure"`   // median score of joints within 2 cores of the reference
	ScoreWrong  float64 `json:"score_wrong"`  // beyond 4 cores
	ScoreHidden float64 `json:"score_hidden"` // of joints whose score in the reference is below 0.2
}

// Run measures every file and prints.
func (c Detector) Run(ctx context.Context, out io.Writer) error {
	if c.Frames < 2 {
		return errors.New("--frames: want at least 2")
	}
	var all noise
	t := newTable(out, c.JSON, "file", "frames", "joints", "core", "> 2 core", "> 4 core", "> 8 core", "correlation", "inverted", "motion", "score sure", "wrong", "hidden")
	add := func(r detectorRow) {
		percent := func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
		t.add(r, r.File, fmt.Sprint(r.Frames), fmt.Sprint(r.Joints), fmt.Sprintf("%.2f", r.Core), percent(r.Over[0]), percent(r.Over[1]), percent(r.Over[2]),
			fmt.Sprintf("%.2f", r.Correlation), percent(r.Inverted), fmt.Sprintf("%.3f", r.Motion), fmt.Sprintf("%.2f", r.ScoreSure), fmt.Sprintf("%.2f", r.ScoreWrong), fmt.Sprintf("%.2f", r.ScoreHidden))
	}
	for _, f := range c.Files {
		var n noise
		if err := c.file(ctx, f, &n); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		add(n.row(filepath.Base(f)))
		all.join(&n)
	}
	if len(c.Files) > 1 {
		add(all.row("all"))
	}
	return t.end()
}

func (c Detector) file(ctx context.Context, file string, n *noise) error {
	small, err := keypoint.New(keypoint.Options{})
	if err != nil {
		return err
	}
	large, err := keypoint.New(keypoint.Options{Model: c.Reference})
	if err != nil {
		return fmt.Errorf("--reference: %w", err)
	}
	look := func(img image.Image, from motion) error {
		a, err := small.Detect(img)
		if err != nil {
			return err
		}
		b, err := large.Detect(img)
		if err != nil {
			return err
		}
		n.add(&a, &b, from)
		return nil
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".png", ".jpg", ".jpeg":
		return c.picture(file, look)
	}
	return c.film(ctx, file, look)
}

// film hands over the frames of a film as ffmpeg decodes it.
func (c Detector) film(ctx context.Context, file string, look func(image.Image, motion) error) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-loglevel", "error", "-i", file, "-frames:v", fmt.Sprint(c.Frames), "-f", "image2pipe", "-c:v", "png", "-compression_level", "1", "-")
	var said strings.Builder
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err = cmd.Start(); err != nil {
		return fmt.Errorf("%w; apt install ffmpeg", err)
	}
	in := bufio.NewReader(pipe)
	for err == nil {
		var img image.Image
		if img, err = png.Decode(in); err == nil {
			err = look(img, motion{})
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		_ = cmd.Process.Kill() // it waits to hand over frames that nobody takes
		_ = cmd.Wait()
		return err
	}
	if err = cmd.Wait(); err != nil {
		return fmt.Errorf("ffmpeg: %w\n%s", err, said.String())
	}
	return nil
}

// motion is how a camera's view lies in a picture: picture = view/zoom + at. The
// zero value is no known motion.
type motion struct {
	at   [2]float64 // pixels of the picture
	zoom float64
}

// picture hands over what a camera sees that goes round over a picture, once in
// 30 frames, and zooms.
func (c Detector) picture(file string, look func(image.Image, motion) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	img, _, err := image.Decode(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	size := img.Bounds().Size()
	dst := image.NewRGBA(image.Rectangle{Max: size})
	w, h := float64(size.X), float64(size.Y)
	for i := range c.Frames {
		s := 2 * math.Pi * float64(i) / 30
		m := motion{zoom: 1 - 0.12*math.Sin(2*s)}
		m.at = [2]float64{w/2*(1-1/m.zoom) + 0.05*w*math.Sin(s), h/2*(1-1/m.zoom) + 0.02*h*math.Cos(s)}
		m.view(img, dst)
		if err := look(dst, m); err != nil {
			return err
		}
	}
	return nil
}

// view draws the view, black outside the picture.
func (m motion) view(src image.Image, dst *image.RGBA) {
	clear(dst.Pix)
	toView := f64.Aff3{m.zoom, 0, -m.at[0] * m.zoom, 0, m.zoom, -m.at[1] * m.zoom}
	draw.BiLinear.Transform(dst, toView, src, src.Bounds(), draw.Src, nil)
}
