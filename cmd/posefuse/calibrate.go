package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures of a board
	_ "image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"posefuse/calibration"
	"posefuse/sensors/camera"
	"posefuse/setting"
)

type calibrateCmd struct {
	Camera  calibrateCameraCmd  `cmd:"" help:"Find a camera's lens from pictures of a printed checkerboard."`
	Sensors calibrateSensorsCmd `cmd:"" help:"Find where camera, LiDAR and radar stand, from a person who walks about."`
	Board   calibrateBoardCmd   `cmd:"" help:"Write the checkerboard, to be printed."`
}

// Help shows the command's example.
func (calibrateCmd) Help() string {
	return "Example:\n\n  posefuse calibrate board --out board.pdf\n  posefuse calibrate camera /dev/video0"
}

// boardFlags say which board is used.
type boardFlags struct {
	Columns int `default:"9" placeholder:"N" help:"Inner corners of the board, where four squares meet, to the right: one less than squares."`
	Rows    int `default:"6" placeholder:"N" help:"Inner corners downwards."`
}

type calibrateBoardCmd struct {
	boardFlags
	SquareMM float64 `name:"square-mm" default:"25" placeholder:"MM" help:"Side of a square, millimetres."`
	Out      string  `required:"" placeholder:"FILE" help:"FILE.pdf or FILE.svg, A4 landscape."`
}

// Help shows the command's example.
func (calibrateBoardCmd) Help() string {
	return "Print it at 100 % and glue it to something flat and stiff.\n\n" +
		"Example:\n\n  posefuse calibrate board --out board.pdf"
}

// Run writes the board.
func (c calibrateBoardCmd) Run() error {
	b := calibration.Board{Columns: c.Columns, Rows: c.Rows, SquareM: c.SquareMM / 1000}
	var page []byte
	var err error
	switch strings.ToLower(filepath.Ext(c.Out)) {
	case ".pdf":
		page, err = b.PDF()
	case ".svg":
		page, err = b.SVG()
	default:
		return fmt.Errorf("--out %s: name a file that ends in .pdf or .svg", c.Out)
	}
	if err != nil {
		return fmt.Errorf("calibrate board: %w; see --columns, --rows and --square-mm", err)
	}
	if err := renameio.WriteFile(c.Out, page, 0o644); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	fmt.Printf("%s: print it at 100 %%, glue it to something flat and stiff, then\n  posefuse calibrate camera --columns %d --rows %d CAMERA\n", c.Out, c.Columns, c.Rows)
	return nil
}

// viewsOf returns the board in each picture: files and folders of them, or the
// chosen ones of a camera or film. What is wrong with a picture is in unusable.
func (c calibrateCameraCmd) viewsOf(ctx context.Context, b calibration.Board) (views []calibration.View, unusable []unusablePicture, err error) {
	files, err := pictureFiles(c.Camera)
	if err != nil {
		return nil, nil, err
	}
	if files == nil {
		return c.watch(ctx, b)
	}
	bar := newProgress("looking")
	defer bar.done()
	for i, file := range files {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		img, err := readPictureFile(file)
		if err == nil {
			var v calibration.View
			if v, err = calibration.Find(filepath.Base(file), img, b); err == nil {
				views = append(views, v)
			}
		}
		if err != nil {
			unusable = append(unusable, unusablePicture{filepath.Base(file), err})
		}
		bar.show(float64(i+1)/float64(len(files)), fmt.Sprintf(" · %d with the board", len(views)))
	}
	return views, unusable, nil
}

// unusablePicture is one without the board, and why.
type unusablePicture struct {
	name string
	err  error
}

// pictureFiles returns the pictures that the arguments name, nil if they name one
// camera or film.
func pictureFiles(args []string) ([]string, error) {
	var files []string
	for _, a := range args {
		info, err := os.Stat(a)
		ending := slices.Contains(pictureEndings, strings.ToLower(filepath.Ext(a)))
		switch {
		case err == nil && info.IsDir():
			entries, readErr := os.ReadDir(a)
			if readErr != nil {
				return nil, readErr
			}
			before := len(files)
			for _, e := range entries {
				if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && slices.Contains(pictureEndings, strings.ToLower(filepath.Ext(e.Name()))) {
					files = append(files, filepath.Join(a, e.Name()))
				}
			}
			if len(files) == before {
				return nil, fmt.Errorf("%s: the folder holds no picture (.jpg, .jpeg or .png)", a)
			}
		case err == nil && info.Mode().IsRegular() && ending:
			files = append(files, a)
		case errors.Is(err, fs.ErrNotExist) && ending && !strings.Contains(a, "://"):
			return nil, fmt.Errorf("%s: there is no such picture", a)
		case len(args) > 1:
			return nil, fmt.Errorf("%s: name one camera or film, or pictures and folders of them", a)
		default:
			return nil, nil
		}
	}
	return files, nil
}

// readPictureFile reads a JPEG or PNG.
func readPictureFile(file string) (image.Image, error) {
	f, err := setting.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	size, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, fmt.Errorf("no JPEG or PNG: %w", err)
	}
	if size.Width*size.Height > camera.MaxPixels {
		return nil, fmt.Errorf("%d x %d pixels, at most %d in all", size.Width, size.Height, camera.MaxPixels)
	}
	if _, err = f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	return img, err
}
