package train

import (
	"slices"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/model"
)

// TestSlowStartSlowsWhatItIsTold trains a single step with a share of nothing, so that
// what is slow does not move at all.
func TestSlowStartSlowsWhatItIsTold(t *testing.T) {
	data, _ := methodData(t)
	for _, what := range slowWhat.Words {
		var set MethodSettings
		set.Set(slowWhat, what)
		set.Set(slowShare, 0.0)
		method, err := NewMethod(SlowStart, set)
		if err != nil {
			t.Fatal(err)
		}
		net, err := model.New(modeltest.Small(), 7)
		if err != nil {
			t.Fatal(err)
		}
		var before [][]float32
		for _, p := range net.Parameters() {
			before = append(before, slices.Clone(p.Value))
		}
		if err := Run(t.Context(), net, data, Options{Epochs: 1, Batch: len(data.Samples), LR: 1e-3, Seed: 1, Method: method}); err != nil {
			t.Fatal(err)
		}
		moved := map[string]bool{}
		for i, p := range net.Parameters() {
			if p.NoGrad {
				continue
			}
			name := "head"
			for _, e := range encodersOf(net) {
				if p.Modality == int(e.modality) {
					name = e.letter
				}
			}
			moved[name] = moved[name] || !slices.Equal(before[i], p.Value)
		}
		for name, did := range moved {
			slow := what == "everything" || what == "encoders" && name != "head" || what == name
			if did == slow {
				t.Errorf("slow is %s: %s moved: %v", what, name, did)
			}
		}
	}
}

// TestWarmUpRises trains three epochs with a rate that rises over two.
func TestWarmUpRises(t *testing.T) {
	data, held := methodData(t)
	_, lines := trained(t, data, held, model.ConcatHead, SlowStart, func(s *MethodSettings) { s.Set(slowRamp, true); s.Set(slowWhat, "everything") })
	// The mean of 1/n, 2/n .. 1 lies above a half; the second epoch is as fast as ever.
	if share := lines[0].Method["share_of_rate"]; !(share > 0.5 && share <= 0.75) {
		t.Errorf("the mean share of the rate in the epoch of the warm-up is %v", share)
	}
	if _, told := lines[1].Method["share_of_rate"]; told {
		t.Error("the second epoch is slow, too")
	}
}
