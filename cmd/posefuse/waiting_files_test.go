package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"posefuse/exercise"
	"posefuse/internal/testenv"
	"posefuse/message"
	"posefuse/recording/label"
	"posefuse/setting"
)

// nobody takes what a tracker says.
type nobody struct{}

func (nobody) Event(*message.ExerciseEvent)     {}
func (nobody) Summary(*message.ExerciseSummary) {}
func (nobody) Notice(string, string)            {}

// TestFilesThatWouldHang: a FIFO, a device or a folder in the place of a file that a
// command is given is refused at once.
func TestFilesThatWouldHang(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo.csv")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	tracker, err := exercise.NewTracker(exercise.Config{Room: "room1"}, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]func(path string) error{
		"decode":         func(path string) error { return decodeCmd{File: path, Format: "auto"}.Run(io.Discard) },
		"restore":        func(path string) error { return restoreCmd{Archive: path, State: t.TempDir()}.Run() },
		"exercise check": func(path string) error { return feedPoses(context.Background(), path, tracker) },
		"calibrate":      func(path string) error { _, err := readPictureFile(path); return err },
		"train --manual": func(path string) error { _, _, err := dataFlags{Manual: path}.wanted(); return err },
		"labels":         func(path string) error { _, err := label.Read(path, 100); return err },
		"labels' sum":    func(path string) error { _, err := fileSum(path); return err },
	}
	for name, f := range read {
		for _, path := range []string{fifo, "/dev/zero", "/dev/null", filepath.Dir(fifo)} {
			done := make(chan error, 1)
			go func() { done <- f(path) }()
			if err := testenv.Receive(t, name+" of "+path, done); !errors.Is(err, setting.ErrNotRegular) {
				t.Errorf("%s of %s: %v", name, path, err)
			}
		}
	}
}
