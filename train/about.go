package train

import "posefuse/model"

// About says what a report is of, so that two files can be told apart.
type About struct {
	Model        string   `json:"model,omitempty"` // name and version
	SHA256       string   `json:"model_sha256,omitempty"`
	Modalities   string   `json:"modalities,omitempty"`
	Head         string   `json:"head,omitempty"`
	Split        string   `json:"split,omitempty"`     // protocol and split, or what was chosen instead
	Selection    string   `json:"selection,omitempty"` // which epoch's weights
	Stride       int      `json:"stride"`              // every n-th frame was evaluated
	Clips        int      `json:"clips"`
	MissingClips int      `json:"missing_clips"` // of the split, not in the data
	BrokenClips  int      `json:"broken_clips"`  // skipped
	BrokenFrames int      `json:"broken_frames"`
	LeftOut      int      `json:"frames_left_out"` // by the data set's design
	Warnings     []string `json:"warnings,omitempty"`
}

// Of fills in what model and split the report is of.
func (a *About) Of(card *model.Card, cfg model.Config, split string, missing int) {
	a.Model, a.SHA256, a.Modalities, a.Head = card.Name, card.SHA256, cfg.Mask().String(), cfg.Head
	if card.Version != "" {
		a.Model += " " + card.Version
	}
	a.Selection = "the checkpoint's weights"
	if card.Notes != "" {
		a.Selection = card.Notes
	}
	a.Split, a.MissingClips = split, missing
}

// about fills in what the data tells of itself.
func (a *About) about(d *Data) {
	a.Clips, a.Stride = len(d.Clips), max(d.stride, 1)
	for _, c := range d.Clips {
		a.LeftOut += c.LeftOut
	}
	if d.left != nil {
		a.BrokenClips, a.BrokenFrames = d.left.clips, d.left.frames
	}
	a.Warnings = d.Warnings()
}
