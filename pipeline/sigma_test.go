package pipeline

import (
	"math"
	"testing"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// TestPosesTellSigma: the errors of the card, by coalition and spread; null for a
// coalition that the card does not know, without a pose and without such a card.
func TestPosesTellSigma(t *testing.T) {
	m := newFakeModel("fake")
	table := func(sigma float64) *model.CoalitionErrors {
		c := &model.CoalitionErrors{BySpread: model.ErrorScale{Bounds: []float64{1}, Factors: []float64{0.5, 2}}}
		for j := range c.SigmaMM {
			c.SigmaMM[j], c.BySpread.UsualMM[j] = sigma, 8 // the fake's spread is that of the joint's number
		}
		return c
	}
	m.card.KnownErrors = &model.KnownErrors{Coalitions: map[string]*model.CoalitionErrors{"RLMW": table(30), "L": table(50)}}
	c, err := New(Options{Config: unsearched(), Model: m})
	if err != nil {
		t.Fatal(err)
	}
	all := messages(t, c, modality.All)[0]
	if all.SigmaMM == nil || math.Abs(all.SigmaMM[3]-15) > 1e-9 || math.Abs(all.SigmaMM[12]-60) > 1e-9 {
		t.Errorf("all sensors: sigma %v, want 15 mm at a small spread and 60 at a large one", all.SigmaMM)
	}
	if alone := messages(t, c, modality.Of(modality.LiDAR))[0]; alone.SigmaMM == nil || alone.SigmaMM[12] != 50 {
		t.Errorf("the LiDAR alone: sigma %v, want 50 mm", alone.SigmaMM)
	}
	for _, mask := range []modality.Set{0, modality.Of(modality.Camera)} {
		if p := messages(t, c, mask)[0]; p.SigmaMM != nil {
			t.Errorf("%s: sigma %v, want null", mask, p.SigmaMM)
		}
	}
	if all.Presence != nil {
		t.Errorf("presence %v though nobody is searched", *all.Presence)
	}
}
