package train

import (
	"encoding/json"
	"fmt"

	"posefuse/balance"
)

// GBlending is G-Blending.
const GBlending = "g-blending"

var (
	// blendEvery is the length of the super-epoch.
	blendEvery = &Constant{Key: "blend_every", Option: "blend-every", Help: "G-Blending: epochs between two measurements of the weights.", Default: 10, From: 1}
	blendTrial = &Constant{Key: "blend_trial", Option: "blend-trial", Help: "G-Blending: epochs each trial trains.", Default: 1, From: 1}
)

var gblendingMethod = MethodDescriptor{
	Name: GBlending, Label: "G-Blending",
	Doc:        "adds each modality's own loss; trials every few epochs measure generalisation and overfitting, which decide the weights",
	Source:     "Wang et al. 2020",
	Constants:  []*Constant{blendEvery, blendTrial},
	Tuned:      Tuned{"epochs between two blends", func(set *MethodSettings, c float64) { set.Set(blendEvery, int(c)) }},
	Needs:      Needs{Branches: true, HeldOut: true},
	Generation: 2, // its trials follow the schedule of the learning rate
	New: func(set MethodSettings) Method {
		return &gblending{every: set.Int(blendEvery), trial: set.Int(blendTrial)}
	},
}

// gblending is G-Blending: every super-epoch each single modality and the
// whole network are trained for a trial from where training stands; by how
// much each then generalises and overfits decides the weight of its loss until
// the next super-epoch.
type gblending struct {
	every, trial int
	weights      []float64 // of the modalities, then of the whole network
}

func (g *gblending) StartEpoch(s *Session) error {
	if len(s.Encoders) < 2 {
		return nil
	}
	if s.Epoch%g.every == 0 {
		if err := g.measure(s); err != nil {
			return err
		}
	}
	n := len(s.Encoders)
	for i, e := range s.Encoders {
		s.Log("weight "+e.letter, g.weights[i])
	}
	s.Log("weight joint", g.weights[n])
	return s.SetLossWeights(g.weights[n], g.weights[:n])
}

// measure runs the trials and leaves the weights. A trial starts from the
// network and the optimiser as they are, which it gets back after it.
func (g *gblending) measure(s *Session) error {
	if s.opt.Validation == nil {
		return fmt.Errorf("%s needs validation data to measure overfitting on: hold out some training subjects", GBlending)
	}
	n := len(s.Encoders)
	before := s.snapshot()
	rng := s.draws("gbl", uint64(s.Epoch))
	// As many training samples as validation samples tell the training loss.
	known := make([]SampleRef, min(len(s.opt.Validation.Samples), len(s.Data.Samples)))
	for i, at := range rng.Perm(len(s.Data.Samples))[:len(known)] {
		known[i] = s.Data.Samples[at]
	}
	learned := make([]balance.Learned, n+1)
	for b := range learned {
		mask := s.Net.Config.Mask()
		joint, weights := 1.0, make([]float64, n)
		if b < n {
			mask = 1 << s.Encoders[b].modality
			joint, weights[b] = 0, 1
		}
		l := &learned[b]
		var err error
		measure := func(data *Data, samples []SampleRef, to *float64) {
			if err == nil {
				*to, err = s.errorOn(data, samples, mask)
			}
		}
		measure(s.Data, known, &l.TrainStart)
		measure(s.opt.Validation, s.opt.Validation.Samples, &l.ValStart)
		if err == nil {
			err = s.SetLossWeights(joint, weights)
		}
		if err == nil {
			err = s.trialEpochs(g.trial)
		}
		measure(s.Data, known, &l.TrainEnd)
		measure(s.opt.Validation, s.opt.Validation.Samples, &l.ValEnd)
		if back := s.restore(before); err == nil {
			err = back
		}
		if err != nil {
			return fmt.Errorf("trial of %s: %w", mask, err)
		}
	}
	g.weights = balance.BlendWeights(g.weights[:0], learned)
	return nil
}

func (g *gblending) AfterBackward(*Session) error { return nil }
func (g *gblending) EndEpoch(*Session) error      { return nil }

func (*gblending) Descriptor() *MethodDescriptor { return &gblendingMethod }

func (g *gblending) Settings() any { return map[string]int{"every": g.every, "trial": g.trial} }

func (g *gblending) State() (json.RawMessage, error) { return json.Marshal(g.weights) }
func (g *gblending) Resume(b json.RawMessage) error  { return json.Unmarshal(b, &g.weights) }
