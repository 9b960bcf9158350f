package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"posefuse/model"
	"posefuse/sensors/modality"
)

type modelsImportCmd struct {
	File       string `arg:"" placeholder:"FILE" help:"Weights as safetensors, with the names and shapes that export writes."`
	Card       string `placeholder:"FILE" help:"card.json of the network the weights belong to, e.g. of the checkpoint the training started from, or its folder."`
	Size       string `default:"" enum:",edge,paper" help:"Size of the network, instead of a card: edge or paper."`
	Modalities string `default:"RLMW" help:"With --size: modalities of the network, letters of RLMW."`
	Window     string `default:"causal" enum:"causal,centred" help:"With --size: camera window it was trained with, ${enum}."`
	Head       string `default:"concat" enum:"concat,mlp,attention" help:"With --size: fusion head, ${enum}."`
	Out        string `required:"" placeholder:"DIR" help:"Folder for the checkpoint."`
	Name       string `default:"" help:"Name for the card; the card's own or the size if empty."`
	Data       string `default:"" placeholder:"TEXT" help:"What the weights were trained on, for the card."`
	Split      string `default:"" placeholder:"TEXT" help:"What was trained on and what held out, for the card."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsImportCmd) Help() string {
	return "Every tensor must be there, with its shape and finite values; float64, float16 and bfloat16 become float32.\n\n" +
		"Example:\n\n  posefuse models import trained.safetensors --card start/card.json --data \"MM-Fi, 50 epochs\" --out models/gpu"
}

// importView is what import made.
type importView struct {
	Path       string           `json:"path"`
	Card       model.Card       `json:"card"`
	Conversion model.Conversion `json:"conversion"`
	Notices    []string         `json:"notices,omitempty"`
}

// Run checks the weights and writes a checkpoint.
func (c modelsImportCmd) Run() error {
	if (c.Card == "") == (c.Size == "") {
		return errors.New("models import: which network is it? Give either --card FILE or --size edge|paper")
	}
	if _, err := os.Stat(filepath.Join(c.Out, model.CardFile)); err == nil {
		return fmt.Errorf("models import: %s holds a checkpoint already: choose another folder", c.Out)
	}
	v := importView{Path: c.Out}
	card, err := c.card()
	if err != nil {
		return err
	}
	net, err := model.New(card.Config, 0)
	if err != nil {
		return err
	}
	var sum string
	if v.Conversion, sum, err = net.ReadWeightsFile(c.File); err != nil {
		return fmt.Errorf("models import: %w", err)
	}
	v.Notices = c.adopt(&card, sum)
	if v.Card, err = model.SaveCheckpoint(c.Out, net, card); err != nil {
		return err
	}
	for _, dtype := range slices.Sorted(maps.Keys(v.Conversion.Converted)) {
		v.Notices = append(v.Notices, fmt.Sprintf("%d tensors of type %s became float32", v.Conversion.Converted[dtype], dtype))
	}
	if n := len(v.Conversion.Ignored); n > 0 {
		v.Notices = append(v.Notices, fmt.Sprintf("%d counters num_batches_tracked were left out", n))
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(v)
	}
	for _, n := range v.Notices {
		fmt.Println("note:", n)
	}
	fmt.Printf("%s: %s %s, %d parameters, sha256 %s\nnext: posefuse eval --model %s\n", c.Out, v.Card.Name, v.Card.Version, v.Card.Parameters, v.Card.SHA256, c.Out)
	return nil
}

// card returns the card to start from.
func (c modelsImportCmd) card() (model.Card, error) {
	if c.Card != "" {
		dir := c.Card
		if filepath.Base(dir) == model.CardFile {
			dir = filepath.Dir(dir)
		}
		card, err := model.ReadCard(os.DirFS(dir), ".")
		if err != nil {
			return card, fmt.Errorf("models import: --card %s: %w: want a card.json or its folder", c.Card, err)
		}
		return card, nil
	}
	cfg, err := model.NamedConfig(c.Size)
	if err != nil {
		return model.Card{}, err
	}
	mask, err := modality.Parse(c.Modalities)
	if err != nil {
		return model.Card{}, fmt.Errorf("--modalities: %w", err)
	}
	cfg.Modalities, cfg.Head = mask.String(), c.Head
	return model.Card{Name: c.Size, Config: cfg, Window: model.Window(c.Window)}, nil
}

// adopt makes the card that of the imported weights.
func (c modelsImportCmd) adopt(card *model.Card, sum string) []string {
	notices := card.Adopt(sum)
	sign(card)
	for _, s := range []struct{ to, from *string }{{&card.Name, &c.Name}, {&card.Data, &c.Data}, {&card.Split, &c.Split}} {
		if *s.from != "" {
			*s.to = *s.from
		}
	}
	if card.Data == model.NotStated {
		notices = append(notices, "the card does not say what the weights were trained on: give --data and --split")
	}
	return notices
}
