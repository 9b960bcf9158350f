package train

import (
	"encoding/json"

	"posefuse/balance"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// ModalityLevel is modality-level resampling.
const ModalityLevel = "modality-level"

var (
	// resampleAlpha scales the share of repeated samples.
	resampleAlpha = &Constant{Key: "resample_alpha", Option: strengthOption, Default: 1.0, Below: 1e9}
	// warmup is how many epochs it trains plainly first.
	warmup = &Constant{Key: "warmup", Default: 5}
)

var modalityLevelMethod = MethodDescriptor{
	Name: ModalityLevel, Label: "Modality-level",
	Doc:       "repeats random samples with the leading modalities silent, the more the further the others lag",
	Source:    "Wei et al. 2024",
	Constants: []*Constant{resampleAlpha, warmup}, Tuned: tunes(resampleAlpha, "α of the extra share"),
	Generation: 1,
	New: func(set MethodSettings) Method {
		return &modalityLevel{alpha: set.Float(resampleAlpha), warmup: set.Int(warmup)}
	},
}

// modalityLevel is modality-level resampling: after a warm-up each epoch also
// holds copies of random samples in which the modalities that contribute most
// are silent, the more copies the further the others lag behind.
type modalityLevel struct {
	alpha    float64
	warmup   int
	shares   []float64    // of extra samples, per modality
	silenced modality.Set // in those samples
}

// resampleSubset is the share of the training samples whose contributions
// decide.
const resampleSubset = 0.2

func (r *modalityLevel) StartEpoch(s *Session) error {
	rng := s.draws("ml", uint64(s.Epoch))
	total := 0
	for i, share := range r.shares {
		n := int(share * float64(len(s.Data.Samples)))
		s.Log("extra_share "+s.Encoders[i].letter, share)
		for range n {
			s.Extra = append(s.Extra, ExtraSample{s.Data.Samples[rng.IntN(len(s.Data.Samples))], s.Net.Config.Mask() &^ r.silenced})
		}
		total += n
	}
	return nil
}

func (r *modalityLevel) AfterBackward(*Session) error { return nil }

func (r *modalityLevel) EndEpoch(s *Session) error {
	if s.Epoch+1 < r.warmup || len(s.Encoders) < 2 {
		return nil
	}
	phi, err := s.contributionsOf(resampleSubset)
	if err != nil {
		return err
	}
	r.shares = balance.ResampleShares(r.shares[:0], phi, model.OutputDim, r.alpha)
	r.silenced = 0
	superior := balance.Split(phi)
	for i, e := range s.Encoders {
		if superior>>i&1 == 1 {
			r.silenced |= 1 << e.modality
		}
	}
	return nil
}

func (*modalityLevel) Descriptor() *MethodDescriptor { return &modalityLevelMethod }

func (r *modalityLevel) Settings() any {
	return map[string]any{"alpha": r.alpha, "warmup": r.warmup}
}

type resampleState struct {
	Shares   []float64    `json:"shares"`
	Silenced modality.Set `json:"silenced"`
}

func (r *modalityLevel) State() (json.RawMessage, error) {
	return json.Marshal(resampleState{r.shares, r.silenced})
}

func (r *modalityLevel) Resume(b json.RawMessage) error {
	var st resampleState
	if err := json.Unmarshal(b, &st); err != nil {
		return err
	}
	r.shares, r.silenced = st.Shares, st.Silenced
	return nil
}
