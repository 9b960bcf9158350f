package model

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"posefuse/sensors/modality"
)

// KnownErrors says how far off the poses of a network are, per coalition, as
// measured on people that it was not trained on. It is what a card's sigma_mm is
// read from.
type KnownErrors struct {
	Data   string `json:"data"` // what it was measured on; says "simulated" where it is
	Frames int    `json:"frames"`
	People int    `json:"people"`
	// RestM is the pose that the network gives without any sensor, in its own frame.
	RestM [OutputDim]float32 `json:"rest_m"`
	// Coalitions are by letters of "RLMW".
	Coalitions map[string]*CoalitionErrors `json:"coalitions"`
}

// CoalitionErrors are those of the poses of one coalition. The standard deviation
// of a joint's error is SigmaMM times the factors of ByDistance and BySpread.
type CoalitionErrors struct {
	MPJPEMM float64 `json:"mpjpe_mm"`
	// SigmaMM is, per joint, the standard deviation per axis of the normal error in
	// three dimensions that comes closest to the joint's.
	SigmaMM [NumJoints]float64 `json:"sigma_mm"`
	// RadiiSigma are the radii, in sigma, within which a joint lies with a
	// probability of 50, 80 and 95 %. Errors are longer along one direction than
	// across it and some are far off, so these are wider apart than a normal error's.
	RadiiSigma map[string]float64 `json:"radii_sigma"`
	// ByDistance is by how far the joint is from KnownErrors.RestM: unusual poses
	// are less sure.
	ByDistance ErrorScale `json:"by_distance"`
	// BySpread is by the joint's spread (Influence.SpreadMM); empty where a
	// coalition has none.
	BySpread ErrorScale `json:"by_spread"`
	// Coverage is the share of joints, 0 to 1, within the radii of 50, 80 and 95 %,
	// of people whose errors sigma, factors and radii were not taken from.
	Coverage map[string]float64 `json:"coverage"`
}

// ErrorScale says how an error grows with something that can be seen of a joint.
type ErrorScale struct {
	UsualMM [NumJoints]float64 `json:"usual_mm"` // median of what can be seen
	// Bounds are ratios to UsualMM, rising; a joint between the bounds i-1 and i has
	// Factors[i].
	Bounds  []float64 `json:"bounds,omitempty"`
	Factors []float64 `json:"factors,omitempty"` // one more than Bounds
}

// Factor is that of joint j if valueMM is seen.
func (e *ErrorScale) Factor(j int, valueMM float64) float64 {
	if len(e.Bounds) == 0 || e.UsualMM[j] <= 0 {
		return 1
	}
	i := 0
	for ratio := valueMM / e.UsualMM[j]; i < len(e.Bounds) && ratio > e.Bounds[i]; {
		i++
	}
	return e.Factors[i]
}

func (e *ErrorScale) validate() error {
	switch {
	case len(e.Bounds) > 0 && len(e.Factors) != len(e.Bounds)+1:
		return fmt.Errorf("%d factors for %d bounds: want one more", len(e.Factors), len(e.Bounds))
	case !slices.IsSorted(e.Bounds):
		return errors.New("bounds do not rise")
	}
	for _, f := range e.Factors {
		if !(f > 0) || math.IsInf(f, 0) {
			return fmt.Errorf("factor %g: want above 0", f)
		}
	}
	return nil
}

// CoverageLevels are the probabilities at which radii and coverage are told, and the
// radii of a normal error in three dimensions: the roots of the quantiles of the
// chi-squared distribution with three degrees of freedom.
var CoverageLevels = [3]struct {
	Name   string
	Share  float64
	Sigmas float64
}{{"50", 0.50, 1.5382}, {"80", 0.80, 2.1544}, {"95", 0.95, 2.7955}}

// Sigma sets dst to the standard deviation per axis of the error of each joint of a
// coalition's pose, millimetres. spreadMM is the pose's spread per joint; nil, where
// nobody told it, counts as the usual one.
func (k *KnownErrors) Sigma(c *CoalitionErrors, pose *[OutputDim]float32, spreadMM, dst *[NumJoints]float64) {
	for j := range dst {
		far := 1000 * math.Sqrt(square(pose[3*j]-k.RestM[3*j])+square(pose[3*j+1]-k.RestM[3*j+1])+square(pose[3*j+2]-k.RestM[3*j+2]))
		dst[j] = c.SigmaMM[j] * c.ByDistance.Factor(j, far)
		if spreadMM != nil {
			dst[j] *= c.BySpread.Factor(j, spreadMM[j])
		}
	}
}

func square(x float32) float64 { return float64(x) * float64(x) }

// By returns the errors by coalition, nil where there are none.
func (k *KnownErrors) By() (by [1 << modality.Count]*CoalitionErrors) {
	if k != nil {
		for s := range by {
			by[s] = k.Coalitions[modality.Set(s).String()]
		}
	}
	return by
}

// WorthMM returns how much larger the error of all sensors is without each of them,
// by letter, millimetres; nil where it was not measured. It is 0 or less for a
// sensor that says nothing.
func (k *KnownErrors) WorthMM(all modality.Set) map[string]float64 {
	by := k.By()
	if by[all] == nil || all&(all-1) == 0 {
		return nil
	}
	worth := map[string]float64{}
	for m := range all.Kinds() {
		without := by[all&^modality.Of(m)]
		if without == nil {
			return nil
		}
		worth[m.Letter()] = math.Round(10*(without.MPJPEMM-by[all].MPJPEMM)) / 10
	}
	return worth
}

// validate refuses what no measurement gives.
func (k *KnownErrors) validate() error {
	if k == nil {
		return nil
	}
	for name, c := range k.Coalitions {
		if c == nil {
			return fmt.Errorf("known_errors: coalition %s is null", name)
		}
		if err := c.validate(); err != nil {
			return fmt.Errorf("known_errors: coalition %s: %w", name, err)
		}
	}
	return nil
}

func (c *CoalitionErrors) validate() error {
	for j, v := range c.SigmaMM {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("joint %d: sigma_mm %g: want above 0", j, v)
		}
	}
	if err := c.ByDistance.validate(); err != nil {
		return fmt.Errorf("by_distance: %w", err)
	}
	if err := c.BySpread.validate(); err != nil {
		return fmt.Errorf("by_spread: %w", err)
	}
	return nil
}

// AngleFigures are what package exercise measures of a network, see Card.
type AngleFigures struct {
	AngleSDDeg    map[string]float64
	MovementShare map[string]float64
}

// SetKnownErrors writes measured errors into the card of the checkpoint in dir,
// which is that of the weights with the hash sha256.
func SetKnownErrors(dir, sha256 string, k *KnownErrors, a AngleFigures) error {
	return amend(dir, sha256, func(card *Card) error {
		card.KnownErrors, card.AngleSDDeg, card.MovementShare = k, a.AngleSDDeg, a.MovementShare
		return k.validate()
	})
}

// amend changes the card of the checkpoint in dir, if it is that of the weights
// with the hash sha256.
func amend(dir, sha256 string, change func(*Card) error) error {
	card, err := ReadCard(os.DirFS(dir), ".")
	if err == nil && card.SHA256 != sha256 {
		err = fmt.Errorf("the card is of other weights (sha256 %.12s...) than were measured (%.12s...)", card.SHA256, sha256)
	}
	if err == nil {
		err = change(&card)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return writeCard(filepath.Join(dir, CardFile), card)
}
