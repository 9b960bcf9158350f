package model

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"posefuse/balance"
	"posefuse/internal/testenv"
	"posefuse/sensors/modality"
)

// close32 reports whether got is want to 1e-5 of want's largest value.
func close32(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	var top, off float64
	for i, w := range want {
		top = max(top, math.Abs(float64(w)))
		off = max(off, math.Abs(float64(got[i]-w)))
	}
	if !(off <= 1e-5*top) {
		t.Errorf("%s is off by %g, its largest value is %g", what, off, top)
	}
}

// The scorer gives what the trainer's own head gives, for samples whose
// modalities are absent, too, and follows the weights.
func TestHeadScorerFollowsTrainer(t *testing.T) {
	const n = 5
	for _, head := range allHeads {
		for _, modalities := range []string{"RLMW", "LW", "M"} {
			t.Run(head+" "+modalities, func(t *testing.T) {
				cfg := tiny(head)
				cfg.Modalities = modalities
				net, err := New(cfg, 2)
				if err != nil {
					t.Fatal(err)
				}
				full := cfg.Mask()
				var branches []modality.Set
				for s := full; s != 0; s = (s - 1) & full {
					branches = append(branches, s)
				}
				tr, err := NewTrainer(net, n, TrainerOptions{NoDropout: true, Branches: branches})
				if err != nil {
					t.Fatal(err)
				}
				defer tr.Close()
				if err = tr.SetBranchWeights(1, slices.Repeat([]float32{1}, len(branches))); err != nil {
					t.Fatal(err)
				}
				h, err := NewHeadScorer(net, 7)
				if err != nil {
					t.Fatal(err)
				}
				b := randomBatch(cfg, n)
				for step := range 2 {
					if _, err = tr.ForwardBackward(b); err != nil {
						t.Fatal(err)
					}
					f := tr.Features()
					dst := make([]float32, n*OutputDim)
					together, err := h.Coalitions(f, n)
					if err != nil {
						t.Fatal(err)
					}
					for i, mask := range branches {
						want := tr.BranchPredictions(i)
						if err := h.Predict(f, n, mask, dst); err != nil {
							t.Fatal(err)
						}
						close32(t, fmt.Sprintf("step %d coalition %s", step, mask), dst, want)
						place := 0
						for k, m := range h.Modalities() {
							if mask.Has(m) {
								place |= 1 << k
							}
						}
						close32(t, fmt.Sprintf("step %d coalition %s of all", step, mask), together[place], want)
					}
					if h.Linear() != (head == ConcatHead) {
						t.Error("linear head")
					}
					if h.Linear() {
						sum := make([]float32, n*OutputDim)
						bias := net.store.Lookup("head.fc.bias").Value
						for _, m := range h.Modalities() {
							if err := h.Partial(f, n, m, dst); err != nil {
								t.Fatal(err)
							}
							for i, v := range dst {
								sum[i] += v
							}
						}
						for i := range sum {
							sum[i] += bias[i%OutputDim]
						}
						close32(t, "sum of the partial predictions", sum, tr.Predictions())
					}
					for _, p := range net.Parameters() { // an optimiser's step
						for i, g := range p.Grad {
							p.Value[i] -= 0.05 * g
						}
					}
				}
			})
		}
	}
}

