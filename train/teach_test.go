package train

import (
	"slices"
	"testing"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// taught returns a trained network and its training data, which it has taught.
func taught(t *testing.T) (*model.Network, *model.Runtime, *Data) {
	t.Helper()
	job := jobOf(t, "RLM")
	var net *model.Network
	var data *Data
	job.Loaded = func(n *model.Network, trainData, _ *Data) { net, data = n, trainData }
	if _, err := job.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, err := model.NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := data.Teach(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	return net, run, data
}

// What is learned of a sample is the pose of just those of its sensors that were
// drawn; what it is judged by stays the truth.
func TestTeach(t *testing.T) {
	net, run, data := taught(t)
	before := data.Clips[0].Truth[0]
	b, pose := data.NewBatch(1), make([]float32, model.OutputDim)
	for _, drawn := range net.Config.Mask().Subsets() {
		for _, ref := range []SampleRef{data.Samples[0], data.Samples[len(data.Samples)-1]} {
			data.Fill(b, 0, ref)
			if err := run.InferBatch(b, 1, pose); err != nil {
				t.Fatal(err)
			}
			of := b.Present[0] & drawn
			if of == 0 {
				of = b.Present[0]
			}
			if err := run.Coalition(of, 1, pose); err != nil {
				t.Fatal(err)
			}
			data.teach(b, 0, ref, drawn)
			for i, v := range pose {
				if d := b.Target[i] - v; d > 1e-5 || d < -1e-5 {
					t.Fatalf("sensors %s of sample %v: value %d to learn is %g, the network says %g", drawn, ref, i, b.Target[i], v)
				}
			}
		}
	}
	if data.Clips[0].Truth[0] != before {
		t.Error("the truth changed")
	}
	untaught := &Data{Clips: []*ClipData{{Truth: slices.Repeat([]float32{7}, model.OutputDim)}}, cfg: data.cfg}
	b.Target[0] = 7
	untaught.teach(b, 0, SampleRef{}, modality.All)
	if b.Target[0] != 7 {
		t.Error("data that nobody taught has another target than the truth")
	}
}

// A network that is trained in use on what itself says has nothing to learn: the
// error that training tells is none, where the truth is far away. Running statistics
// stay as they were, and a state of such a training is of no other.
func TestInUse(t *testing.T) {
	net, _, data := taught(t)
	start, err := net.Clone()
	if err != nil {
		t.Fatal(err)
	}
	var first float64
	opt := Options{Epochs: 1, Batch: 8, LR: 1e-6, Seed: 1, InUse: true, Dropout: 0.5, Step: func(s StepInfo) {
		if s.Step == 1 {
			first = s.LossMM
		}
	}}
	if err := Run(t.Context(), net, data, opt); err != nil {
		t.Fatal(err)
	}
	if first > 0.1 {
		t.Errorf("%.3f mm from its own poses at the first step", first)
	}
	for i, b := range net.Buffers() {
		if !slices.Equal(b.Value, start.Buffers()[i].Value) {
			t.Errorf("%s changed", b.Name)
		}
	}
	for _, c := range data.Clips {
		c.Taught = nil
	}
	if err := Run(t.Context(), start, data, opt); err != nil {
		t.Fatal(err)
	}
	if first < 10 {
		t.Errorf("%.1f mm from the truth: the test shows nothing", first)
	}
}
