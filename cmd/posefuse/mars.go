package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/mars"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// marsFlags choose real radar recordings and how they are split.
type marsFlags struct {
	MARS        string  `name:"mars" placeholder:"DIR" help:"MARS folder, as its authors publish it (synced_data, feature) or with an index.csv: real radar and Kinect joints, for a network of --modalities M."`
	MARSHistory int     `name:"mars-history" default:"8" help:"Radar frames that one sample of --mars holds, the newest and those before it."`
	MARSMinutes float64 `name:"mars-minutes" default:"0" placeholder:"N" help:"Train on so many minutes of --mars only, from the start of each clip's training part, as great a share of each; 0 for all."`
	MARSAxes    string  `name:"mars-axes" default:"mars" enum:"mars,radar" help:"Axes of the points of --mars: mars as in its files, radar as those of all other radars here, for a network that was or will be trained on these too."`
	MARSHoldOut int     `name:"mars-hold-out" default:"0" placeholder:"SUBJECT" help:"Split --mars across people: train on the others, test on this subject. 0 splits within each clip: its first 60 % train, the next 20 % validate, the last 20 % test."`
}

func (f marsFlags) openMARS() (*mars.Dataset, error) {
	return mars.Open(f.MARS, mars.Options{History: f.MARSHistory, RadarFrame: f.MARSAxes == "radar"})
}

// marsKeys returns the clips to train on and those to validate or test on:
// all clips both times where the split runs within them, see part.
func (f marsFlags) marsKeys(ds recording.Dataset) (trainKeys, valKeys []recording.Key, err error) {
	all := ds.Keys()
	if f.MARSHoldOut == 0 {
		return all, all, nil
	}
	if trainKeys, valKeys, err = mars.HoldOut(ds, f.MARSHoldOut); err != nil {
		return nil, nil, fmt.Errorf("--mars-hold-out %d: %w", f.MARSHoldOut, err)
	}
	return trainKeys, valKeys, nil
}

// dataUse is what samples are for.
type dataUse int

const (
	forTraining dataUse = iota
	forValidation
	forTest
)

// part returns which frames of each clip serve the use: all, unless the split
// runs within the clips.
func (f marsFlags) part(use dataUse) train.Part {
	if f.MARS == "" || f.MARSHoldOut != 0 {
		return train.Part{}
	}
	return []train.Part{train.TrainPart, train.ValPart, train.TestPart}[use]
}

// limit leaves so much of what is trained on as --mars-minutes says.
func (f marsFlags) limit(s train.Selection) (train.Selection, error) {
	if f.MARSMinutes == 0 {
		return s, nil
	}
	if f.MARS == "" || !(f.MARSMinutes > 0) {
		return s, fmt.Errorf("--mars-minutes %g: want a number above 0, and --mars", f.MARSMinutes)
	}
	if s.Part == (train.Part{}) {
		s.Part.To = 1
	}
	frames := 0
	for _, k := range s.Keys {
		clip, err := s.Data.Open(k)
		if err != nil {
			return s, err
		}
		frames += clip.Len()
	}
	want := f.MARSMinutes * 60 * 1000 / recording.FramePeriodMS
	if have := float64(frames) * (s.Part.To - s.Part.From); want < have {
		s.Part.To = s.Part.From + (s.Part.To-s.Part.From)*want/have
	}
	return s, nil
}

// marsReference returns the training clips, whose mean poses the error is to be
// compared with: they are few. It is nil for other data, of which the evaluated
// frames' own mean pose must do.
func (f marsFlags) marsReference(ctx context.Context, ds recording.Dataset, cfg model.Config, window model.Window) (*train.Data, error) {
	if f.MARS == "" {
		return nil, nil
	}
	keys, _, err := f.marsKeys(ds)
	if err != nil {
		return nil, err
	}
	return loadWithProgress(ctx, "loading training clips", ds, keys, cfg, train.LoadOptions{Window: window, Part: f.part(forTraining)})
}

func (f marsFlags) minutes() string {
	if f.MARSMinutes == 0 {
		return ""
	}
	return fmt.Sprintf(", trained on %g minutes", f.MARSMinutes)
}

func (f marsFlags) marsSplit() string {
	if f.MARSHoldOut != 0 {
		return fmt.Sprintf("subject %d held out", f.MARSHoldOut) + f.minutes()
	}
	return "within clips: 60 % train, 20 % validation, 20 % test" + f.minutes()
}

// marsAlone reports whether a network has a radar encoder and others that MARS has
// nothing for.
func (f marsFlags) marsAlone(cfg model.Config) bool {
	radar := modality.Of(modality.Radar)
	return f.MARS != "" && cfg.Mask() != radar && cfg.Mask().Has(modality.Radar)
}

// radarAlone evaluates the radar encoder of a network that was trained with other
// sensors too, on other data.
func (c evalCmd) radarAlone(ctx context.Context, net *model.Network, card model.Card) error {
	if c.Clips != "" || c.Poses != "" || c.Contribution {
		return errors.New("of MARS a network of several sensors is evaluated by its radar alone: leave --clips, --poses and --contribution out")
	}
	ds, err := mars.Open(c.MARS, mars.Options{History: c.MARSHistory, RadarFrame: true})
	if err != nil {
		return err
	}
	_, keys, err := c.marsKeys(ds)
	if err != nil {
		return err
	}
	radar := modality.Of(modality.Radar)
	cfg := net.Config
	cfg.Modalities = radar.String()
	data, err := loadWithProgress(ctx, "loading clips", ds, keys, cfg, train.LoadOptions{Window: card.Window, Stride: c.Stride, Part: c.part(forTest)})
	if err != nil {
		return err
	}
	reference, err := c.marsReference(ctx, ds, cfg, card.Window)
	if err != nil {
		return err
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		return err
	}
	defer func() { _ = run.Close() }() // gives memory back only
	rep, err := train.EvaluatePoser(ctx, train.Alone{Run: run, Sensor: modality.Radar}, radar, data, reference, []modality.Set{radar}, ds.Describe(), nil)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(rep)
	}
	fmt.Printf("model %s %s, by its radar alone\n", card.Name, card.Version)
	printReport(rep)
	return nil
}
