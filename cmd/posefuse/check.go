package main

import (
	"fmt"
	"os"

	"posefuse/pipeline"
)

type checkCmd struct {
	Config string `arg:"" placeholder:"FILE" help:"Configuration file."`
}

// Help shows the command's example.
func (checkCmd) Help() string { return "Example:\n\n  posefuse check configs/clinic.yaml" }

// Run loads the file as the daemon would and says what is wrong with it.
func (c checkCmd) Run() error {
	cfg, err := pipeline.LoadConfig(c.Config, os.Environ())
	if err != nil {
		return err
	}
	net, card, err := loadModel(cfg.Model.Path)
	if err != nil {
		return fmt.Errorf("model.path: %w", err)
	}
	inferer, err := pipeline.NewInferer(net, card)
	if err != nil {
		return err
	}
	if _, err := pipeline.New(pipeline.Options{Config: cfg, Version: version(), Model: inferer}); err != nil {
		return err
	}
	fmt.Printf("%s: ok (room %s)\n", c.Config, cfg.Room)
	return nil
}
