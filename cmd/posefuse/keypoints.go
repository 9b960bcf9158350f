package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posefuse/pipeline"
	"posefuse/sensors"
	"posefuse/sensors/camera"
	"posefuse/setting"
)

type keypointsCmd struct {
	Camera   string `arg:"" name:"camera" placeholder:"DEVICE|URL|FILE" help:"A device such as /dev/video0, an http or rtsp address, a film, a picture or a folder of pictures."`
	Draw     string `placeholder:"DIR" help:"Write each picture with the figure drawn over it as DIR/000001.png and so on. Nothing else in posefuse writes pictures."`
	Detector string `default:"lightning" placeholder:"FILE" help:"Keypoint detector: lightning, which is in the program, or a weights file."`
	Frames   int    `placeholder:"N" help:"Stop after so many pictures; without it at the end, or with Ctrl-C."`
}

// Help shows the command's examples.
func (keypointsCmd) Help() string {
	return "Each picture with a person gives one line on standard output, in the format of\n" +
		"docs/formats/keypoints.md; the end of a film or folder ends the command. Pictures stay in\n" +
		"memory unless --draw asks for them.\n\n" +
		"Examples:\n\n" +
		"  posefuse keypoints film.mp4 > film.jsonl\n" +
		"  posefuse keypoints pictures/ --draw figures\n" +
		"  posefuse keypoints /dev/video0 | nc 127.0.0.1 7010    # into a daemon on another account or machine"
}

// Run prints the keypoints of each picture until they end.
func (c keypointsCmd) Run(ctx context.Context, out io.Writer) error {
	choice, err := chooseCamera(c.Camera)
	if err != nil {
		return err
	}
	if c.Frames < 0 {
		return fmt.Errorf("--frames %d: use a number of pictures above 0", c.Frames)
	}
	src, err := choice.source()
	if err != nil {
		return err
	}
	if c.Draw != "" {
		if err = os.MkdirAll(c.Draw, 0o750); err != nil {
			return fmt.Errorf("--draw: %w", err)
		}
	}
	if err = errors.Join(keepMemoryOutOfDumps(), withholdCapabilities()); err != nil {
		fmt.Fprintln(os.Stderr, "posefuse: note:", err)
	}
	found, err := pipeline.NewDetector(c.Detector)
	if err != nil {
		return fmt.Errorf("--detector: %w", err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	look := &looker{Detector: found, frames: c.Frames, folder: c.Draw, stop: stop, bar: newProgress("looking")}
	src.Detector = look
	lines := &lineSink{out: out, begin: time.Now(), ended: ctx.Done(), stop: stop, counts: map[string]uint64{}}
	err = src.Run(ctx, lines)
	look.bar.done()
	if look.pictures > 0 || total(lines.counts) > 0 {
		fmt.Fprintln(os.Stderr, look.summary(lines.counts))
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errEnough), errors.Is(err, camera.ErrEnded) && look.pictures > 0:
		return nil
	case errors.Is(err, camera.ErrEnded):
		return fmt.Errorf("camera %s: no picture could be read; a picture is a JPEG or PNG, a film what ffmpeg reads", choice.shown)
	case err != nil:
		return adviseCamera(choice.shown, err)
	default:
		return cause // interrupted, or a line or picture could not be written
	}
}

// adviseCamera says which camera failed, if its driver does not, and what to do.
func adviseCamera(shown string, err error) error {
	if !strings.Contains(err.Error(), shown) {
		err = fmt.Errorf("camera %s: %w", shown, err)
	}
	if p, ok := errors.AsType[*setting.Problem](err); ok && p.Key == "user" {
		return fmt.Errorf("%w, or write them into the address: SCHEME://USER:PASSWORD@HOST/PATH", err)
	}
	if step := sensors.NextStep(err); step != "" {
		return fmt.Errorf("%w; %s", err, step)
	}
	return err
}

// errEnough ends a command that has looked at as many pictures as it was to.
var errEnough = errors.New("enough pictures")

// looker counts what a detector sees and draws it. It implements
// camera.Detector.
type looker struct {
	camera.Detector
	frames int    // after which to stop; 0: never
	folder string // for drawings; "": none
	stop   context.CancelCauseFunc
	bar    *progress

	pictures, persons, others int
}

// Detect implements camera.Detector.
func (l *looker) Detect(img image.Image) (camera.Detection, error) {
	if l.frames > 0 && l.pictures >= l.frames {
		return camera.Detection{}, errEnough // the source has not stopped yet
	}
	d, err := l.Detector.Detect(img)
	if err != nil {
		l.stop(fmt.Errorf("picture %d: %w", l.pictures+1, err))
		return d, err
	}
	l.pictures++
	if d.Person {
		l.persons++
		if d.Keypoints.Others {
			l.others++
		}
	}
	if l.folder != "" {
		file := filepath.Join(l.folder, fmt.Sprintf("%06d.png", l.pictures))
		if err := writeFigure(file, img, &d); err != nil {
			l.stop(fmt.Errorf("--draw: %w", err))
			return d, err
		}
	}
	if l.frames > 0 {
		l.bar.show(float64(l.pictures)/float64(l.frames), "")
		if l.pictures == l.frames {
			l.stop(errEnough)
		}
	}
	return d, nil
}

// summary says what was seen and what was no picture.
func (l *looker) summary(counts map[string]uint64) string {
	s := fmt.Sprintf("%d pictures: a person in %d, nobody in %d", l.pictures, l.persons, l.pictures-l.persons)
	if l.others > 0 {
		s += fmt.Sprintf(", somebody else in %d", l.others)
	}
	if n := total(counts); n > 0 {
		s += fmt.Sprintf("; not looked at: %s", inWords(counts))
	}
	return s
}
