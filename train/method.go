package train

import (
	"encoding/json"
	"fmt"
	"slices"

	"posefuse/balance"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// Method keeps one modality from stifling the others while a network trains.
// The loop calls it; it reads the session and changes gradients, loss weights
// or the next epoch's samples. None adds a parameter that is learned.
type Method interface {
	// StartEpoch runs before the first batch of each epoch.
	StartEpoch(s *Session) error
	// AfterBackward runs between a batch's backward pass and the optimiser's
	// step and may change the gradients.
	AfterBackward(s *Session) error
	// EndEpoch runs after the last batch of each epoch.
	EndEpoch(s *Session) error
	// State returns what must survive between epochs when training resumes
	// from a checkpoint, and Resume takes it back.
	State() (json.RawMessage, error)
	Resume(json.RawMessage) error
}

// Branched is a Method that needs the losses of single modalities in the
// graph, see Session.SetLossWeights.
type Branched interface {
	Method
	branches()
}

// stateless is embedded by methods that carry nothing over an epoch's end and
// do nothing at one.
type stateless struct{}

func (stateless) StartEpoch(*Session) error       { return nil }
func (stateless) EndEpoch(*Session) error         { return nil }
func (stateless) State() (json.RawMessage, error) { return nil, nil }
func (stateless) Resume(json.RawMessage) error    { return nil }

// The names NewMethod knows.
const (
	Plain         = "none"
	AWC           = "awc"
	OGMGE         = "ogm-ge"
	AGM           = "agm"
	GBlending     = "g-blending"
	ModalityLevel = "modality-level"
	MMPareto      = "mmpareto"
	InfoReg       = "inforeg"
)

// Methods lists the names NewMethod knows, plain training first.
func Methods() []string {
	return []string{Plain, AWC, OGMGE, AGM, GBlending, ModalityLevel, MMPareto, InfoReg}
}

// MethodSettings are the constants of all methods; each reads its own.
type MethodSettings struct {
	AWC balance.AWCOptions `json:"awc" yaml:"awc"`
	// OGMGEAlpha is the strength of OGM-GE, 0.1 to 0.8.
	OGMGEAlpha float64 `json:"ogm_ge_alpha" yaml:"ogm_ge_alpha"`
	// AGMAlpha is the strength of AGM, in the exponent of errors relative to
	// their mean.
	AGMAlpha float64 `json:"agm_alpha" yaml:"agm_alpha"`
	// ResampleAlpha scales the share of repeated samples of Modality-level.
	ResampleAlpha float64 `json:"resample_alpha" yaml:"resample_alpha"`
	// Warmup is how many epochs Modality-level trains plainly first.
	Warmup int `json:"warmup" yaml:"warmup"`
	// ModulateEpochs bounds the epochs in which OGM-GE and AGM act; 0 = all.
	ModulateEpochs int `json:"modulate_epochs" yaml:"modulate_epochs"`
	// BlendEvery is the length of G-Blending's super-epoch, BlendTrial how many
	// epochs each of its trials trains.
	BlendEvery int `json:"blend_every" yaml:"blend_every"`
	BlendTrial int `json:"blend_trial" yaml:"blend_trial"`
	// InfoRegBeta is the strength of InfoReg.
	InfoRegBeta float64 `json:"inforeg_beta" yaml:"inforeg_beta"`
}

// DefaultMethodSettings are the sources' constants and, where model.md 4.6
// leaves a choice, its recommendation.
func DefaultMethodSettings() MethodSettings {
	return MethodSettings{AWC: balance.PaperAWC(), OGMGEAlpha: 0.3, AGMAlpha: 1, ResampleAlpha: 1, Warmup: 5,
		BlendEvery: 10, BlendTrial: 1, InfoRegBeta: balance.PaperInfoReg().Beta}
}

// NewMethod returns the method of a name, nil for plain training.
func NewMethod(name string, set MethodSettings) (Method, error) {
	if err := set.check(); err != nil {
		return nil, err
	}
	switch name {
	case Plain, "":
		return nil, nil
	case AWC:
		return &awc{opt: set.AWC}, nil
	case OGMGE:
		return &ogmge{rule: balance.OGMGE{Alpha: set.OGMGEAlpha, Noise: true}, epochs: set.ModulateEpochs}, nil
	case AGM:
		return &agm{rule: balance.AGM{Alpha: set.AGMAlpha}, epochs: set.ModulateEpochs}, nil
	case GBlending:
		return &gblending{every: set.BlendEvery, trial: set.BlendTrial}, nil
	case ModalityLevel:
		return &modalityLevel{alpha: set.ResampleAlpha, warmup: set.Warmup}, nil
	case MMPareto:
		return &mmpareto{}, nil
	case InfoReg:
		rule := balance.PaperInfoReg()
		rule.Beta = set.InfoRegBeta
		return &infoReg{rule: rule, batches: set.AWC.FisherBatches}, nil
	}
	return nil, fmt.Errorf("balancing method %q: use one of %v", name, Methods())
}

func (set MethodSettings) check() error {
	for _, c := range []struct {
		key string
		v   float64
	}{{"ogm_ge_alpha", set.OGMGEAlpha}, {"agm_alpha", set.AGMAlpha}, {"resample_alpha", set.ResampleAlpha}, {"inforeg_beta", set.InfoRegBeta}} {
		if !(c.v >= 0 && c.v < 1e9) {
			return fmt.Errorf("%s %g: want a number from 0", c.key, c.v)
		}
	}
	for _, c := range []struct {
		key     string
		v, from int
	}{{"warmup", set.Warmup, 0}, {"modulate_epochs", set.ModulateEpochs, 0}, {"blend_every", set.BlendEvery, 1}, {"blend_trial", set.BlendTrial, 1}} {
		if c.v < c.from {
			return fmt.Errorf("%s %d: want a number from %d", c.key, c.v, c.from)
		}
	}
	return set.AWC.Validate()
}

// encoderTensors holds the values and gradients of one encoder's parameters.
type encoderTensors struct {
	modality        modality.Kind
	letter          string
	value, gradient [][]float32
	rank            []int // dimensions of each
}

// encodersOf groups the trained parameters of a network by modality, in the
// order of the network's modalities. The fusion head is left out.
func encodersOf(net *model.Network) []encoderTensors {
	var out []encoderTensors
	for m := range modality.Count {
		if !net.Config.Mask().Has(m) {
			continue
		}
		e := encoderTensors{modality: m, letter: m.Letter()}
		for _, p := range net.Parameters() {
			if p.Modality == int(m) && !p.NoGrad {
				e.value, e.gradient, e.rank = append(e.value, p.Value), append(e.gradient, p.Grad), append(e.rank, len(p.Shape))
			}
		}
		out = append(out, e)
	}
	return out
}

// size is the number of values.
func (e encoderTensors) size() int {
	n := 0
	for _, v := range e.value {
		n += len(v)
	}
	return n
}

// flat appends copies of the tensors.
func flat(parts [][]float32) []float32 { return slices.Concat(parts...) }
