package train

import (
	"encoding/json"
	"math/rand/v2"

	"posefuse/balance"
)

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
	rng := rand.New(rand.NewPCG(s.opt.Seed^0x6f676d, s.Count)) //nolint:gosec // reproducible noise
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

// Settings returns the name and the constants.
func (o *ogmge) Settings() (string, any) {
	return OGMGE, map[string]any{"alpha": o.rule.Alpha, "noise": o.rule.Noise, "epochs": o.epochs}
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

// Settings returns the name and the constants.
func (a *agm) Settings() (string, any) {
	return AGM, map[string]any{"alpha": a.rule.Alpha, "epochs": a.epochs}
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
