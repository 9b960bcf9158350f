package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/pipeline"
)

type checkCmd struct {
	Config string `arg:"" placeholder:"FILE" help:"Configuration file."`
}

// Help shows the command's example.
func (checkCmd) Help() string { return "Example:\n\n  posefuse check configs/clinic.yaml" }

// Run loads the file as the daemon would and says what is wrong with it. What
// would only take a sensor away, as a file that is not there yet, is a note.
func (c checkCmd) Run() error {
	cfg, err := pipeline.LoadConfig(c.Config, os.Environ())
	if err != nil {
		return err
	}
	if err = errors.Join(checkExercise(cfg), cfg.Bus.CheckFiles()); err != nil {
		return fmt.Errorf("configuration %s: %w", c.Config, err)
	}
	net, card, problems, err := openServing(&cfg)
	if err != nil {
		return err
	}
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, "note: promoted model is not used, an older one serves:", problem)
	}
	inferer, err := pipeline.NewInfererIn(net, card, cfg.Model.Precision)
	if err != nil {
		return err
	}
	if _, err := pipeline.New(pipeline.Options{Config: cfg, Version: version(), Model: inferer}); err != nil {
		return err
	}
	_, notes := cfg.Arrangement(card)
	var wrong []error
	for _, n := range notes {
		if n.Wrong() {
			wrong = append(wrong, errors.New(n.String()))
			continue
		}
		fmt.Fprintln(os.Stderr, "note:", n)
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("configuration %s: %w", c.Config, err)
	}
	for _, note := range append(cfg.Sensors.OpenInputs(), cfg.Bus.CertificateNotes(time.Now())...) {
		fmt.Fprintln(os.Stderr, "note:", note)
	}
	if info, err := os.Stat(cfg.StateDir); err == nil && !info.IsDir() {
		return fmt.Errorf("configuration %s: state_dir: %s is a file; name a folder", c.Config, cfg.StateDir)
	}
	if err := unix.Access(cfg.StateDir, unix.W_OK); errors.Is(err, unix.EROFS) {
		fmt.Fprintf(os.Stderr, "note: state_dir: %s: %v; the daemon measures and keeps nothing until it may write there\n", cfg.StateDir, err)
	}
	files := cfg.Sensors.Files()
	for _, key := range slices.Sorted(maps.Keys(files)) {
		if _, err := os.Stat(files[key]); err != nil {
			fmt.Fprintf(os.Stderr, "note: %s: %v; the sensor stays down until it is there\n", key, err)
		}
	}
	fmt.Printf("%s: ok (room %s)\n", c.Config, cfg.Room)
	return nil
}
