package train

import (
	"context"

	"posefuse/model"
	"posefuse/recording"
)

// Selection is clips of a data set, or one part of each.
type Selection struct {
	Data recording.Dataset
	Keys []recording.Key
	Part Part
	// SkipBroken is that of LoadOptions.
	SkipBroken bool
}

// Load prepares every stride-th frame of the clips, see Load.
func (s Selection) Load(ctx context.Context, cfg model.Config, window model.Window, stride int, progress func(done, total int)) (*Data, error) {
	return Load(ctx, s.Data, s.Keys, cfg, LoadOptions{Window: window, Stride: stride, Part: s.Part, SkipBroken: s.SkipBroken, Progress: progress})
}

// Split says which recordings are trained on, which are evaluated while or right
// after training, and which a trained model is judged by.
type Split struct {
	Name                    string // for cards and reports
	Missing                 int    // validation clips that the data lacks
	Train, Validation, Test Selection
	HeldOut                 Selection // taken from the training clips: scored after each epoch
}
