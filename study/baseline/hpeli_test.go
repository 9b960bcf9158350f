package baseline

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/model/nn"
)

// TestHPELiParameters holds the layout and states its size: 7168 features and,
// layer by layer, what the published structure has.
func TestHPELiParameters(t *testing.T) {
	if hpeLiFeatures != 7168 {
		t.Errorf("%d features, want 7168", hpeLiFeatures)
	}
	h := newHPELi[float32](1)
	width := 1
	for _, d := range h.blocks[3].OutShape() {
		width *= d
	}
	if width != hpeLiFeatures {
		t.Errorf("the second pooling gives %d values, want %d", width, hpeLiFeatures)
	}
	want := map[string]int{
		"skunit1.conv1":        3*64 + 2*64,
		"skunit1.branches":     4 * 64 * 2 * 9, // two input channels per group
		"skunit1.branch_norms": 4 * 2 * 64,
		"skunit1.squeeze":      64*2 + 2 + 2*2,
		"skunit1.expand":       4 * (2*64 + 64),
		"skunit1.norm":         2 * 64,
		"skunit2.conv1":        64*128 + 2*128,
		"skunit2.branches":     4 * 128 * 4 * 9,
		"skunit2.branch_norms": 4 * 2 * 128,
		"skunit2.squeeze":      128*4 + 4 + 2*4,
		"skunit2.expand":       4 * (4*128 + 128),
		"skunit2.norm":         2 * 128,
		"regression.fc1":       7168*32 + 32,
		"regression.fc2":       32*64 + 64,
		"regression.bn":        2 * 64,
		"regression.fc3":       64*51 + 51,
	}
	got := map[string]int{}
	for _, p := range h.store.All {
		if !p.IsBuffer() {
			part := strings.SplitN(p.Name, ".", 3)
			got[part[0]+"."+part[1]] += len(p.Value)
		}
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %d parameters, want %d", name, got[name], n)
		}
	}
	if len(got) != len(want) || h.parameters() != 272677 {
		t.Errorf("%d layers and %d parameters, want %d and 272677", len(got), h.parameters(), len(want))
	}
}

// TestHPELiGradients checks the whole network at its size in float64: one
// value of each weight of more than one dimension against difference quotients
// of the loss. The tests of package nn check every tensor at a smaller size.
func TestHPELiGradients(t *testing.T) {
	testenv.NoRace(t, "the layers' own checks run under the race detector too")
	const b = 2
	h := newHPELi[float64](4)
	rng := rand.New(rand.NewPCG(1, 2))
	csi, target := make([]float32, b*model.CSIValues), make([]float64, b*model.OutputDim)
	for i := range csi {
		csi[i] = rng.Float32()
	}
	for i := range target {
		target[i] = rng.NormFloat64()
	}
	var l nn.MeanSquare[float64]
	loss := func() float64 { return l.Forward(h.forward(csi, b), target) }
	loss()
	h.backward(l.Backward())
	for _, p := range h.store.All {
		if len(p.Shape) < 2 {
			continue
		}
		i := rng.IntN(len(p.Value))
		grad, num, good := p.Grad[i], 0.0, false
		// A step may cross a kink of a ReLU; then a smaller one does not.
		for e := 1e-5; e > 1e-8 && !good; e /= 10 {
			old := p.Value[i]
			p.Value[i] = old + e
			up := loss()
			p.Value[i] = old - e
			down := loss()
			p.Value[i] = old
			num = (up - down) / (2 * e)
			good = math.Abs(num-grad) < 1e-5*(1+math.Abs(num))
		}
		if !good {
			t.Errorf("%s[%d]: gradient %.9g, difference quotient %.9g", p.Name, i, grad, num)
		}
	}
}

// The rate stays for two fifths of the epochs and ends near 0.
func TestHPELiRate(t *testing.T) {
	tr := &hpeLiTraining{}
	tr.opt.Epochs = 50
	for epoch, want := range map[int]float64{0: 1e-3, 20: 1e-3, 35: 5e-4, 49: 1e-3 / 30} {
		if tr.epoch = epoch; math.Abs(tr.rate()-want) > 1e-12 {
			t.Errorf("epoch %d: rate %g, want %g", epoch, tr.rate(), want)
		}
	}
}
