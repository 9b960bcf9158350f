package train

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"posefuse/balance"
)

// AWC is the adaptive weight constraint.
const AWC = "awc"

// The constants of AWC.
var (
	paperAWC = balance.BatchFisherAWC()

	AWCAlphaSuperior = &Constant{Key: "awc.alpha_superior", Option: "alpha-superior", Help: "AWC: coefficient of the modalities that contribute most.",
		Default: paperAWC.AlphaSuperior, Want: "a finite number from 0"}
	AWCAlphaInferior = &Constant{Key: "awc.alpha_inferior", Option: "alpha-inferior", Help: "AWC: coefficient of the others.",
		Default: paperAWC.AlphaInferior, Want: "a finite number from 0"}
	AWCWindow = &Constant{Key: "awc.window", Option: "awc-window", Help: "AWC: epochs in which the constraint acts.",
		Default: paperAWC.Window, Want: "a number of epochs from 0"}
	awcFisherBatches = &Constant{Key: "awc.fisher_batches", Option: "fisher-batches", Help: "AWC and inforeg: batches per epoch that the Fisher information is taken from; 0 for all.",
		Default: paperAWC.FisherBatches, Want: "a number from 0 (0 = the whole training set)"}
	AWCPerSample = &Constant{Key: "awc.per_sample", Option: "fisher-samples", Help: "AWC: square gradients of single samples instead of batches; each costs a batch.",
		Default: paperAWC.PerSample}
	awcHalf      = &Constant{Key: "awc.half", Default: paperAWC.Half}
	awcSmoothing = &Constant{Key: "awc.smoothing", Option: "smoothing", Help: "AWC: contributions the split is made from.",
		Default: string(paperAWC.Smoothing), Words: []string{string(balance.ByBatch), string(balance.ByEpochMean), string(balance.ByPreviousEpoch)}}

	// Of experiments that take the constraint apart.
	awcFrom = &Constant{Key: "awc.from", Default: 0, Want: "the first epoch in which the constraint acts, from 0"}
	awcForm = &Constant{Key: "awc.fisher", Default: asMeasured, Words: []string{asMeasured, string(balance.Mean), string(balance.Permuted)}}
	awcOnly = &Constant{Key: "awc.only", Default: everyEncoder, Words: []string{everyEncoder, "R", "L", "M", "W", "not R", "not L", "not M", "not W"}}
)

var awcMethod = MethodDescriptor{
	Name: AWC, Label: "AWC",
	Doc:       "in the first epochs, holds each encoder near where it stood at the epoch's start, weighted by its Fisher information (Eqs 6–8), the modalities that contribute most more strongly",
	Source:    "the paper, Eqs 6–8 and Algorithm 1",
	Constants: []*Constant{AWCAlphaSuperior, AWCAlphaInferior, AWCWindow, awcFisherBatches, AWCPerSample, awcHalf, awcSmoothing, awcFrom, awcForm, awcOnly},
	Tuned: Tuned{"α of the superior modalities; the inferior ones get half", func(set *MethodSettings, c float64) {
		set.Set(AWCAlphaSuperior, c)
		set.Set(AWCAlphaInferior, c/2)
	}},
	Generation: 1,
	New: func(set MethodSettings) Method {
		return &awc{opt: balance.AWCOptions{
			AlphaSuperior: set.Float(AWCAlphaSuperior), AlphaInferior: set.Float(AWCAlphaInferior), Window: set.Int(AWCWindow),
			FisherBatches: set.Int(awcFisherBatches), PerSample: set.Bool(AWCPerSample), Half: set.Bool(awcHalf),
			Smoothing: balance.Smoothing(set.Word(awcSmoothing)), From: set.Int(awcFrom),
			Form: balance.Form(but(set.Word(awcForm), asMeasured)), Only: balance.Encoders(but(set.Word(awcOnly), everyEncoder)),
		}}
	},
}

// The words of the defaults, which are empty in balance.
const (
	asMeasured   = "diagonal"
	everyEncoder = "all"
)

func but(word, usual string) string {
	if word == usual {
		return ""
	}
	return word
}

// awc is the adaptive weight constraint (Eqs 6-8, Algorithm 1): in the first
// epochs every encoder is held near where it stood at the epoch's start, by
// its Fisher information, the modalities that contribute most more strongly.
type awc struct {
	opt       balance.AWCOptions
	phi       balance.Smoother
	constrain []balance.Constraint // of each encoder
}

// active reports whether the learning window is open.
func (a *awc) active(s *Session) bool {
	return s.Epoch >= a.opt.From && s.Epoch < a.opt.From+a.opt.Window && len(s.Encoders) > 1
}

func (a *awc) StartEpoch(s *Session) error {
	if !a.active(s) {
		a.constrain = nil
		return nil
	}
	if a.constrain == nil {
		a.constrain = make([]balance.Constraint, len(s.Encoders))
	}
	f, err := s.fisher(a.opt.FisherBatches, a.opt.PerSample)
	if err != nil {
		return err
	}
	for i, e := range s.Encoders {
		a.constrain[i].Anchor(e.value...)
		a.constrain[i].Fisher = f[i].Diagonal()
		a.opt.Form.Apply(a.constrain[i].Fisher, rand.New(rand.NewPCG(s.opt.Seed, uint64(s.Epoch)<<8|uint64(i))).IntN)
	}
	return nil
}

func (a *awc) AfterBackward(s *Session) error {
	if !a.active(s) {
		return nil
	}
	a.phi.Add(s.Phi)
	superior := balance.Split(a.phi.Smoothed(a.opt.Smoothing, s.Phi))
	for i, e := range s.Encoders {
		if !a.opt.Only.Has(e.letter) {
			continue
		}
		pull, err := a.constrain[i].Apply(a.opt.Alpha(superior, i), a.opt.Half, e.value, e.gradient)
		if err != nil {
			return fmt.Errorf("%s: %w", e.letter, err)
		}
		s.Log("ratio "+e.letter, pull.Ratio())
		s.Log("constraint_mm "+e.letter, 1000*pull.Loss)
		s.Log("superior "+e.letter, float64(superior>>i&1))
	}
	return nil
}

func (a *awc) EndEpoch(*Session) error { a.phi.EndEpoch(); return nil }

func (*awc) Descriptor() *MethodDescriptor { return &awcMethod }

func (a *awc) Settings() any { return a.opt }

func (a *awc) State() (json.RawMessage, error) { return json.Marshal(a.phi.Previous) }

func (a *awc) Resume(b json.RawMessage) error { return json.Unmarshal(b, &a.phi.Previous) }
