package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"posefuse/model"
	"posefuse/model/shipped"
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/replay"
	"posefuse/train"
)

type evalCmd struct {
	dataFlags
	Model       string `placeholder:"DIR" help:"Folder with card.json and its weights; the shipped edge model if empty."`
	Stride      int    `default:"1" help:"Evaluate every n-th frame."`
	Clips       string `placeholder:"PATTERN" help:"Only these clips instead of the split's validation part, e.g. S05/A12 or E01,E02."`
	Poses       string `placeholder:"FILE" help:"Write every pose as JSON lines: clip, frame (from 1), joints_m in the camera frame."`
	JSON        bool   `name:"json" help:"Print the report as JSON, with the errors by joint, PCK, AUC, N-MPJPE, and those of coordinates, bones, velocity and acceleration for every set of sensors."`
	Predictions string `placeholder:"DIR" help:"Write the poses of every set of sensors and the truth as .npy, (frames, 17, 3) float32 metres, and frames.json, which names the frames."`
	Pictures    string `placeholder:"FILE" help:"Draw poses of all sensors beside their truth, from the best to the worst, into FILE.svg or FILE.png."`
	World       string `placeholder:"FILE" help:"Instead evaluate in the rooms of a file, such as configs/worlds/rude.yaml, each simulated with the same movements, or with --mmfi made of its recordings."`
	Raw         bool   `help:"With --world: give the network the sensors' values as they come only, without finding the person first."`
	Card        string `placeholder:"DIR" help:"Write into card.json in DIR, which is that of --model, how far off its poses are by coalition, joint and angle (sigma_mm); with --world where the model holds."`
	Plot        string `placeholder:"FILE" help:"With --world: draw the table as bars into FILE.svg or FILE.png."`

	Receiver string `placeholder:"NAME" help:"Take the CSI as another WiFi receiver would have recorded it: atheros, intel5300, esp32 or feitcsi."`
	Antennas string `default:"zero" placeholder:"RULE" help:"With --receiver: what missing antennas become: zero, repeat or absent, as sensors.csi.antennas."`

	Filter bool `help:"Instead run each clip's poses in time order through the daemon's filter and bones (pose.filter, pose.bones): errors, acceleration, lengths of bones and delay, before and after."`

	Contribution bool `help:"Instead compare what the daemon says without ground truth (spread_mm, influence_mm) with the true error."`
}

// Help shows the command's example.
func (evalCmd) Help() string {
	return "Examples:\n\n  posefuse eval --mmfi /data/mmfi --protocol 1 --split s1 --model models/paper\n  posefuse eval --world configs/worlds/rude.yaml --plot rude.svg\n" +
		"  posefuse eval --world configs/worlds/rude.yaml --model models/sim --card models/sim\n" +
		"  posefuse eval --rooms configs/rooms/train.yaml --val-people 12 --model models/room --card models/room\n" +
		"  posefuse eval --filter --sim-seed 77 --clips S01/A12\n" +
		"  posefuse eval --world configs/worlds/rude.yaml --mmfi /data/mmfi --clips S05/A12"
}

// Run evaluates a model on the validation part of the chosen data, or where
// there is one, the test part.
func (c evalCmd) Run(ctx context.Context) error {
	net, card, err := shipped.Open(c.Model)
	if err != nil {
		return err
	}
	if err = isPicture("--pictures", c.Pictures); err != nil {
		return err
	}
	if c.World != "" {
		return c.world(ctx, net, card)
	}
	if c.Plot != "" || c.Raw {
		return errors.New("--plot and --raw are about a table of rooms: add --world FILE")
	}
	if c.MMFi == "" && c.marsAlone(net.Config) {
		return c.radarAlone(ctx, net, card)
	}
	_, valSet, err := c.open()
	if err != nil {
		return err
	}
	var keys []recording.Key
	if c.Clips != "" {
		if keys, err = mmfi.Match(valSet, c.Clips); err != nil {
			return err
		}
	} else if _, keys, err = c.keys(valSet, valSet); err != nil {
		return err
	}
	source := valSet
	if c.Receiver != "" {
		if valSet, err = replay.Received(valSet, replay.CSIFormat(c.Receiver), c.Antennas); err != nil {
			return fmt.Errorf("--receiver: %w", err)
		}
	}
	if c.Filter {
		return c.movement(ctx, net, card, valSet, keys)
	}
	data, err := loadWithProgress(ctx, "loading clips", valSet, keys, net.Config, train.LoadOptions{Window: card.Window, Stride: c.Stride, Part: c.part(forTest), Movement: c.Poses != "", SkipBroken: c.SkipBroken})
	if err != nil {
		return err
	}
	if c.Contribution {
		return c.influence(ctx, net, card, source, data)
	}
	if c.Card != "" {
		return c.knownErrors(ctx, net, card, valSet, data)
	}
	var poses *lineFile
	var visit func(recording.Key, int, *[model.OutputDim]float32)
	if c.Poses != "" {
		if poses, err = createLines(c.Poses); err != nil {
			return err
		}
		defer func() { _ = poses.close() }() // after an error; else closed below
		visit = func(k recording.Key, frame int, pose *[model.OutputDim]float32) {
			poses.write(map[string]any{"clip": k.String(), "frame": frame + 1, "joints_m": jointsOf(pose)})
		}
	}
	reference, err := c.marsReference(ctx, valSet, net.Config, card.Window)
	if err != nil {
		return err
	}
	rep, err := c.evaluate(ctx, net, &card, data, reference, c.missingOf(keys), visit)
	if err != nil {
		return err
	}
	if err := poses.close(); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rep)
	}
	fmt.Printf("model %s %s (%s window)\n", card.Name, card.Version, card.Window)
	printReport(rep)
	return nil
}

func jointsOf(pose *[model.OutputDim]float32) (joints [model.NumJoints][3]float32) {
	for i, v := range pose {
		joints[i/3][i%3] = v
	}
	return joints
}

func printReport(rep *train.Report) {
	fmt.Printf("data: %s\n", rep.Data)
	table := func(title string, rows map[string]train.Score, less func(a, b string) int) {
		fmt.Printf("\n%-34s %9s %9s %9s %8s\n", title, "MPJPE mm", "pelvis mm", "PA mm", "frames")
		for _, name := range slices.SortedFunc(maps.Keys(rows), less) {
			s := rows[name]
			fmt.Printf("%-34s %9.1f %9.1f %9.1f %8d\n", name, s.MPJPEMM, s.PelvisMM, s.PAMPJPEMM, s.Frames)
		}
	}
	byError := func(rows map[string]train.Score) func(a, b string) int {
		return func(a, b string) int { return cmp.Or(cmp.Compare(rows[a].MPJPEMM, rows[b].MPJPEMM), cmp.Compare(a, b)) }
	}
	table("coalition", rep.Coalitions, byError(rep.Coalitions))
	table("no sensor at all", rep.Baselines, byError(rep.Baselines))
	table("subject, all sensors", rep.Subjects, cmp.Compare)
	table("activity, all sensors", rep.Activities, cmp.Compare)
	fmt.Printf("\nframes without a radar point: %d, without a LiDAR point: %d, with a padded camera window: %d\n", rep.EmptyRadar, rep.EmptyLiDAR, rep.PaddedCamera)
}
