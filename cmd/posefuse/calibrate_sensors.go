package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"posefuse/calibration"
	"posefuse/frame"
	"posefuse/pipeline"
	"posefuse/sensors"
	"posefuse/sensors/modality"
)

type calibrateSensorsCmd struct {
	Config  string  `short:"c" required:"" placeholder:"FILE" help:"Configuration of the room; its daemon must not run meanwhile."`
	Seconds float64 `default:"60" placeholder:"S" help:"How long somebody walks."`
	Focal   bool    `help:"Find the camera's focal length, too: without a checkerboard, to about one per cent."`
	JSON    bool    `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (calibrateSensorsCmd) Help() string {
	return "Let one person walk about in front of the sensors, to and fro and from side to side, upright\n" +
		"and facing the camera, and stand still for a moment here and there. Prints the block extrinsics\n" +
		"of the configuration: where the camera and the LiDAR are, their tilt and roll against the floor,\n" +
		"and from above where the radar is. It needs the LiDAR and the camera; the radar's height and tilt\n" +
		"stay what the configuration says. The daemon's sensors are used, so stop it first.\n\n" +
		"Example:\n\n  posefuse calibrate sensors --config posefuse.yaml"
}

// Run lets somebody walk and prints where the sensors are.
func (c calibrateSensorsCmd) Run(ctx context.Context, out io.Writer) error {
	if !(c.Seconds >= 10 && c.Seconds <= 600) {
		return fmt.Errorf("--seconds %g: want 10 to 600; 60 are good", c.Seconds)
	}
	cfg, err := pipeline.LoadConfig(c.Config, os.Environ())
	if err != nil {
		return err
	}
	cfg.Sensors.CSI.Enabled = false
	if !cfg.Sensors.Camera.Enabled || !cfg.Sensors.LiDAR.Enabled {
		return errors.New("calibrate sensors: it needs the camera and the LiDAR, and one of them is off in the configuration; measure the places by hand instead")
	}
	if cfg.Sensors.TakesPictures() {
		if err = errors.Join(keepMemoryOutOfDumps(), withholdCapabilities()); err != nil {
			fmt.Fprintln(os.Stderr, "posefuse: note:", err)
		}
	}
	thought, lensKnown := cfg.ThoughtRig()
	if !lensKnown && !c.Focal {
		fmt.Fprintln(os.Stderr, "posefuse: note: extrinsics.camera_intrinsics is not given, so a lens like that of the models' training is taken; posefuse calibrate camera finds it, or --focal here")
	}
	walk := calibration.NewWalk(thought)
	if err = c.walk(ctx, cfg, walk); err != nil {
		return err
	}
	found, err := walk.Solve(c.Focal)
	if err != nil {
		return fmt.Errorf("calibrate sensors: %w", err)
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(newSensorsReport(found))
	}
	return printSensors(out, found, &thought.Camera, cfg.Sensors.Radar.Enabled)
}

// walk shows what the sensors see to the walk.
func (c calibrateSensorsCmd) walk(ctx context.Context, cfg pipeline.Config, walk *calibration.Walk) error {
	ctx, stop := context.WithTimeoutCause(ctx, time.Duration(c.Seconds*float64(time.Second)), errEnough)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	bar := newProgress("walking")
	begin := time.Now()
	err := pipeline.Watch(ctx, cfg, func(s *sensors.Sample) {
		switch s.Modality {
		case modality.LiDAR:
			if err := walk.Cloud(s.CaptureNS, s.Cloud.XYZ); err != nil {
				fail(fmt.Errorf("calibrate sensors: %w", err))
			}
		case modality.Camera:
			walk.Keypoints(s.CaptureNS, s.Keypoints)
		case modality.Radar:
			walk.Radar(s.CaptureNS, s.Radar.Points)
		case modality.CSI:
		}
		joint, span := walk.Progress()
		bar.show(time.Since(begin).Seconds()/c.Seconds, fmt.Sprintf(" · seen %d times, %.1f m wide", joint, span))
	}, func(sensor, problem string) { fmt.Fprintf(os.Stderr, "posefuse: sensor %s: %s\n", sensor, problem) })
	bar.done()
	if cause := context.Cause(ctx); !errors.Is(cause, errEnough) && cause != nil {
		return cause
	}
	return err
}

// sensorsReport is the result as JSON.
type sensorsReport struct {
	RoomFromCamera  poseKeys                  `json:"room_from_camera"`
	RoomFromLiDAR   poseKeys                  `json:"room_from_lidar"`
	RoomFromRadar   *poseKeys                 `json:"room_from_radar,omitempty"`
	CameraDeviation calibration.PoseDeviation `json:"camera_standard_deviation"` // against the LiDAR
	RadarDeviation  calibration.PoseDeviation `json:"radar_standard_deviation"`
	FocalPx         float64                   `json:"focal_px,omitempty"`
	FocalDeviation  float64                   `json:"focal_standard_deviation_px,omitempty"`
	ResidualM       float64                   `json:"residual_m"`
	RadarResidualM  float64                   `json:"radar_residual_m,omitempty"`
	Used            int                       `json:"sights_used"`
	Rejected        int                       `json:"sights_left_out"`
	RepeatM         float64                   `json:"halves_differ_m"`
	RepeatDeg       float64                   `json:"halves_differ_deg"`
}

// poseKeys is a pose by the configuration's keys.
type poseKeys struct {
	PositionM [3]float64 `json:"position_m" yaml:"position_m,flow"`
	PanDeg    float64    `json:"pan_deg" yaml:"pan_deg"`
	TiltDeg   float64    `json:"tilt_deg" yaml:"tilt_deg"`
	RollDeg   float64    `json:"roll_deg" yaml:"roll_deg"`
}

// newPoseKeys rounds a pose to millimetres and hundredths of a degree.
func newPoseKeys(p frame.SensorPose) poseKeys {
	round := func(v, per float64) float64 { return math.Round(v*per)/per + 0 } // no -0
	var at [3]float64
	for k, v := range p.PositionM {
		at[k] = round(v, 1e3)
	}
	return poseKeys{at, round(p.PanDeg, 100), round(p.TiltDeg, 100), round(p.RollDeg, 100)}
}

func cameraKeys(p frame.CameraPose) poseKeys {
	return newPoseKeys(frame.SensorPose{PositionM: p.PositionM, PanDeg: p.PanDeg, TiltDeg: p.TiltDeg, RollDeg: p.RollDeg})
}

func newSensorsReport(s *calibration.Sensors) *sensorsReport {
	r := &sensorsReport{RoomFromCamera: cameraKeys(s.Camera), RoomFromLiDAR: newPoseKeys(s.LiDAR), CameraDeviation: s.CameraDeviation, RadarDeviation: s.RadarDeviation,
		FocalPx: s.FocalPx, FocalDeviation: s.FocalDeviationPx, ResidualM: s.ResidualM, RadarResidualM: s.RadarResidualM, Used: s.Used, Rejected: s.Rejected, RepeatM: s.RepeatM, RepeatDeg: s.RepeatDeg}
	if s.Radar != nil {
		k := newPoseKeys(*s.Radar)
		r.RoomFromRadar = &k
	}
	return r
}

// printSensors prints the block of the configuration under comments.
func printSensors(out io.Writer, s *calibration.Sensors, lens *frame.Intrinsics, radar bool) error {
	var b strings.Builder
	d := s.CameraDeviation
	fmt.Fprintf(&b, "# %d sights used, %d left out; residual %.3f m; the walk's halves differ by %.3f m and %.2f degrees\n", s.Used, s.Rejected, s.ResidualM, s.RepeatM, s.RepeatDeg)
	fmt.Fprintf(&b, "# standard deviations of camera to LiDAR: %.3f m, pan %.2f, tilt %.2f, roll %.2f degrees\n", max(d.PositionM[0], d.PositionM[1], d.PositionM[2]), d.PanDeg, d.TiltDeg, d.RollDeg)
	type block struct {
		Camera *poseKeys  `yaml:"room_from_camera"`
		LiDAR  *poseKeys  `yaml:"room_from_lidar"`
		Radar  *poseKeys  `yaml:"room_from_radar,omitempty"`
		Lens   *yaml.Node `yaml:"camera_intrinsics,omitempty"`
	}
	r := newSensorsReport(s)
	e := block{Camera: &r.RoomFromCamera, LiDAR: &r.RoomFromLiDAR, Radar: r.RoomFromRadar}
	switch {
	case s.Radar != nil:
		fmt.Fprintf(&b, "# radar: %d frames used, %d left out, residual %.3f m, pan known to %.2f degrees; height, tilt and roll are the configuration's\n", s.RadarUsed, s.RadarRejected, s.RadarResidualM, s.RadarDeviation.PanDeg)
	case radar:
		fmt.Fprintf(&b, "# radar: not found, for it saw the person too seldom; measure room_from_radar by hand\n")
	}
	if s.FocalPx > 0 {
		fmt.Fprintf(&b, "# focal length %.1f px, standard deviation %.1f; the rest of the lens as it was thought\n", s.FocalPx, s.FocalDeviationPx)
		c := *lens
		c.FyPx, c.FxPx = s.FocalPx*lens.FyPx/lens.FxPx, s.FocalPx
		e.Lens = intrinsicsNode(&c)
	}
	doc, err := yaml.Marshal(map[string]any{"extrinsics": e})
	if err != nil {
		return err
	}
	b.Write(doc)
	_, err = io.WriteString(out, b.String())
	return err
}
