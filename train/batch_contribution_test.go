package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/balance"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/sensors/modality"
)

// headNetwork is a network whose encoders matter little: only its head is used.
func headNetwork(t testing.TB, head, modalities string) *model.Network {
	t.Helper()
	cfg := model.Edge()
	cfg.Head, cfg.Modalities = head, modalities
	net, err := model.New(cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// featuresAndTarget of b samples: the target follows the features in part.
func featuresAndTarget(b int) (f [modality.Count][]float32, target []float32) {
	rng := rand.New(rand.NewPCG(4, 4))
	target = make([]float32, b*model.OutputDim)
	for i := range target {
		target[i] = float32(rng.NormFloat64())
	}
	for m := range f {
		f[m] = make([]float32, b*model.FeatureDim)
		for i := range f[m] {
			f[m][i] = float32(rng.NormFloat64()) + float32(m)*target[i/model.FeatureDim*model.OutputDim+i%model.OutputDim]
		}
	}
	return f, target
}

// rowsOf returns samples lo..hi-1.
func rowsOf(f [modality.Count][]float32, target []float32, lo, hi int) ([modality.Count][]float32, []float32) {
	for m := range f {
		f[m] = f[m][lo*model.FeatureDim : hi*model.FeatureDim]
	}
	return f, target[lo*model.OutputDim : hi*model.OutputDim]
}

func contributionOf(t *testing.T, c *BatchContribution, f [modality.Count][]float32, target []float32, cuts ...int) []float64 {
	t.Helper()
	c.Reset()
	lo := 0
	for _, hi := range append(cuts, len(target)/model.OutputDim) {
		pf, pt := rowsOf(f, target, lo, hi)
		if err := c.Add(pf, pt); err != nil {
			t.Fatal(err)
		}
		lo = hi
	}
	phi, err := c.Phi()
	if err != nil {
		t.Fatal(err)
	}
	return append([]float64(nil), phi...)
}

// The contributions add up to the score of the whole network, in parts as in
// one, and a modality that the target does not depend on has the least.
func TestContributionAddsUp(t *testing.T) {
	const b = 37
	f, target := featuresAndTarget(b)
	for _, head := range []string{model.ConcatHead, model.MLPHead, model.AttentionHead} {
		for _, modalities := range []string{"RL", "RLMW", "MW"} {
			t.Run(head+" "+modalities, func(t *testing.T) {
				net := headNetwork(t, head, modalities)
				c, err := NewBatchContribution(net, b)
				if err != nil {
					t.Fatal(err)
				}
				phi := contributionOf(t, c, f, target)
				h, err := model.NewHeadScorer(net, b)
				if err != nil {
					t.Fatal(err)
				}
				all := make([]float32, b*model.OutputDim)
				if err = h.Predict(f, b, modality.All, all); err != nil {
					t.Fatal(err)
				}
				s := balance.NewScorer[float32](model.OutputDim)
				if err = s.SetTarget(target); err != nil {
					t.Fatal(err)
				}
				want, err := s.Score(all)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, v := range phi {
					sum += v
				}
				if len(phi) != len(modalities) || math.Abs(sum-want) > 1e-5 {
					t.Errorf("contributions %v add up to %v, want %v", phi, sum, want)
				}
				for i, v := range contributionOf(t, c, f, target, 5, 20) {
					if math.Abs(v-phi[i]) > 1e-5 {
						t.Errorf("in parts modality %d contributes %v, want %v", i, v, phi[i])
					}
				}
				if c.Times().Pose <= 0 || c.Times().Correlation <= 0 {
					t.Errorf("times %+v", c.Times())
				}
			})
		}
	}
}

// The shortcut for linear heads and the coalitions one by one agree.
func TestContributionLinearEqualsGeneric(t *testing.T) {
	const b = 24
	f, target := featuresAndTarget(b)
	for _, modalities := range []string{"RL", "RLM", "RLMW"} {
		net := headNetwork(t, model.ConcatHead, modalities)
		c, err := NewBatchContribution(net, b)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Linear() {
			t.Fatal("the head is linear")
		}
		h, err := model.NewHeadScorer(net, b)
		if err != nil {
			t.Fatal(err)
		}
		poses, err := h.Coalitions(f, b)
		if err != nil {
			t.Fatal(err)
		}
		scores, err := balance.NewScorer[float32](model.OutputDim).CoalitionScores(len(modalities), target,
			func(mask uint8) ([]float32, error) { return poses[mask], nil })
		if err != nil {
			t.Fatal(err)
		}
		phi := contributionOf(t, c, f, target)
		for i, want := range balance.Shapley(len(modalities), scores) {
			if math.Abs(phi[i]-want) > 1e-5 {
				t.Errorf("%s: modality %d contributes %v, one by one %v", modalities, i, phi[i], want)
			}
		}
	}
}

func TestContributionAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	const b = 16
	f, target := featuresAndTarget(b)
	for _, head := range []string{model.ConcatHead, model.MLPHead, model.AttentionHead} {
		c, err := NewBatchContribution(headNetwork(t, head, "RLMW"), b)
		if err != nil {
			t.Fatal(err)
		}
		if a := testenv.AllocsPerRun(5, func() {
			c.Reset()
			if err := c.Add(f, target); err != nil {
				t.Error(err)
			}
			if _, err := c.Phi(); err != nil {
				t.Error(err)
			}
		}); a > 0 {
			t.Errorf("%s: %v allocations", head, a)
		}
	}
}

func TestContributionRefuses(t *testing.T) {
	f, target := featuresAndTarget(4)
	c, err := NewBatchContribution(headNetwork(t, model.ConcatHead, "RL"), 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Phi(); err == nil {
		t.Error("a contribution to no sample")
	}
	if c.Add(f, target[1:]) == nil || c.Add(f, nil) == nil {
		t.Error("half a target is accepted")
	}
	if err = c.Add(f, target); err != nil {
		t.Fatal(err)
	}
	if c.Add(f, target) == nil {
		t.Error("more samples than there is room for")
	}
	c.Reset()
	if err = c.Add(rowsOf(f, target, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Phi(); err == nil {
		t.Error("a correlation of one sample")
	}
}
