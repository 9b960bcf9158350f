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

// movedPoser moves joint 3 of every pose by 0.1 m along x, but every other frame by
// as much again, and makes the whole twice as large about the pelvis.
type movedPoser struct{ frame *int }

func (p movedPoser) InferBatch(b *model.Batch, n int, pose []float32) error {
	for row := range n {
		t, q := b.Target[row*model.OutputDim:], pose[row*model.OutputDim:]
		for i := range model.OutputDim {
			q[i] = t[i%3] + 2*(t[i]-t[i%3])
		}
		q[9] += 0.1 * float32(1+*p.frame%2)
		*p.frame++
	}
	return nil
}

func (movedPoser) Coalition(modality.Set, int, []float32) error { return nil }

// TestDetailsOfKnownErrors holds every measure against what it must be for poses
// whose errors are known.
func TestDetailsOfKnownErrors(t *testing.T) {
	data := simulated(t, "clean", []recording.Key{{Subject: 1, Activity: 12}}, LoadOptions{Window: model.Causal})
	near := func(what string, got, want, by float64) {
		t.Helper()
		if math.Abs(got-want) > by {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	rep, err := EvaluatePoser(t.Context(), shiftedPoser{[3]float32{0.3, 0, -0.4}}, modality.All, data, nil, nil, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := rep.Details["RLMW"]
	near("MAE", d.MAEMM, 700./3, 0.01)
	near("MAE of x", d.AxisMM[0], 300, 0.01)
	near("MAE of z", d.AxisMM[2], 400, 0.01)
	near("a joint's error", d.JointMM["left wrist"], 500, 0.01)
	near("PCK about the pelvis", d.PCK150Pct, 100, 0)
	near("AUC about the pelvis", d.AUC150Pct, 100*30./31, 0.01)
	near("PCK in place", d.PCK50Pct, 0, 0)
	near("N-MPJPE", d.NMPJPEMM, 0, 0.01)
	near("bones", d.BoneMM, 0, 0.01)
	near("velocity", *d.VelocityMM, 0, 0.01)
	near("acceleration", *d.AccelerationMM, 0, 0.01)

	if rep, err = EvaluatePoser(t.Context(), movedPoser{new(int)}, modality.All, data, nil, nil, "", nil); err != nil {
		t.Fatal(err)
	}
	d = rep.Details["RLMW"]
	if d.NMPJPEMM > rep.Coalitions["RLMW"].PelvisMM/5 || d.BoneMM < 100 {
		t.Errorf("of poses twice as large N-MPJPE is %v and the bones' error %v", d.NMPJPEMM, d.BoneMM)
	}
	// The wrong joint goes to and fro by 0.1 m: 0.1/17 a frame and 0.2/17 in the
	// second difference, beside what the size makes of the person's own movement.
	if *d.VelocityMM < 1000*0.1/17*0.8 || *d.AccelerationMM < 1000*0.2/17*0.8 {
		t.Errorf("velocity error %v, acceleration error %v", *d.VelocityMM, *d.AccelerationMM)
	}
	strided := simulated(t, "clean", []recording.Key{{Subject: 1, Activity: 12}}, LoadOptions{Window: model.Causal, Stride: 3})
	if rep, err = EvaluatePoser(t.Context(), shiftedPoser{}, modality.All, strided, nil, nil, "", nil); err != nil {
		t.Fatal(err)
	}
	if d = rep.Details["RLMW"]; d.VelocityMM != nil || d.AccelerationMM != nil || rep.About.Stride != 3 {
		t.Errorf("every third frame has a velocity error %v, stride %d", d.VelocityMM, rep.About.Stride)
	}
}
