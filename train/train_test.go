package train

import (
	"math"
	"strings"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
)

func simulated(t *testing.T, preset string, keys []recording.Key, opt LoadOptions) *Data {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: 5, Preset: preset, FramesPerClip: 60})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Load(t.Context(), ds, keys, modeltest.Small(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTrainingLearnsThePoseFromCleanSensors(t *testing.T) {
	keys := []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 13}, {Subject: 3, Activity: 27}}
	data := simulated(t, "clean", keys, LoadOptions{Window: model.Causal})
	net, err := model.New(modeltest.Small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var last EpochInfo
	epochs := 25
	if testenv.Race { // too slow to learn anything; the numbers are checked without it
		epochs = 2
	}
	opt := Options{Epochs: epochs, Batch: 20, LR: 6e-3, MeanStart: true, Seed: 1, AfterEpoch: func(e EpochInfo) error { last = e; return nil }}
	if err = Run(t.Context(), net, data, opt); err != nil {
		t.Fatal(err)
	}
	rep, err := Evaluate(t.Context(), net, data, nil, []modality.Set{modality.All, 1 << modality.Camera}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("clean simulated sensors: train %.1f mm, all sensors %.1f mm, mean pose %.1f mm", last.LossMM, rep.Coalitions["RLMW"].MPJPEMM, rep.Baselines[OwnMeanPose].MPJPEMM)
	if got, mean := rep.Coalitions["RLMW"].MPJPEMM, rep.Baselines[OwnMeanPose].MPJPEMM; got > mean/3 && !testenv.Race {
		t.Errorf("all sensors: %.1f mm, want under a third of the mean pose's %.1f", got, mean)
	}
	if rep.Coalitions["RLMW"].Frames != 180 || rep.Activities["A12"].Frames != 60 {
		t.Errorf("frames counted: %d in all, %d of A12; want 180 and 60", rep.Coalitions["RLMW"].Frames, rep.Activities["A12"].Frames)
	}
}

func TestSameSeedSameWeights(t *testing.T) {
	keys := []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 7}}
	data := simulated(t, "mmfi", keys, LoadOptions{Window: model.Causal, Stride: 3})
	weights := func(start func(StartInfo)) []*model.Parameter {
		net, err := model.New(modeltest.Small(), 9)
		if err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), net, data, Options{Epochs: 2, Batch: 16, LR: 1e-3, Seed: 4, Dropout: 0.5, Replicas: 2, Start: start}); err != nil {
			t.Fatal(err)
		}
		return net.Parameters()
	}
	var info StartInfo
	// Stating the memory runs steps of its own, which must not show.
	a, b := weights(nil), weights(func(i StartInfo) { info = i })
	n := 0
	for _, p := range a {
		n += len(p.Value)
	}
	if want := 24 * int64(n); info.StateBytes != want || info.ActivationBytes < 16*1000 {
		t.Errorf("memory stated as %+v, want %d bytes of state", info, want)
	}
	for i, p := range a {
		for k, v := range p.Value {
			if v != b[i].Value[k] {
				t.Fatalf("%s[%d]: %g and %g after the same training", p.Name, k, v, b[i].Value[k])
			}
		}
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	good := Options{Epochs: 1, Batch: 8, LR: 1e-3}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	if err := PaperRecipe().Check(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Options){
		"0 epochs":             func(o *Options) { o.Epochs = 0 },
		"learning rate NaN":    func(o *Options) { o.LR = math.NaN() },
		"learning rate 0":      func(o *Options) { o.LR = 0 },
		"modality dropout 1.5": func(o *Options) { o.Dropout = 1.5 },
		"weight decay -1":      func(o *Options) { o.WeightDecay = -1 },
		"3 replicas cannot":    func(o *Options) { o.Replicas = 3 },
		"1 replicas cannot":    func(o *Options) { o.Batch = 1 },
		"8 replicas cannot":    func(o *Options) { o.Replicas = 8 },
	} {
		o := good
		spoil(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	data := simulated(t, "clean", []recording.Key{{Subject: 1, Activity: 12}}, LoadOptions{Window: model.Causal, Stride: 30})
	good.Batch = 64
	if err := Run(t.Context(), nil, data, good); err == nil || !strings.Contains(err.Error(), "smaller batch") {
		t.Errorf("a batch larger than the data: %v", err)
	}
}

func TestWindowsPlaceTheTarget(t *testing.T) {
	keys := []recording.Key{{Subject: 4, Activity: 1}}
	for _, c := range []struct {
		window model.Window
		target int // position of the target's own keypoints in the window
	}{{model.Causal, 80}, {model.Centred, 40}} {
		d := simulated(t, "clean", keys, LoadOptions{Window: c.window})
		b := d.NewBatch(1)
		for _, row := range []int{0, 45, 59} {
			d.Fill(b, 0, SampleRef{0, row})
			for i := range model.CameraWindow {
				at := min(max(row+i-c.target, 0), 59)
				if got, want := b.Camera[i*model.KeypointValues], d.Clips[0].Camera[at*model.KeypointValues]; got != want {
					t.Fatalf("%s window, frame %d, entry %d: %g, want frame %d's %g", c.window, row, i, got, at, want)
				}
			}
		}
	}
}

func TestLoadNamesTheClipThatFails(t *testing.T) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Subjects: []int{1}, FramesPerClip: 4})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(t.Context(), ds, []recording.Key{{Subject: 1, Activity: 1}, {Subject: 2, Activity: 3}}, modeltest.Small(), LoadOptions{Window: model.Causal})
	if err == nil || !strings.Contains(err.Error(), "E01/S02/A03") {
		t.Fatalf("got %v, want an error that names E01/S02/A03", err)
	}
	if _, err := Load(t.Context(), ds, nil, modeltest.Small(), LoadOptions{Window: "sideways"}); err == nil || !strings.Contains(err.Error(), "sideways") {
		t.Fatalf("got %v, want an error that names the window", err)
	}
}
