package train

import (
	"fmt"
	"maps"
	"slices"

	"posefuse/frame"
	"posefuse/model"
)

// Doubts returns, a line each, what makes it doubtful that a network trained on the
// data is of use elsewhere: one movement only and, for a network for any room,
// sensors that stand outside the ranges of e, where another such network was seen to
// hold.
func (d *Data) Doubts(e *model.Envelope) (lines []string) {
	activities := map[int]bool{}
	beyond := map[frame.Quantity]int{} // clips
	worst := map[frame.Quantity]model.Excess{}
	for _, c := range d.Clips {
		activities[c.Key.Activity] = true
		if c.Rig == nil || e == nil || d.cfg.Recipe != model.RecipeRoom {
			continue
		}
		for _, x := range e.Outside(c.Rig.Measure()) {
			beyond[x.Quantity]++
			if w, seen := worst[x.Quantity]; !seen || x.Far() > w.Far() {
				worst[x.Quantity] = x
			}
		}
	}
	if len(activities) == 1 {
		lines = append(lines, fmt.Sprintf("all %d clips show activity A%02d: of other movements the network learns nothing", len(d.Clips), d.Clips[0].Key.Activity))
	}
	for _, q := range slices.Sorted(maps.Keys(beyond)) {
		x := worst[q]
		lines = append(lines, fmt.Sprintf("in %d of %d clips %s is outside %.4g to %.4g, at worst %.4g, and the shipped network, which saw rooms around these, was seen to hold only there: measure the new one with posefuse eval --world",
			beyond[q], len(d.Clips), q, x.Range.Min, x.Range.Max, x.Value))
	}
	return lines
}
