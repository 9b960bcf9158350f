package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/calibration"
	"posefuse/frame"
	"posefuse/sensors"
	"posefuse/sensors/camera"
)

type calibrateCameraCmd struct {
	Camera []string `arg:"" name:"camera" placeholder:"PICTURE|DIR|DEVICE|URL|FILM" help:"Pictures of the board and folders of them, or one camera or film, as posefuse keypoints takes it."`
	boardFlags
	Views int  `default:"20" placeholder:"N" help:"Of a camera: end after so many pictures that tell something new."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Help shows the command's examples.
func (calibrateCameraCmd) Help() string {
	return "Prints the block extrinsics.camera_intrinsics of the configuration, with what is known of\n" +
		"its accuracy as comments. Hold the board still in each place: near the camera and large,\n" +
		"in all corners of the picture, and tilted by 20 to 40 degrees each way. How large its squares\n" +
		"are does not matter, only that they are square and the board is flat. Use pictures of the size\n" +
		"that the daemon takes.\n\n" +
		"Examples:\n\n" +
		"  posefuse calibrate board --out board.pdf\n" +
		"  posefuse calibrate camera /dev/video0\n" +
		"  posefuse calibrate camera pictures/"
}

// Run finds the lens and prints it.
func (c calibrateCameraCmd) Run(ctx context.Context, out io.Writer) error {
	b := calibration.Board{Columns: c.Columns, Rows: c.Rows, SquareM: 1} // the lens does not depend on it
	if err := b.Validate(); err != nil {
		return fmt.Errorf("calibrate camera: %w; see --columns and --rows", err)
	}
	if c.Views < 3 {
		return fmt.Errorf("--views %d: at least 3 are needed, and 15 to 20 are good", c.Views)
	}
	views, unusable, err := c.viewsOf(ctx, b)
	if err != nil {
		return err
	}
	if err = noBoards(views, unusable); err != nil {
		return err
	}
	found, err := calibration.Calibrate(views, b)
	if err != nil {
		return fmt.Errorf("calibrate camera: %w%s", err, inPictures(unusable))
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(newCameraReport(found, unusable))
	}
	return printCamera(out, found, unusable)
}

// noBoards says why no picture could be used, if that is so.
func noBoards(views []calibration.View, unusable []unusablePicture) error {
	if len(views) > 0 || len(unusable) == 0 {
		return nil
	}
	for _, u := range unusable {
		if errors.Is(u.err, calibration.ErrOtherBoard) || errors.Is(u.err, calibration.ErrCutOff) {
			return fmt.Errorf("calibrate camera: %s: %w: give the inner corners of your board with --columns and --rows", u.name, u.err)
		}
	}
	return fmt.Errorf("calibrate camera: none of the %d pictures can be used; %s: %w", len(unusable), unusable[0].name, unusable[0].err)
}

// inPictures names the pictures that could not be used.
func inPictures(unusable []unusablePicture) string {
	var b strings.Builder
	for _, u := range unusable {
		fmt.Fprintf(&b, "; %s: %v", u.name, u.err)
	}
	return b.String()
}

// cameraReport is the result as JSON.
type cameraReport struct {
	Intrinsics map[string]any     `json:"camera_intrinsics"`
	Deviation  map[string]float64 `json:"standard_deviation"` // fx_px, ..., k1, ...
	*calibration.Camera
	Lacking  []string          `json:"lacking,omitempty"` // thirds of the picture
	Unusable map[string]string `json:"unusable,omitempty"`
}

var lensNames = [9]string{"fx_px", "fy_px", "cx_px", "cy_px", "k1", "k2", "p1", "p2", "k3"}

func newCameraReport(c *calibration.Camera, unusable []unusablePicture) *cameraReport {
	r := &cameraReport{Intrinsics: intrinsicsKeys(&c.Lens), Deviation: map[string]float64{}, Camera: c, Lacking: c.Lacking(), Unusable: map[string]string{}}
	for i, name := range lensNames {
		r.Deviation[name] = c.Deviation[i]
	}
	for _, u := range unusable {
		r.Unusable[u.name] = u.err.Error()
	}
	return r
}

// intrinsicsKeys returns intrinsics by the configuration's keys, rounded to what
// can matter.
func intrinsicsKeys(c *frame.Intrinsics) map[string]any {
	round := func(v, per float64) float64 { return math.Round(v*per) / per }
	distortion := make([]float64, len(c.Distortion))
	for i, v := range c.Distortion {
		distortion[i] = round(v, 1e6)
	}
	return map[string]any{"width_px": c.WidthPx, "height_px": c.HeightPx, "fx_px": round(c.FxPx, 1e3), "fy_px": round(c.FyPx, 1e3),
		"cx_px": round(c.CxPx, 1e3), "cy_px": round(c.CyPx, 1e3), "distortion": distortion}
}

// printCamera prints the block of the configuration under comments.
func printCamera(out io.Writer, c *calibration.Camera, unusable []unusablePicture) error {
	used := 0
	for _, v := range c.Views {
		if v.Used {
			used++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %d of %d pictures used, %d corners; RMS %.2f px, a corner is off by %.2f px per axis\n", used, len(c.Views)+len(unusable), c.Corners, c.RMSPx, c.CornerPx)
	d := &c.Deviation
	fmt.Fprintf(&b, "# standard deviations: fx %.2g, fy %.2g, cx %.2g, cy %.2g px; k1 %.2g, k2 %.2g, p1 %.2g, p2 %.2g, k3 %.2g\n", d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8])
	if len(c.Fixed) > 0 {
		fmt.Fprintf(&b, "# left at 0, for the pictures do not tell: %s\n", strings.Join(c.Fixed, ", "))
	}
	for _, u := range unusable {
		fmt.Fprintf(&b, "# not used: %s: %v\n", u.name, u.err)
	}
	for _, v := range c.Views {
		if !v.Used {
			fmt.Fprintf(&b, "# left out: %s: %s\n", v.Name, v.Reason)
		}
	}
	if lacking := c.Lacking(); len(lacking) > 0 {
		fmt.Fprintf(&b, "# few or no corners there: %s; hold the board into these parts of the picture\n", strings.Join(lacking, ", "))
	}
	doc, err := yaml.Marshal(map[string]any{"extrinsics": map[string]any{"camera_intrinsics": intrinsicsNode(&c.Lens)}})
	if err != nil {
		return err
	}
	b.Write(doc)
	_, err = io.WriteString(out, b.String())
	return err
}

// intrinsicsNode keeps the keys in the configuration's order.
func intrinsicsNode(c *frame.Intrinsics) *yaml.Node {
	keys := intrinsicsKeys(c)
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range []string{"width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px", "distortion"} {
		var v yaml.Node
		_ = v.Encode(keys[key]) // numbers
		if v.Kind == yaml.SequenceNode {
			v.Style = yaml.FlowStyle
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, &v)
	}
	return n
}

// boardWatch looks for the board in a camera's pictures. It implements
// camera.Detector and sensors.Sink.
type boardWatch struct {
	board  calibration.Board
	want   int
	stop   context.CancelCauseFunc
	bar    *progress
	begin  time.Time
	chosen calibration.Selector

	pictures, seen int
	last           error // why the newest picture without the board had none
}

// Detect implements camera.Detector.
func (w *boardWatch) Detect(img image.Image) (camera.Detection, error) {
	if len(w.chosen.Views) >= w.want {
		return camera.Detection{}, nil // the source has not stopped yet
	}
	w.pictures++
	v, err := calibration.Find(fmt.Sprintf("picture %d", w.pictures), img, w.board)
	note := " · hold the board still, then elsewhere, nearer or tilted"
	if err != nil {
		w.last, note = err, fmt.Sprintf(" · %v", err)
	} else {
		w.seen++
		if w.chosen.Offer(v) {
			note = " · taken"
		}
	}
	w.bar.show(float64(len(w.chosen.Views))/float64(w.want), note)
	if len(w.chosen.Views) >= w.want {
		w.stop(errEnough)
	}
	return camera.Detection{}, nil
}

// Reset implements camera.Detector.
func (*boardWatch) Reset() {}

// Emit implements sensors.Sink: pictures without a person give no sample.
func (*boardWatch) Emit(*sensors.Sample) {}

// Count implements sensors.Sink.
func (*boardWatch) Count(string, uint64) {}

// NowNS implements sensors.Sink.
func (w *boardWatch) NowNS() int64 { return int64(time.Since(w.begin)) }

// watch takes views from a camera or a film.
func (c calibrateCameraCmd) watch(ctx context.Context, b calibration.Board) ([]calibration.View, []unusablePicture, error) {
	choice, err := chooseCamera(c.Camera[0])
	if err != nil {
		return nil, nil, err
	}
	src, err := choice.source()
	if err != nil {
		return nil, nil, err
	}
	if err = errors.Join(keepMemoryOutOfDumps(), withholdCapabilities()); err != nil {
		fmt.Fprintln(os.Stderr, "posefuse: note:", err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &boardWatch{board: b, want: c.Views, stop: stop, bar: newProgress("looking"), begin: time.Now()}
	src.Detector = w
	err = src.Run(ctx, w)
	w.bar.done()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errEnough), errors.Is(err, camera.ErrEnded) && w.pictures > 0:
	case errors.Is(err, camera.ErrEnded):
		return nil, nil, fmt.Errorf("camera %s: no picture could be read; a picture is a JPEG or PNG, a film what ffmpeg reads", choice.shown)
	case err != nil:
		return nil, nil, adviseCamera(choice.shown, err)
	default:
		return nil, nil, cause
	}
	if w.seen == 0 {
		return nil, nil, fmt.Errorf("calibrate camera: the board is in none of %d pictures: %w", w.pictures, w.last)
	}
	if n := len(w.chosen.Views); n < 3 {
		return nil, nil, fmt.Errorf("calibrate camera: the board was held still in %d places only, of %d pictures that show it; hold it still for a moment in at least 15 places", n, w.seen)
	}
	return w.chosen.Views, nil, nil
}
