package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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

// aloneFirst returns the encoders of --alone-first, in the order of their letters.
func (c trainCmd) aloneFirst() (out []train.AloneFirst, err error) {
	for _, letter := range slices.Sorted(maps.Keys(c.AloneFirst)) {
		mask, err := modality.Parse(letter)
		if err != nil || mask == 0 || mask&(mask-1) != 0 {
			return nil, fmt.Errorf("--alone-first %s=%d: want one letter of RLMW", letter, c.AloneFirst[letter])
		}
		for m := range mask.Kinds() {
			out = append(out, train.AloneFirst{Modality: m, Epochs: c.AloneFirst[letter]})
		}
	}
	return out, nil
}

// tellStopped tells of the folder in which the training stopped.
func (c trainCmd) tellStopped(err error, epoch int) error {
	out := c.Out
	if alone, ok := errors.AsType[*train.AloneError](err); ok {
		out, epoch = alone.Out, alone.Epoch
	}
	return tellStopped(err, out, epoch)
}
