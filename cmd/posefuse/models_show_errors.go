package main

import (
	"maps"
	"slices"

	"posefuse/model"
)

// showErrors prints how far off the poses of a model are, by set of sensors.
func showErrors(line func(name, format string, args ...any), k *model.KnownErrors) {
	if k == nil {
		line("known errors", "not measured, so sigma_mm is null: posefuse eval --card DIR")
		return
	}
	line("known errors", "%d frames of %d people (%s)", k.Frames, k.People, k.Data)
	for _, name := range slices.SortedFunc(maps.Keys(k.Coalitions), byLength) {
		c := k.Coalitions[name]
		line("  "+name, "%.0f mm; sigma %.0f mm, within %.2f / %.2f / %.2f of it %.0f / %.0f / %.0f %%", c.MPJPEMM, meanOf(c.SigmaMM[:]),
			c.RadiiSigma["50"], c.RadiiSigma["80"], c.RadiiSigma["95"], 100*c.Coverage["50"], 100*c.Coverage["80"], 100*c.Coverage["95"])
	}
}

// meanOf returns the mean of some values, 0 of none.
func meanOf(x []float64) (mean float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	return mean
}
