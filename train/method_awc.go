package train

import (
	"encoding/json"
	"fmt"

	"posefuse/balance"
)

// awc is the adaptive weight constraint (Eqs 6-8, Algorithm 1): in the first
// epochs every encoder is held near where it stood at the epoch's start, by
// its Fisher information, the modalities that contribute most more strongly.
type awc struct {
	opt       balance.AWCOptions
	phi       balance.Contributions
	constrain []balance.Constraint // of each encoder
}

// active reports whether the learning window is open.
func (a *awc) active(s *Session) bool {
	return s.Epoch < a.opt.Window && len(s.Encoders) > 1
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

// Settings returns the name and the constants.
func (a *awc) Settings() (string, any) { return AWC, a.opt }

func (a *awc) State() (json.RawMessage, error) { return json.Marshal(a.phi.Previous) }

func (a *awc) Resume(b json.RawMessage) error { return json.Unmarshal(b, &a.phi.Previous) }
