package train

import (
	"fmt"

	"posefuse/recording"
)

// OnlyClips returns a view of the data with the clips of keys, in that order.
// It shares the samples: an experiment loads its clips once for many
// trainings.
func (d *Data) OnlyClips(keys []recording.Key) (*Data, error) {
	have := make(map[recording.Key]*ClipData, len(d.Clips))
	for _, c := range d.Clips {
		have[c.Key] = c
	}
	view := *d
	view.Clips, view.Samples = make([]*ClipData, len(keys)), nil
	for i, k := range keys {
		c := have[k]
		if c == nil {
			return nil, fmt.Errorf("clip %s was not loaded from %s", k, d.source)
		}
		view.Clips[i] = c
		for r := range c.Frames {
			view.Samples = append(view.Samples, SampleRef{i, r})
		}
	}
	if len(view.Samples) == 0 {
		return nil, fmt.Errorf("no frames in %d clips of %s", len(keys), d.source)
	}
	return &view, nil
}
