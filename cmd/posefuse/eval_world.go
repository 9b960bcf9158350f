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
	"posefuse/recording"
	"posefuse/recording/mmfi"
	"posefuse/study/plot"
	"posefuse/study/world"
)

// world evaluates a model in the rooms of a file.
func (c evalCmd) world(ctx context.Context, net *model.Network, card model.Card) error {
	switch {
	case c.MARS != "" || c.Mocap != "":
		return errors.New("--world simulates its rooms or changes the recordings of --mmfi: leave --mars and --mocap out")
	case c.Clips != "" && c.MMFi == "" || c.Poses != "" || c.Contribution || c.Stride != 1:
		return errors.New("--world goes with --model, --raw, --json, --plot, --card and --mmfi only, --clips with --mmfi; its file names the clips")
	case c.MMFi != "" && c.Card != "":
		return errors.New("--card writes where the model holds in simulated rooms, of which every number is known: leave --mmfi out")
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
	from, err := c.recordedRooms(f)
	if err != nil {
		return err
	}
	bar := newProgress("rooms")
	var stages []world.Stage
	if net.Config.Recipe != model.RecipeRoom { // which knows nothing but what is prepared
		stages = append(stages, world.Raw(net.Config, card.Window))
	} else if c.Raw {
		return fmt.Errorf("--raw: a network of recipe %s takes no sensor's values as they come", model.RecipeRoom)
	}
	if !c.Raw {
		stages = append(stages, world.Prepared(net.Config, card.Window, card.TrainedIn()))
	}
	table, err := world.Evaluate(ctx, f, from, net, stages, func(done, total int) {
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

// recordedRooms opens the recordings whose rooms are changed, nil if the rooms are
// simulated, and leaves of the file's clips those to evaluate.
func (c evalCmd) recordedRooms(f *world.File) (recording.Dataset, error) {
	if c.MMFi == "" {
		return nil, nil
	}
	dir, err := openMMFi(c.MMFi)
	if err != nil {
		return nil, err
	}
	if c.Clips != "" {
		f.Clips, err = mmfi.Match(dir, c.Clips)
		return dir, err
	}
	have := recording.Present(dir, f.Clips)
	switch missing := len(f.Clips) - len(have); {
	case len(have) == 0:
		return nil, fmt.Errorf("%s holds none of the clips that %s names (%v): choose some with --clips", c.MMFi, c.World, f.Clips)
	case missing > 0:
		fmt.Fprintf(os.Stderr, "posefuse: %d of the %d clips that %s names are not in %s\n", missing, len(f.Clips), c.World, c.MMFi)
	}
	f.Clips = have
	return dir, nil
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
