package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"posefuse/study/plot"
	"posefuse/train"
)

// drawCurve draws the training's curves into its folder, SVG and PNG, and says
// which.
func drawCurve(dir, data string) error {
	curve, err := plot.ReadCurveFile(filepath.Join(dir, train.CurveFile))
	if err != nil {
		return err
	}
	names, err := plot.Training(dir, curve, data)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "plots in %s: %s (svg, png)\n", dir, strings.Join(names, ", "))
	return nil
}
