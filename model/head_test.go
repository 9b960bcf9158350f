package model

import (
	"fmt"
	"testing"

	"posefuse/balance"
	"posefuse/internal/testenv"
	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// TestHeadVectors checks the heads alone, and the contributions of the
// modalities scored through them, against model.md 6.9.
func TestHeadVectors(t *testing.T) {
	testenv.SlowRace(t)
	for _, c := range []struct {
		kind    string
		base    uint64
		tensors int
		sum     float64
		first   []float64
		mpjpe   float64
		phi     []float64
		all     float64
	}{
		{ConcatHead, 5000, 2, 10.469262953, []float64{-.734880289, .267083581, -.544188278, .921880349, -.398140874, -.260036864}, 1.557833859,
			[]float64{1.244380908, -4.678296057, 2.063829548, .291095126}, -1.078990476},
		{MLPHead, 5100, 8, 3.038783831, []float64{.263118583, -.303746238, .159490884, .695373985, -.279427936, 1.688068981}, 1.677380013,
			[]float64{3.341903008, .015305156, -2.969046790, 1.388681838}, 1.776843211},
		{AttentionHead, 5200, 50, -39.724615171, []float64{-.518360863, -1.176904809, -2.095056371, -1.385572847, -.738596195, -1.520265309}, 2.473400835,
			[]float64{3.269994185, 3.907783985, .282918130, -1.870130533}, 5.590565767},
	} {
		t.Run(c.kind, func(t *testing.T) {
			s := nn.NewStore[float64](1)
			h := newHead(c.kind, s, &nn.Context{Mode: nn.Eval}, modality.All)
			fillRuleHFrom(t, s, c.base, c.tensors)
			f := make([][]float64, modality.Count)
			for m := range f {
				for i := range vectorBatch * FeatureDim {
					at := (i/FeatureDim*int(modality.Count)+m)*FeatureDim + i%FeatureDim
					f[m] = append(f[m], 2*ruleH(6010, uint64(at))-1)
				}
			}
			out := h.Forward(f, vectorBatch)
			var sum float64
			for _, v := range out {
				sum += v
			}
			near(t, "sum", sum, c.sum, 1e-8)
			for i, want := range c.first {
				near(t, fmt.Sprintf("output %d", i), out[i], want, 1e-9)
			}
			near(t, "mpjpe", MPJPE(out, vectorTarget[float64]()), c.mpjpe, 1e-9)

			zero := make([]float64, len(f[0]))
			in := make([][]float64, modality.Count)
			scorer := balance.NewScorer[float64](OutputDim)
			values, err := scorer.CoalitionScores(int(modality.Count), vectorTarget[float64](), func(mask uint8) ([]float64, error) {
				for m := range in {
					in[m] = zero
					if mask>>m&1 == 1 {
						in[m] = f[m]
					}
				}
				return h.Forward(in, vectorBatch), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			near(t, "score of all", values[15], c.all, 1e-8)
			for m, phi := range balance.Shapley(int(modality.Count), values) {
				near(t, "contribution of "+modality.Kind(m).String(), phi, c.phi[m], 1e-8)
			}
			if c.kind == ConcatHead {
				for i, want := range []float64{1.570466326, -4.250477155, -4.359853338, .673266849, 2.169775816, -3.200400781, -3.462964835,
					-2.046198682, .078872760, -4.545830076, -4.343536394, 2.908863672, 3.966934964, -2.982712730, -1.078990476} {
					near(t, fmt.Sprintf("coalition %d", i+1), values[i+1], want, 1e-8)
				}
			}
		})
	}
}

// TestHeadParameters holds the totals of the paper's Table 2; those of the
// plain head have a test of their own.
func TestHeadParameters(t *testing.T) {
	testenv.SlowRace(t)
	for _, c := range []struct {
		kind string
		want [3]int // of RL, RLM, RLMW
	}{
		{MLPHead, [3]int{16016077, 18333351, 44767591}},
		{AttentionHead, [3]int{18715341, 20901543, 47204711}},
	} {
		for i, modalities := range []string{"RL", "RLM", "RLMW"} {
			cfg := Paper()
			cfg.Head, cfg.Modalities = c.kind, modalities
			n, err := New(cfg, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := n.NumParameters(); got != c.want[i] {
				t.Errorf("%s %s: %d parameters, want %d", c.kind, modalities, got, c.want[i])
			}
		}
	}
}
