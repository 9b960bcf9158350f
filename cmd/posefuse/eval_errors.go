package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"posefuse/exercise"
	"posefuse/message"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/train"
)

// errorsReport is how far off a model's poses are.
type errorsReport struct {
	*model.KnownErrors
	AngleSDDeg    map[string]float64      `json:"angle_sd_deg"`
	MovementShare map[string]float64      `json:"movement_share"`
	Deepest       []exercise.DeepestError `json:"deepest"`
}

// knownErrors measures how far off the poses of a model are and writes it into its
// card.
func (c evalCmd) knownErrors(ctx context.Context, net *model.Network, card model.Card, ds recording.Dataset, data *train.Data) error {
	k, err := train.MeasureErrors(ctx, net, data, ds.Describe())
	if err != nil {
		return err
	}
	angles, err := angleErrors(ctx, net, data, ds)
	if err != nil {
		return err
	}
	f := angles.Figures()
	if err := model.SetKnownErrors(c.Card, card.SHA256, k, model.AngleFigures(f)); err != nil {
		return fmt.Errorf("--card: %w", err)
	}
	rep := errorsReport{k, f.AngleSDDeg, f.MovementShare, angles.Deepest()}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rep)
	}
	fmt.Printf("model %s %s (%s window)\ndata: %s\n", card.Name, card.Version, card.Window, k.Data)
	printErrors(&rep)
	return nil
}

// angleErrors compares the angles of the poses of all sensors with the true ones.
func angleErrors(ctx context.Context, net *model.Network, data *train.Data, ds recording.Dataset) (*exercise.PoseErrors, error) {
	defs, err := exercise.Definitions()
	if err != nil {
		return nil, err
	}
	type series struct{ truth, poses []exercise.Skeleton }
	byClip := map[recording.Key]*series{}
	for _, clip := range data.Clips {
		s := &series{}
		for r := range clip.Frames {
			s.truth = append(s.truth, skeleton((*[model.OutputDim]float32)(clip.Truth[r*model.OutputDim:])))
		}
		byClip[clip.Key] = s
	}
	visit := func(k recording.Key, _ int, pose *[model.OutputDim]float32) {
		byClip[k].poses = append(byClip[k].poses, skeleton(pose))
	}
	if _, err := train.Evaluate(ctx, net, data, nil, nil, ds.Describe(), visit); err != nil {
		return nil, err
	}
	e := exercise.NewPoseErrors(defs)
	for _, clip := range data.Clips {
		s := byClip[clip.Key]
		e.Clip(fmt.Sprintf("A%02d", clip.Key.Activity), s.truth, s.poses)
	}
	return e, nil
}

// skeleton is a pose in the network's frame, whose camera is level.
func skeleton(pose *[model.OutputDim]float32) exercise.Skeleton {
	var joints [model.NumJoints][3]float64
	for i, v := range pose {
		joints[i/3][i%3] = float64(v)
	}
	s, _ := exercise.FromPose(&message.Pose{JointsM: &joints, Frame: "camera"}, 0) // networks give every joint
	return s
}

func printErrors(rep *errorsReport) {
	fmt.Printf("%d frames of %d people; radii within which a joint lies with 50, 80 and 95 %%, and the share of joints within them, of people they were not taken from\n", rep.Frames, rep.People)
	fmt.Printf("\n%-9s %9s %9s  %-20s %s\n", "coalition", "MPJPE mm", "sigma mm", "radii, sigma", "within, %")
	names := slices.SortedFunc(maps.Keys(rep.Coalitions), byLength)
	for _, name := range names {
		co := rep.Coalitions[name]
		fmt.Printf("%-9s %9.1f %9.1f ", name, co.MPJPEMM, meanOf(co.SigmaMM[:]))
		for _, l := range model.CoverageLevels {
			fmt.Printf(" %5.2f", co.RadiiSigma[l.Name])
		}
		fmt.Print("   ")
		for _, l := range model.CoverageLevels {
			fmt.Printf(" %5.1f", 100*co.Coverage[l.Name])
		}
		fmt.Println()
	}
	fmt.Printf("\n%-22s %8s\n", "angle, all sensors", "deg")
	for _, name := range slices.Sorted(maps.Keys(rep.AngleSDDeg)) {
		fmt.Printf("%-22s %8.1f\n", name, rep.AngleSDDeg[name])
	}
	fmt.Printf("\n%-26s %-20s %8s %8s %8s\n", "at the deepest", "angle", "bias deg", "sd deg", "shown")
	for _, d := range rep.Deepest {
		fmt.Printf("%-26s %-20s %8.1f %8.1f %7.0f%%\n", d.Activity+" "+d.Name, d.Angle, d.BiasDeg, d.SDDeg, 100*rep.MovementShare[d.Activity])
	}
}

// byLength orders coalitions: more sensors first.
func byLength(a, b string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	return slices.Compare([]byte(a), []byte(b))
}
