package train

import (
	"posefuse/balance"
)

// OGMGE is on-the-fly gradient modulation with generalisation enhancement.
const OGMGE = "ogm-ge"

var (
	ogmgeAlpha = &Constant{Key: "ogm_ge_alpha", Option: strengthOption, Default: 0.3, Below: 1e9} // 0.1 to 0.8 make sense
	// modulateEpochs bounds the epochs in which OGM-GE and AGM act; 0 = all.
	modulateEpochs = &Constant{Key: "modulate_epochs", Default: 0}
)

var ogmgeMethod = MethodDescriptor{
	Name: OGMGE, Label: "OGM-GE",
	Doc:       "scales the gradients of encoders that predict better alone by 1 − tanh(α·ratio) and adds noise of the gradient's spread",
	Source:    "Peng et al. 2022",
	Constants: []*Constant{ogmgeAlpha, modulateEpochs}, Tuned: tunes(ogmgeAlpha, "α"),
	Generation: 1,
	New: func(set MethodSettings) Method {
		return &ogmge{rule: balance.OGMGE{Alpha: set.Float(ogmgeAlpha), Noise: true}, epochs: set.Int(modulateEpochs)}
	},
}

// ogmge is on-the-fly gradient modulation: a modality whose own prediction is
// better gets smaller gradients in its encoder, and noise.
type ogmge struct {
	stateless
	rule   balance.OGMGE
	epochs int
	score  []float64
	k      []float64
}

func (o *ogmge) AfterBackward(s *Session) error {
	if o.epochs > 0 && s.Epoch >= o.epochs || len(s.Encoders) < 2 {
		return nil
	}
	alone, err := s.AloneErrors()
	if err != nil {
		return err
	}
	o.score = o.score[:0]
	for _, e := range alone {
		o.score = append(o.score, 1/max(e, 1e-9))
	}
	o.k = o.rule.Coefficients(o.k[:0], o.score)
	rng := s.draws("ogm", s.Count)
	for i, e := range s.Encoders {
		s.Log("k "+e.letter, o.k[i])
		for t, g := range e.gradient {
			if e.rank[t] > 1 {
				o.rule.Modulate(g, o.k[i], rng)
			}
		}
	}
	return nil
}

func (*ogmge) Descriptor() *MethodDescriptor { return &ogmgeMethod }

func (o *ogmge) Settings() any {
	return map[string]any{"alpha": o.rule.Alpha, "noise": o.rule.Noise, "epochs": o.epochs}
}
