package train

import (
	"math"
	"testing"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

// truePoser gives the ground truth, one joint shaken every second frame.
type truePoser struct{ shakeM float32 }

func (p truePoser) InferBatch(b *model.Batch, n int, pose []float32) error {
	copy(pose, b.Target)
	for row := range n {
		if row%2 == 0 {
			pose[row*model.OutputDim] += p.shakeM
		}
	}
	return nil
}

func (truePoser) Coalition(modality.Set, int, []float32) error { return nil }

// TestMovementIsMeasuredAgainstWorkedValues: a pelvis that is 30 mm off in every
// second frame has 15/17 mm of error and an acceleration error of 60/17 mm; the true
// pose has none of either, bones of one length, and no delay.
func TestMovementIsMeasuredAgainstWorkedValues(t *testing.T) {
	ds, err := sim.NewDataset(sim.Config{Seed: 4, Preset: "clean", FramesPerClip: 64, Subjects: []int{1}, Activities: []int{12}})
	if err != nil {
		t.Fatal(err)
	}
	keys := []recording.Key{{Subject: 1, Activity: 12}}
	cfg := model.Edge()
	cfg.Modalities = "R"
	data, err := Load(t.Context(), ds, keys, cfg, LoadOptions{Window: model.Causal, Movement: true})
	if err != nil {
		t.Fatal(err)
	}
	standing, err := LoadStanding(t.Context(), ds, keys, cfg, model.Causal)
	if err != nil {
		t.Fatal(err)
	}
	for shakeMM, want := range map[float64]struct{ mpjpe, acceleration float64 }{0: {0, 0}, 30: {15.0 / 17, 60.0 / 17}} {
		rep, err := EvaluateMovement(t.Context(), truePoser{float32(shakeMM / 1000)}, data, standing)
		if err != nil {
			t.Fatal(err)
		}
		raw, bones := rep.Scores[0], rep.Scores[2]
		if math.Abs(raw.MPJPEMM-want.mpjpe) > 1e-3 || math.Abs(raw.AccelerationMM-want.acceleration) > 1e-3 || raw.DelayMS != 0 {
			t.Errorf("shaken by %v mm: %+v, want %+v", shakeMM, raw, want)
		}
		if rep.Calibrated != 1 || bones.BoneSDMM > 1 || bones.BoneErrorMM > 3 {
			t.Errorf("shaken by %v mm: calibrated %.2f, bones %+v", shakeMM, rep.Calibrated, bones)
		}
		if d := rep.Delays; len(d) == 0 || d[0].DelayMS <= d[len(d)-1].DelayMS {
			t.Errorf("shaken by %v mm: delays %v do not fall with the speed", shakeMM, d)
		}
		if filtered := rep.Scores[1]; filtered.DelayMS < 1 || filtered.DelayMS > 60 {
			t.Errorf("shaken by %v mm: the filter is %.0f ms late", shakeMM, filtered.DelayMS)
		}
		if oracle := rep.Scores[5]; shakeMM == 0 && oracle.MPJPEMM > 1e-3 {
			t.Errorf("taking nothing off moves poses by %.2f mm", oracle.MPJPEMM)
		}
	}
}

// TestStandingPeopleStandStill and have the bones of their clip, also in rooms.
func TestStandingPeopleStandStill(t *testing.T) {
	rooms, err := sim.NewRooms(sim.RoomsConfig{Seed: 3, People: 1, FramesPerClip: 20, Ranges: sim.DefaultRanges()})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []recording.Key{{Subject: 1, Activity: 3}, {Subject: 1, Activity: 12}} {
		still, err := rooms.Standing(k)
		if err != nil {
			t.Fatal(err)
		}
		clip, err := rooms.Open(k)
		if err != nil {
			t.Fatal(err)
		}
		first, err := still.Truth(0)
		if err != nil {
			t.Fatal(err)
		}
		after, err := still.Truth(22)
		if err != nil {
			t.Fatal(err)
		}
		moving, err := clip.Truth(0)
		if err != nil {
			t.Fatal(err)
		}
		for j := range first {
			if d := length(minus(first[j], after[j])); d > 0.1 {
				t.Errorf("%s: joint %d moves by %.0f mm", k, j, 1000*d)
			}
		}
		for _, b := range [][2]int{{1, 2}, {2, 3}, {0, 7}, {8, 9}, {11, 12}, {12, 13}} {
			want, got := length(minus(moving[b[0]], moving[b[1]])), length(minus(first[b[0]], first[b[1]]))
			if math.Abs(want-got) > 2e-3 {
				t.Errorf("%s: bone %v has %.0f mm standing, %.0f mm moving", k, b, 1000*got, 1000*want)
			}
		}
	}
}
