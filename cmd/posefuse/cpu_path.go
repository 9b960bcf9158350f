package main

import (
	"fmt"
	"os"

	"posefuse/model"
)

// The commands that compute for long say before they start if the CPU path is a
// slow one. The daemon says it in its log.

// AfterApply says if the CPU path is a slow one.
func (benchCmd) AfterApply() error { return saySlowPath() }

// AfterApply says if the CPU path is a slow one.
func (trainCmd) AfterApply() error { return saySlowPath() }

// AfterApply says if the CPU path is a slow one.
func (experimentCmd) AfterApply() error { return saySlowPath() }

// AfterApply says if the CPU path is a slow one.
func (evalCmd) AfterApply() error { return saySlowPath() }

// AfterApply says if the CPU path is a slow one.
func (modelsQuantizeCmd) AfterApply() error { return saySlowPath() }

func saySlowPath() error {
	slow := model.CPUNotice()
	if slow == "" {
		return nil
	}
	_, err := fmt.Fprintln(os.Stderr, "posefuse: slow CPU path:", slow)
	return err
}
