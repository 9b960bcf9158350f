package main

import (
	"io"

	"posefuse/configs"
)

type configCmd struct{}

// Help shows the command's example.
func (configCmd) Help() string {
	return "Every key with its default and what it means. Keep what you change.\n\nExample:\n\n  posefuse config > posefuse.yaml"
}

// Run prints the file.
func (configCmd) Run(out io.Writer) error {
	_, err := out.Write(configs.Default)
	return err
}
