package train

import (
	"encoding/json"

	"posefuse/balance"
	"posefuse/model"
)

// infoReg is what AWC grew from: while the Fisher trace still rises, the
// encoders of modalities ahead of the mean are held near the epoch's start, all
// parameters alike.
type infoReg struct {
	rule    *balance.InfoReg
	batches int
	start   [][]float32 // of each encoder, flat
	beta    []float64
	score   []float64
}

func (r *infoReg) StartEpoch(s *Session) error {
	if len(s.Encoders) < 2 {
		return nil
	}
	f, err := s.fisher(r.batches, false)
	if err != nil {
		return err
	}
	trace := 0.0
	r.start = r.start[:0]
	for i, e := range s.Encoders {
		f[i].Diagonal()
		trace += f[i].Trace()
		r.start = append(r.start, flat(e.value))
	}
	s.Log("fisher_trace", trace)
	r.rule.EndEpoch(trace)
	return nil
}

func (r *infoReg) AfterBackward(s *Session) error {
	if len(s.Encoders) < 2 {
		return nil
	}
	r.score = r.score[:0]
	for _, p := range s.Phi {
		r.score = append(r.score, p/model.OutputDim) // mean correlation per coordinate
	}
	r.beta = r.rule.Coefficients(r.beta[:0], r.score)
	for i, e := range s.Encoders {
		s.Log("beta "+e.letter, r.beta[i])
		if r.beta[i] == 0 {
			continue
		}
		at := 0
		for t, v := range e.value {
			r.rule.Pull(r.beta[i], v, r.start[i][at:at+len(v)], e.gradient[t])
			at += len(v)
		}
	}
	return nil
}

func (r *infoReg) EndEpoch(*Session) error { return nil }

// Settings returns the name and the constants.
func (r *infoReg) Settings() (string, any) {
	return InfoReg, map[string]any{"beta": r.rule.Beta, "window": r.rule.Window, "growth": r.rule.Growth, "batches": r.batches}
}

func (r *infoReg) State() (json.RawMessage, error) { return json.Marshal(r.rule.Trace) }

func (r *infoReg) Resume(b json.RawMessage) error { return json.Unmarshal(b, &r.rule.Trace) }
