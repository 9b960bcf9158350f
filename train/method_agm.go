package train

import (
	"encoding/json"

	"posefuse/balance"
)

// AGM is adaptive gradient modulation.
const AGM = "agm"

// agmAlpha is in the exponent of errors relative to their mean.
var agmAlpha = &Constant{Key: "agm_alpha", Option: strengthOption, Default: 1.0, Below: 1e9}

var agmMethod = MethodDescriptor{
	Name: AGM, Label: "AGM",
	Doc:       "scales what flows into a modality's own part of the prediction by how far it is ahead of its past",
	Source:    "Li et al. 2023",
	Constants: []*Constant{agmAlpha, modulateEpochs}, Tuned: tunes(agmAlpha, "α"),
	Generation: 1,
	New: func(set MethodSettings) Method {
		return &agm{rule: balance.AGM{Alpha: set.Float(agmAlpha)}, epochs: set.Int(modulateEpochs)}
	},
}

// agm is adaptive gradient modulation: what flows back into a modality's own
// part of the prediction is scaled by how far it is ahead of its past. With a
// linear head that part is W^m f^m, so W^m is scaled with the encoder; with
// other heads only the encoder is.
type agm struct {
	rule   balance.AGM
	epochs int
	score  []float64
	k      []float64
}

func (a *agm) StartEpoch(*Session) error { return nil }
func (a *agm) EndEpoch(*Session) error   { return nil }

func (a *agm) AfterBackward(s *Session) error {
	if a.epochs > 0 && s.Epoch >= a.epochs || len(s.Encoders) < 2 {
		return nil
	}
	alone, err := s.AloneErrors()
	if err != nil {
		return err
	}
	mean := 0.0
	for _, e := range alone {
		mean += e / float64(len(alone))
	}
	a.score = a.score[:0]
	for _, e := range alone {
		a.score = append(a.score, e/max(mean, 1e-9)) // so that the exponent is of order one
	}
	a.k = a.rule.Coefficients(a.k[:0], a.score)
	for i, e := range s.Encoders {
		s.Log("k "+e.letter, a.k[i])
		for _, g := range e.gradient {
			scale(g, float32(a.k[i]))
		}
		s.scaleHead(i, float32(a.k[i]))
	}
	return nil
}

func (*agm) Descriptor() *MethodDescriptor { return &agmMethod }

func (a *agm) Settings() any {
	return map[string]any{"alpha": a.rule.Alpha, "epochs": a.epochs}
}

type agmState struct {
	Mean  []float64 `json:"mean"`
	Count int       `json:"count"`
}

func (a *agm) State() (json.RawMessage, error) {
	return json.Marshal(agmState{a.rule.Mean, a.rule.Count})
}

func (a *agm) Resume(b json.RawMessage) error {
	var st agmState
	if err := json.Unmarshal(b, &st); err != nil {
		return err
	}
	a.rule.Mean, a.rule.Count = st.Mean, st.Count
	return nil
}
