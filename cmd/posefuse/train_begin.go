package main

import (
	"fmt"
	"strings"

	"posefuse/model"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// begin opens the checkpoints of --begin.
func (c trainCmd) begin() ([]train.Begin, error) {
	var out []train.Begin
	for _, text := range c.Begin {
		b := train.Begin{}
		letters, dir, named := strings.Cut(text, "=")
		if !named {
			dir = letters
		} else {
			set, err := modality.Parse(letters)
			if err != nil {
				return nil, fmt.Errorf("--begin %s: %w", text, err)
			}
			b.Modalities = set
		}
		var err error
		if b.From, b.Card, err = model.LoadCheckpoint(dir); err != nil {
			return nil, fmt.Errorf("--begin %s: %w", text, err)
		}
		if b.Card.Quantization != nil {
			return nil, fmt.Errorf("--begin %s: its weights are for %s; give the checkpoint that it was made from", text, b.Card.Precision())
		}
		out = append(out, b)
	}
	return out, nil
}

// foundBy returns the modalities of --found-by, 0 without it.
func (c trainCmd) foundBy(mask modality.Set) (modality.Set, error) {
	if c.FoundBy == "" {
		return 0, nil
	}
	by, err := modality.Parse(c.FoundBy)
	if err != nil {
		return 0, fmt.Errorf("--found-by: %w", err)
	}
	if missing := mask &^ by; missing != 0 {
		return 0, fmt.Errorf("--found-by %s: lacks %s of --modalities %s", by, missing, mask)
	}
	return by, nil
}
