package train

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"posefuse/model"
)

// Epochs of the head alone leave the encoders, running statistics included, as they
// were, and bring the head nearer to the samples; the curve says which they are, and
// twice the same leaves the same.
func TestHeadEpochs(t *testing.T) {
	for _, head := range []string{model.ReprojectionHead, model.AttentionHead} {
		job := jobOf(t, "RLM")
		job.Config.Head, job.Options.HeadEpochs = head, 3
		var before *model.Network
		var losses []float64
		job.Options.AfterEpoch = func(e EpochInfo) error {
			if e.HeadAlone {
				losses = append(losses, e.LossMM)
			}
			return nil
		}
		var net *model.Network
		job.Loaded = func(n *model.Network, _, _ *Data) { net = n }
		job.Options.Step = func(s StepInfo) {
			if s.Epoch == 2 && s.Step == 1 { // of the head; the first epoch is whole
				before, _ = net.Clone()
			}
		}
		if _, err := job.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(losses) != 3 || losses[2] >= losses[0] {
			t.Errorf("%s: errors of the head's epochs: %v", head, losses)
		}
		same := func(name string, of int, was, now []float32) {
			if equal := slices.Equal(was, now); equal == (of < 0) && of >= 0 {
				t.Errorf("%s: %s changed", head, name)
			}
		}
		now := net.Parameters()
		for i, p := range before.Parameters() {
			same(p.Name, p.Modality, p.Value, now[i].Value)
		}
		statistics := net.Buffers()
		for i, b := range before.Buffers() {
			same(b.Name, 0, b.Value, statistics[i].Value)
		}
		again := jobOf(t, "RLM")
		again.Config.Head, again.Options.HeadEpochs = head, 3
		again.Loaded = func(n *model.Network, _, _ *Data) { before = n }
		if _, err := again.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		equalBits(t, before, net)
	}
}

// A network that is there has epochs of its head alone; with none of either kind, or
// with held-out clips whose best epoch the head would leave behind, training is
// refused. One that is interrupted in them ends with the context's error.
func TestHeadEpochsAlone(t *testing.T) {
	whole, _ := trainedJob(t, "RL")
	job := jobOf(t, "RL")
	job.Begin, job.Options.Epochs, job.Options.HeadEpochs = []Begin{whole}, 0, 1
	var epochs []EpochInfo
	job.Options.AfterEpoch = func(e EpochInfo) error { epochs = append(epochs, e); return nil }
	if _, err := job.Run(t.Context()); err != nil || len(epochs) != 1 || !epochs[0].HeadAlone || epochs[0].Epoch != 1 {
		t.Errorf("epochs %+v, error %v", epochs, err)
	}
	for want, change := range map[string]func(o *Options){
		"train for at least 1":           func(o *Options) { o.Epochs = 0 },
		"-1 epochs of the head":          func(o *Options) { o.HeadEpochs = -1 },
		"not the best on held-out clips": func(o *Options) { o.HeadEpochs, o.Best = 1, &Best{} },
	} {
		o := jobOf(t, "RL").Options
		if change(&o); o.Check() == nil || !strings.Contains(o.Check().Error(), want) {
			t.Errorf("%q: got %v", want, o.Check())
		}
	}
	job = jobOf(t, "RL")
	ctx, cancel := context.WithCancel(t.Context())
	job.Options.HeadEpochs = 2
	job.Options.Step = func(s StepInfo) {
		if s.Epoch == 2 {
			cancel()
		}
	}
	if _, err := job.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted in the head's epochs: %v", err)
	}
}
