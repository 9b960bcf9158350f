package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// influence prints how well the daemon's figures without ground truth agree
// with it.
func (c evalCmd) influence(ctx context.Context, net *model.Network, card model.Card, ds recording.Dataset, data *train.Data) error {
	var disturbance func(recording.Key, int) train.Disturbance
	if simulated, ok := ds.(*sim.Dataset); ok {
		d, err := disturbances(simulated, data)
		if err != nil {
			return err
		}
		disturbance = d
	}
	rep, err := train.EvaluateInfluence(ctx, net, data, ds.Describe(), disturbance)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rep)
	}
	fmt.Printf("model %s %s (%s window)\n", card.Name, card.Version, card.Window)
	printInfluence(rep)
	return nil
}

// frameS is the time between frames of a clip, seconds.
const frameS = recording.FramePeriodMS / 1000.0

// disturbances returns what the simulator did to the frames of the clips.
func disturbances(ds *sim.Dataset, data *train.Data) (func(recording.Key, int) train.Disturbance, error) {
	of := map[recording.Key][]sim.Degradation{}
	for _, c := range data.Clips {
		clip, err := ds.Clip(c.Key)
		if err != nil {
			return nil, err
		}
		of[c.Key] = clip.Degradations()
	}
	return func(k recording.Key, frame int) train.Disturbance {
		out := train.Disturbance{Sensor: modality.Count}
		for _, d := range of[k] {
			if d.ActiveAt(float64(frame) * frameS) {
				out = train.Disturbance{Kind: string(d.Kind), Sensor: d.Sensor(), Absent: d.Kind == sim.ModalityMissing}
			}
		}
		return out
	}, nil
}

func printInfluence(rep *train.InfluenceReport) {
	fmt.Printf("data: %s\n%d frames of %d subjects, MPJPE %.1f mm; in brackets 95 %% intervals, bootstrap over subjects\n",
		rep.Data, rep.Frames, rep.Subjects, rep.MPJPEMM)
	rho := func(i train.Interval) string { return fmt.Sprintf("%.2f [%.2f, %.2f]", i.Value, i.Low, i.High) }
	fmt.Printf("\nSpearman rank correlation of spread and true error\n%-38s %-19s %-19s %-19s %-19s %s\n", "* is published as spread_mm",
		"per frame", "per joint", "within a joint", "any coalition", "MPJPE of worst tenth, mm")
	for _, s := range rep.Spreads {
		mark := " "
		if s.Published {
			mark = "*"
		}
		fmt.Printf("%s %-36s %-19s %-19s %-19s %-19s %.1f\n", mark, s.Name, rho(s.Frame), rho(s.Joint), rho(s.WithinJoint), rho(s.AnyCoalition), s.WorstMM)
	}
	fmt.Printf("  %-36s %-19s %-19s\n", "which joint it is, nothing else", "", rho(rep.JointAlone))
	fmt.Printf("per frame, published less distance to the pose of no sensor: %s\n", rho(rep.AboveUnusual))
	fmt.Printf("\nmedian influence_mm, nothing disturbed:")
	for k := range modality.Count {
		if v, ok := rep.InfluenceMM[k.Letter()]; ok {
			fmt.Printf("  %s %.1f", k.Letter(), v)
		}
	}
	named := func(i train.Interval, undisturbed float64) string {
		return fmt.Sprintf("%3.0f [%3.0f, %3.0f] (%3.0f)", 100*i.Value, 100*i.Low, 100*i.High, 100*undisturbed)
	}
	fmt.Printf("\n\nshare of frames in which influence names the disturbed sensor, %%; in parentheses with nothing disturbed\n%-26s %-6s %6s %9s  %-22s %-22s %s\n",
		"disturbance", "sensor", "frames", "median mm", "largest", "largest against median", "smallest against median")
	for _, n := range rep.Naming {
		fmt.Printf("%-26s %-6s %6d %9.1f  %-22s %-22s %s\n", n.Disturbance, n.Sensor, n.Frames, n.MedianMM,
			named(n.Largest, n.LargestUndisturbed), named(n.Relative, n.RelativeUndisturbed), named(n.Least, n.LeastUndisturbed))
	}
}
