package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"posefuse/model"
	"posefuse/study/plot"
	"posefuse/study/world"
)

// world evaluates a model in the rooms of a file.
func (c evalCmd) world(ctx context.Context, net *model.Network, card model.Card) error {
	switch {
	case c.MMFi != "" || c.MARS != "" || c.Mocap != "":
		return errors.New("--world simulates its rooms: leave --mmfi, --mars and --mocap out")
	case c.Clips != "" || c.Poses != "" || c.Contribution || c.Stride != 1:
		return errors.New("--world goes with --model, --raw, --json, --plot and --card only; its file names the clips")
	case c.Raw && c.Card != "":
		return errors.New("--card writes where the model holds with the person found: leave --raw out")
	}
	draw, err := drawing(c.Plot)
	if err != nil {
		return err
	}
	f, err := world.ReadFile(c.World)
	if err != nil {
		return err
	}
	bar := newProgress("rooms")
	stages := []world.Stage{world.Raw(net.Config, card.Window)}
	if !c.Raw {
		stages = append(stages, world.Prepared(net.Config, card.Window, card.TrainedIn()))
	}
	table, err := world.Evaluate(ctx, f, net, stages, func(done, total int) {
		bar.show(float64(done)/float64(total), "")
	})
	bar.done()
	if err != nil {
		return err
	}
	if draw != nil {
		picture, err := draw(table.Chart())
		if err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
		if err := renameio.WriteFile(c.Plot, picture, 0o644); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
	}
	if c.Card != "" {
		e, err := table.Envelope(f)
		if err == nil {
			err = model.SetEnvelope(c.Card, card.SHA256, e)
		}
		if err != nil {
			return fmt.Errorf("--card: %w", err)
		}
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(table)
	}
	fmt.Printf("model %s %s (%s window)\n", card.Name, card.Version, card.Window)
	return table.Print(os.Stdout)
}

// drawing returns how a chart is written to a file of the name, nil for no name.
func drawing(name string) (func(*plot.Bars) ([]byte, error), error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".svg":
		return (*plot.Bars).SVG, nil
	case ".png":
		return (*plot.Bars).PNG, nil
	}
	if name == "" {
		return nil, nil
	}
	return nil, fmt.Errorf("--plot %s: name a file that ends in .svg or .png", name)
}
