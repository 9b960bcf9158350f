package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"posefuse/model/shipped"
	"posefuse/train"
)

type modelsSamplesCmd struct {
	dataFlags
	Model     string `placeholder:"DIR" help:"Checkpoint the samples are for, e.g. the one export --safetensors wrote; the shipped edge model if empty."`
	Stride    int    `default:"1" help:"Take every n-th frame for training."`
	ValStride int    `default:"4" help:"Take every n-th frame for validation."`
	Out       string `required:"" placeholder:"DIR" help:"Folder to write; it must not hold samples yet."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Help shows the command's example.
func (modelsSamplesCmd) Help() string {
	return "Writes what training here would see, after preprocessing: raw little-endian float32, one file per array\n" +
		"in train/ and val/, one row per sample, and samples.json with the shapes. MM-Fi's protocol 1 at paper size\n" +
		"takes 7 GB.\n\n" +
		"Example:\n\n  posefuse models samples --mmfi /data/mmfi --protocol 1 --split s1 --model start --out samples"
}

// Run prepares the clips a few at a time and appends them to the files.
func (c modelsSamplesCmd) Run(ctx context.Context) error {
	if c.Stride < 1 || c.ValStride < 1 {
		return fmt.Errorf("--stride %d, --val-stride %d: want at least 1", c.Stride, c.ValStride)
	}
	if _, err := os.Stat(filepath.Join(c.Out, train.SamplesFile)); err == nil {
		return fmt.Errorf("models samples: %s holds samples already: choose another folder", c.Out)
	}
	net, card, err := shipped.Open(c.Model)
	if err != nil {
		return err
	}
	if err = net.Close(); err != nil {
		return err
	}
	split, err := c.choose()
	if err != nil {
		return err
	}
	show, done := progressOf()
	v, err := train.WriteSamples(ctx, c.Out, split, card.Config, train.SampleOptions{Window: card.Window, Stride: c.Stride, ValStride: c.ValStride, Progress: show})
	done()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(v)
	}
	fmt.Printf("%s: %d training and %d validation samples of %s\n", c.Out, v.Parts["train"].Samples, v.Parts["val"].Samples, v.Data)
	return nil
}
