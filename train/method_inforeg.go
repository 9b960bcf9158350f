package train

import (
	"encoding/json"

	"posefuse/balance"
	"posefuse/model"
)

// InfoReg is InfoReg.
const InfoReg = "inforeg"

var infoRegBeta = &Constant{Key: "inforeg_beta", Default: balance.PaperInfoReg().Beta, Below: 1e9}

var infoRegMethod = MethodDescriptor{
	Name: InfoReg, Label: "InfoReg",
	Doc:       "holds encoders that are ahead near the epoch's start, all parameters alike, while the Fisher trace rises",
	Source:    "Huang et al. 2025",
	Constants: []*Constant{infoRegBeta, awcFisherBatches}, Tuned: tunes(infoRegBeta, "β"),
	Generation: 1,
	New: func(set MethodSettings) Method {
		rule := balance.PaperInfoReg()
		rule.Beta = set.Float(infoRegBeta)
		return &infoReg{rule: rule, batches: set.Int(awcFisherBatches)}
	},
}

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

func (*infoReg) Descriptor() *MethodDescriptor { return &infoRegMethod }

func (r *infoReg) Settings() any {
	return map[string]any{"beta": r.rule.Beta, "window": r.rule.Window, "growth": r.rule.Growth, "batches": r.batches}
}

func (r *infoReg) State() (json.RawMessage, error) { return json.Marshal(r.rule.Trace) }

func (r *infoReg) Resume(b json.RawMessage) error { return json.Unmarshal(b, &r.rule.Trace) }