// The heads of model.md 6.9 in float32 and the contributions through them.
func TestHeadScorerVectors(t *testing.T) {
	for _, c := range []struct {
		kind    string
		base    uint64
		tensors int
		sum     float64
		first   []float64
		phi     []float64
	}{
		{ConcatHead, 5000, 2, 10.469262953, []float64{-.734880289, .267083581, -.544188278}, []float64{1.244380908, -4.678296057, 2.063829548, .291095126}},
		{MLPHead, 5100, 8, 3.038783831, []float64{.263118583, -.303746238, .159490884}, []float64{3.341903008, .015305156, -2.969046790, 1.388681838}},
		{AttentionHead, 5200, 50, -39.724615171, []float64{-.518360863, -1.176904809, -2.095056371}, []float64{3.269994185, 3.907783985, .282918130, -1.870130533}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			net, err := New(tiny(c.kind), 1)
			if err != nil {
				t.Fatal(err)
			}
			var number uint64
			for _, p := range net.Parameters() {
				if p.Modality >= 0 {
					continue
				}
				x := net.store.Lookup(p.Name)
				fillTensorRuleH(t, x, c.base+number)
				number++
			}
			if int(number) != c.tensors {
				t.Fatalf("the head has %d tensors, want %d", number, c.tensors)
			}
			var f [modality.Count][]float32
			for m := range f {
				for i := range vectorBatch * FeatureDim {
					at := (i/FeatureDim*int(modality.Count)+m)*FeatureDim + i%FeatureDim
					f[m] = append(f[m], float32(2*ruleH(6010, uint64(at))-1))
				}
			}
			h, err := NewHeadScorer(net, vectorBatch)
			if err != nil {
				t.Fatal(err)
			}
			poses, err := h.Coalitions(f, vectorBatch)
			if err != nil {
				t.Fatal(err)
			}
			var sum float64
			for _, v := range poses[modality.All] {
				sum += float64(v)
			}
			near(t, "sum", sum, c.sum, 1e-3)
			for i, want := range c.first {
				near(t, fmt.Sprintf("output %d", i), float64(poses[modality.All][i]), want, 1e-4)
			}
			values, err := balance.NewScorer[float32](OutputDim).CoalitionScores(int(modality.Count), vectorTarget[float32](),
				func(mask uint8) ([]float32, error) { return poses[mask], nil })
			if err != nil {
				t.Fatal(err)
			}
			for m, phi := range balance.Shapley(int(modality.Count), values) {
				near(t, "contribution of "+modality.Kind(m).String(), phi, c.phi[m], 1e-4)
			}
		})
	}
}

func TestHeadScorerAllocatesNothing(t *testing.T) {
	testenv.NoRace(t, "the race detector allocates")
	const n = 6
	for _, head := range allHeads {
		net, err := New(tiny(head), 1)
		if err != nil {
			t.Fatal(err)
		}
		h, err := NewHeadScorer(net, n)
		if err != nil {
			t.Fatal(err)
		}
		var f [modality.Count][]float32
		for m := range f {
			f[m] = make([]float32, n*FeatureDim)
		}
		dst := make([]float32, n*OutputDim)
		if a := testenv.AllocsPerRun(5, func() {
			if err := h.Predict(f, n, 5, dst); err != nil {
				t.Error(err)
			}
			if _, err := h.Coalitions(f, n); err != nil {
				t.Error(err)
			}
			if h.Linear() {
				if err := h.Partial(f, n, modality.Camera, dst); err != nil {
					t.Error(err)
				}
			}
		}); a > 0 {
			t.Errorf("%s: %v allocations", head, a)
		}
	}
}

func TestHeadScorerRefuses(t *testing.T) {
	cfg := tiny(MLPHead)
	cfg.Modalities = "RL"
	net, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = NewHeadScorer(net, 0); err == nil {
		t.Error("a scorer for no sample")
	}
	h, err := NewHeadScorer(net, 2)
	if err != nil {
		t.Fatal(err)
	}
	f := [modality.Count][]float32{make([]float32, 2*FeatureDim), make([]float32, FeatureDim)}
	if h.Predict(f, 2, 1<<modality.Camera|1<<modality.LiDAR, make([]float32, 2*OutputDim)) == nil {
		t.Error("features of too few samples")
	}
	if h.Predict(f, 2, 1<<modality.Camera, make([]float32, OutputDim)) == nil {
		t.Error("room for too few poses")
	}
	if h.Predict(f, 3, 1<<modality.Camera, make([]float32, 3*OutputDim)) == nil {
		t.Error("a batch larger than the scorer's")
	}
	if h.Partial(f, 2, modality.Camera, make([]float32, 2*OutputDim)) == nil {
		t.Error("a partial prediction of an MLP head")
	}
	cfg.Head = ConcatHead
	if net, err = New(cfg, 1); err != nil {
		t.Fatal(err)
	}
	if h, err = NewHeadScorer(net, 2); err != nil {
		t.Fatal(err)
	}
	if h.Partial(f, 2, modality.CSI, make([]float32, 2*OutputDim)) == nil {
		t.Error("a partial prediction of a modality there is not")
	}
}
