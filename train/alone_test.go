package train

import (
	"math"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// TestAlone: by one sensor's data alone a network gives the poses that it gives
// with the others left out.
func TestAlone(t *testing.T) {
	keys := []recording.Key{{Subject: 3, Activity: 12}}
	all := simulated(t, "mmfi", keys, LoadOptions{Window: model.Causal, Stride: 4})
	net, err := model.New(modeltest.Small(), 9)
	if err != nil {
		t.Fatal(err)
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Close() }()
	for _, m := range []modality.Kind{modality.Radar, modality.LiDAR} {
		one := modality.Of(m)
		want, err := Evaluate(t.Context(), net, all, nil, []modality.Set{one}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		only, err := all.Only(one)
		if err != nil {
			t.Fatal(err)
		}
		alone := Alone{Run: run, Sensor: m}
		got, err := EvaluatePoser(t.Context(), alone, one, only, nil, nil, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, b := got.Coalitions[one.String()], want.Coalitions[one.String()]
		if a.Frames != b.Frames || math.Abs(a.MPJPEMM-b.MPJPEMM) > 0.01 || a.MPJPEMM == 0 {
			t.Errorf("%s alone %+v, with the others left out %+v", m, a, b)
		}
		if err := alone.Coalition(modality.All, 1, nil); err == nil {
			t.Errorf("%s alone is all sensors", m)
		}
	}
}
