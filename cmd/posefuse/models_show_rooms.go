package main

import (
	"fmt"
	"maps"
	"slices"

	"posefuse/model"
)

// showRooms prints what a card says of the rooms that its model is for: recipe,
// arrangement, the ranges in which it holds and the rooms in which it does not.
func showRooms(line func(name, format string, args ...any), c *model.Card) {
	line("recipe", "%s", c.Config.RecipeName())
	if c.Config.Recipe != model.RecipeRoom {
		a := c.TrainedIn()
		line("trained in", "camera at %.2f m, LiDAR %.2f m, radar %.2f m, person %.2f m ahead, focal length %.3f picture widths",
			a.CameraHeightM, a.LiDARHeightM, a.RadarHeightM, a.DistanceM, a.FocalPerWidth)
	}
	e := c.Envelope
	if e == nil {
		line("holds in", "not measured: posefuse eval --world FILE --card DIR")
		return
	}
	line("holds in", "%.1f mm in its own arrangement, at most %.2g times that (%s, %d frames a room)", e.BaseMM, e.MaxRatio, e.Data, e.Frames)
	for _, q := range slices.Sorted(maps.Keys(e.Ranges)) {
		r := e.Ranges[q]
		span := fmt.Sprintf("%.4g to %.4g", r.Min, r.Max)
		if r.Min == r.Max {
			span = fmt.Sprintf("%.4g only", r.Min)
		}
		line("  "+string(q), "%s: %.0f mm at most (x %.2f)", span, r.MM, r.Ratio)
	}
	for _, r := range e.Rooms {
		if r.Ratio > e.MaxRatio {
			line("  not with", "%s: %.0f mm (x %.2f)", r.Name, r.MM, r.Ratio)
		}
	}
}
