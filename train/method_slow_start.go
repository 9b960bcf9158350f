package train

import (
	"slices"

	"posefuse/model"
)

// SlowStart trains plainly, but more slowly in the first epochs: what is left of the
// adaptive weight constraint if only its damping of the first steps counts.
const SlowStart = "slow-start"

// The constants of SlowStart.
var (
	slowEpochs = &Constant{Key: "slow.epochs", Option: "slow-epochs", Help: "slow-start: epochs that are slow.", Default: 1, Want: "a number of epochs from 0"}
	slowShare  = &Constant{Key: "slow.share", Option: "slow-share", Help: "slow-start: share of the learning rate in them.", Default: 0.2, Below: 1.0000001, Want: "a share from 0 to 1"}
	slowRamp   = &Constant{Key: "slow.ramp", Option: "slow-ramp", Help: "slow-start: let the rate rise from nothing over them instead.", Default: false}
	slowWhat   = &Constant{Key: "slow.what", Option: "slow-what", Help: "slow-start: what is slow.", Default: "encoders", Words: []string{"encoders", "everything", "R", "L", "M", "W"}}
)

var slowStartMethod = MethodDescriptor{
	Name: SlowStart, Label: "slow start",
	Doc:       "balances nothing: trains the encoders, one of them or everything more slowly in the first epochs, at a share of the rate or at one that rises from nothing (warm-up); what AWC is to be held against",
	Source:    "common practice",
	Constants: []*Constant{slowEpochs, slowShare, slowRamp, slowWhat}, Tuned: tunes(slowShare, "share of the rate"),
	Generation: 1,
	New: func(set MethodSettings) Method {
		return &slowStart{set: slowStartSettings{set.Int(slowEpochs), set.Float(slowShare), set.Bool(slowRamp), set.Word(slowWhat)}}
	},
}

type slowStartSettings struct {
	Epochs int     `json:"epochs"`
	Share  float64 `json:"share"`
	Ramp   bool    `json:"ramp"`
	What   string  `json:"what"`
}

type slowStart struct {
	stateless
	set slowStartSettings
}

func (m *slowStart) StartEpoch(s *Session) error { s.adam.Scale = nil; return nil }

// AfterBackward sets the rates of the step to come.
func (m *slowStart) AfterBackward(s *Session) error {
	if s.Epoch >= m.set.Epochs {
		return nil
	}
	share := m.set.Share
	if m.set.Ramp {
		share = float64(s.Epoch*s.Steps+s.Step+1) / float64(m.set.Epochs*s.Steps)
	}
	if s.adam.Scale == nil {
		s.adam.Scale = slices.Repeat([]float64{1}, len(s.adam.Params))
	}
	for i, p := range s.adam.Params {
		if m.slows(s, p) {
			s.adam.Scale[i] = share
		}
	}
	s.Log("share_of_rate", share)
	return nil
}

// slows reports whether a parameter is one of those that are slow.
func (m *slowStart) slows(s *Session, p *model.Parameter) bool {
	if m.set.What == "everything" {
		return true
	}
	return slices.ContainsFunc(s.Encoders, func(e encoderTensors) bool {
		return p.Modality == int(e.modality) && (m.set.What == "encoders" || m.set.What == e.letter)
	})
}

func (m *slowStart) EndEpoch(s *Session) error { s.adam.Scale = nil; return nil }

func (*slowStart) Descriptor() *MethodDescriptor { return &slowStartMethod }

func (m *slowStart) Settings() any { return m.set }
