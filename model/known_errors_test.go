package model

import (
	"strings"
	"testing"
)

// TestKnownErrorsInCard: what is measured comes back from the card; what no
// measurement gives, and a card of other weights, change nothing.
func TestKnownErrorsInCard(t *testing.T) {
	dir := t.TempDir()
	net, err := New(small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	card, err := SaveCheckpoint(dir, net, Card{Name: "x", Version: "1", Window: Causal})
	if err != nil {
		t.Fatal(err)
	}
	good := func() *KnownErrors {
		c := &CoalitionErrors{MPJPEMM: 40, Coverage: map[string]float64{"50": 0.5}, ByDistance: ErrorScale{Bounds: []float64{1, 2}, Factors: []float64{1, 2, 4}}}
		for j := range c.SigmaMM {
			c.SigmaMM[j], c.ByDistance.UsualMM[j] = 20, 100
		}
		return &KnownErrors{Data: "simulated", Frames: 10, People: 2, Coalitions: map[string]*CoalitionErrors{"RL": c}}
	}
	angles := AngleFigures{AngleSDDeg: map[string]float64{"kneeFlexion": 7}, MovementShare: map[string]float64{"A12": 0.9}}
	if err = SetKnownErrors(dir, card.SHA256, good(), angles); err != nil {
		t.Fatal(err)
	}
	_, back, err := LoadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	known := back.KnownErrors.By()
	c := known[0b11]
	if c == nil || known[1] != nil || back.AngleSDDeg["kneeFlexion"] != 7 || back.MovementShare["A12"] != 0.9 {
		t.Fatalf("the card says %+v of RL, %v of R, angles %v", c, known[1], back.AngleSDDeg)
	}
	var pose [OutputDim]float32
	pose[0], pose[5], pose[7] = 0.05, -0.15, 0.3 // joints 0, 1 and 2 are 0.05, 0.15 and 0.3 m from the rest
	var sigma [NumJoints]float64
	back.KnownErrors.Sigma(c, &pose, nil, &sigma)
	if sigma[0] != 20 || sigma[1] != 40 || sigma[2] != 80 {
		t.Errorf("sigma %v, want 20, 40, 80", sigma[:3])
	}
	if w := back.KnownErrors.WorthMM(0b11); w != nil {
		t.Errorf("sensors are worth %v though nobody measured them alone", w)
	}
	back.KnownErrors.Coalitions["R"], back.KnownErrors.Coalitions["L"] = &CoalitionErrors{MPJPEMM: 52.26}, &CoalitionErrors{MPJPEMM: 40}
	if w := back.KnownErrors.WorthMM(0b11); len(w) != 2 || w["R"] != 0 || w["L"] != 12.3 {
		t.Errorf("sensors are worth %v, want R 0 and L 12.3", w)
	}
	if (*KnownErrors)(nil).By() != [len(known)]*CoalitionErrors{} {
		t.Error("no errors are some")
	}
	for text, spoil := range map[string]func(*KnownErrors){
		"sigma_mm 0":      func(k *KnownErrors) { k.Coalitions["RL"].SigmaMM[3] = 0 },
		"2 factors for 2": func(k *KnownErrors) { k.Coalitions["RL"].ByDistance.Factors = []float64{1, 2} },
		"do not rise":     func(k *KnownErrors) { k.Coalitions["RL"].ByDistance.Bounds = []float64{2, 1} },
		"factor -1":       func(k *KnownErrors) { k.Coalitions["RL"].ByDistance.Factors[1] = -1 },
		"is null":         func(k *KnownErrors) { k.Coalitions["L"] = nil },
	} {
		k := good()
		spoil(k)
		if err := SetKnownErrors(dir, card.SHA256, k, angles); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want an error with %q, got %v", text, err)
		}
	}
	if err := SetKnownErrors(dir, strings.Repeat("0", 64), good(), angles); err == nil || !strings.Contains(err.Error(), "other weights") {
		t.Errorf("a card of other weights: %v", err)
	}
	if _, again, err := LoadCheckpoint(dir); err != nil || again.KnownErrors.By()[0b11] == nil {
		t.Errorf("after the refusals: %v", err)
	}
}
