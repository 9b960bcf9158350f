package baseline

import (
	"errors"
	"fmt"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// singles are networks of one modality each, run side by side.
type singles struct {
	runs   [modality.Count]*model.Runtime // nil for a modality without network
	mask   modality.Set
	params int

	poses   [modality.Count][]float32 // of the last infer
	present []modality.Set            // of it, per sample
}

// place returns the modality of a network that can be added.
func (p *singles) place(net *model.Network) (modality.Kind, error) {
	for m := range modality.Count {
		switch {
		case net.Config.Mask() != modality.Of(m):
		case p.mask.Has(m):
			return 0, errors.New("the modality has a network already")
		default:
			return m, nil
		}
	}
	return 0, errors.New("want a network of one modality")
}

func (p *singles) add(net *model.Network) error {
	m, err := p.place(net)
	if err != nil {
		return err
	}
	if p.runs[m], err = model.NewRuntime(net); err != nil {
		return err
	}
	p.mask |= 1 << m
	p.params += net.NumParameters()
	return nil
}

// infer runs every network on n samples and leaves poses, features and who is
// present; what is absent is computed all the same and left out later.
func (p *singles) infer(b *model.Batch, n int) error {
	if b.Present != nil && len(b.Present) != n {
		return fmt.Errorf("presence given for %d samples, want %d", len(b.Present), n)
	}
	all := *b
	all.Present = nil
	for m, r := range p.runs {
		if r == nil {
			continue
		}
		if len(p.poses[m]) != n*model.OutputDim {
			p.poses[m] = make([]float32, n*model.OutputDim)
		}
		if err := r.InferBatch(&all, n, p.poses[m]); err != nil {
			return err
		}
	}
	p.present = p.present[:0]
	for s := range n {
		has := modality.All
		if b.Present != nil {
			has = b.Present[s]
		}
		p.present = append(p.present, has)
	}
	return nil
}

// feature returns what the encoder of m made of sample s of the last infer.
func (p *singles) feature(m modality.Kind, s int) []float32 {
	return p.runs[m].Features()[m][s*model.FeatureDim:][:model.FeatureDim]
}

// Modalities implements Predictor.
func (p *singles) Modalities() modality.Set { return p.mask }

// NumParameters implements Predictor.
func (p *singles) NumParameters() int { return p.params }

// Close implements Predictor. The networks remain.
func (p *singles) Close() error {
	var errs []error
	for _, r := range p.runs {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}
