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
	MARS        string `name:"mars" placeholder:"DIR" help:"MARS folder (holds index.csv): real radar and Kinect joints, for a network of --modalities M."`
	MARSHistory int    `name:"mars-history" default:"8" help:"Radar frames that one sample of --mars holds, the newest and those before it."`
	MARSHoldOut int    `name:"mars-hold-out" default:"0" placeholder:"SUBJECT" help:"Split --mars across people: train on the others, test on this subject. 0 splits within each clip: its first 60 % train, the next 20 % validate, the last 20 % test."`
}

func (f marsFlags) openMARS() (*mars.Dataset, error) {
	return mars.Open(f.MARS, mars.Options{History: f.MARSHistory})
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

func (f marsFlags) marsSplit() string {
	if f.MARSHoldOut != 0 {
		return fmt.Sprintf("subject %d held out", f.MARSHoldOut)
	}
	return "within clips: 60 % train, 20 % validation, 20 % test"
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
