package train

import (
	"math"
	"testing"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/sensors/modality"
)

// shiftedPoser knows the truth and moves every pose by the same way.
type shiftedPoser struct{ by [3]float32 }

func (p shiftedPoser) InferBatch(b *model.Batch, n int, pose []float32) error {
	for i := range n * model.OutputDim {
		pose[i] = b.Target[i] + p.by[i%3]
	}
	return nil
}

func (shiftedPoser) Coalition(modality.Set, int, []float32) error { return nil }

func TestEvaluationSplitsErrors(t *testing.T) {
	keys := []recording.Key{{Subject: 1, Activity: 12}, {Subject: 1, Activity: 13}, {Subject: 12, Activity: 12}}
	data := simulated(t, "clean", keys, LoadOptions{Window: model.Causal, Stride: 7})
	rep, err := EvaluatePoser(t.Context(), shiftedPoser{[3]float32{0.3, 0, -0.4}}, modality.All, data, nil, nil, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	all := rep.Coalitions["RLMW"]
	if all.Frames != len(data.Samples) || math.Abs(all.MPJPEMM-500) > 0.01 || all.PelvisMM > 0.01 || all.PAMPJPEMM > 0.01 {
		t.Errorf("poses 500 mm off in place and right in posture score %+v", all)
	}
	for _, part := range []struct {
		name   string
		scores map[string]Score
		keys   []string
	}{
		{"activities", rep.Activities, []string{"A12", "A13"}},
		{"subjects", rep.Subjects, []string{"S01", "S12"}},
		{"clips", rep.Clips, []string{"S01/A12", "S01/A13", "S12/A12"}},
	} {
		n := 0
		for _, k := range part.keys {
			s, ok := part.scores[k]
			if !ok || math.Abs(s.MPJPEMM-500) > 0.01 {
				t.Errorf("%s: %s scores %+v", part.name, k, s)
			}
			n += s.Frames
		}
		if n != all.Frames || len(part.scores) != len(part.keys) {
			t.Errorf("%s: %v, want %v with %d frames", part.name, part.scores, part.keys, all.Frames)
		}
	}
	for name, s := range rep.Baselines {
		// A constant pose that is right on average is nearer in place than what
		// is half a metre off, and the pelvis takes part of its error away.
		if s.Frames != all.Frames || !(s.MPJPEMM > 0 && s.MPJPEMM < 1000) || !(s.PelvisMM > 0) || s.PAMPJPEMM > s.PelvisMM+1 {
			t.Errorf("%s scores %+v", name, s)
		}
	}
}
