package mars

import (
	"fmt"
	"slices"

	"posefuse/recording"
)

// HoldOut divides the clips of a data set: those of a subject, to test on, and
// those of the others.
func HoldOut(ds recording.Dataset, subject int) (rest, held []recording.Key, err error) {
	var subjects []int
	for _, k := range ds.Keys() {
		subjects = append(subjects, k.Subject)
		if k.Subject == subject {
			held = append(held, k)
		} else {
			rest = append(rest, k)
		}
	}
	if len(held) == 0 || len(rest) == 0 {
		slices.Sort(subjects)
		return nil, nil, fmt.Errorf("%s has the subjects %v; hold out one of several", ds.Describe(), slices.Compact(subjects))
	}
	return rest, held, nil
}
