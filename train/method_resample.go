package train

import (
	"encoding/json"
	"math/rand/v2"

	"posefuse/balance"
	"posefuse/model"
	"posefuse/sensors/modality"
)

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
	rng := rand.New(rand.NewPCG(s.opt.Seed^0x6d6c, uint64(s.Epoch))) //nolint:gosec // reproducible draws
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

// Settings returns the name and the constants.
func (r *modalityLevel) Settings() (string, any) {
	return ModalityLevel, map[string]any{"alpha": r.alpha, "warmup": r.warmup}
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
