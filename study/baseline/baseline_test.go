package baseline

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/sensors/modality"
	"posefuse/train"
)

// simulated loads a few short clips of the simulator.
func simulated(t *testing.T, preset string, cfg model.Config, keys []recording.Key, frames, stride int) *train.Data {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: 5, Preset: preset, FramesPerClip: frames})
	if err != nil {
		t.Fatal(err)
	}
	d, err := train.Load(t.Context(), ds, keys, cfg, train.LoadOptions{Window: model.Causal, Stride: stride})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func clips(subjects ...int) []recording.Key {
	var keys []recording.Key
	for _, s := range subjects {
		keys = append(keys, recording.Key{Subject: s, Activity: 12}, recording.Key{Subject: s, Activity: 27})
	}
	return keys
}

// TestEachRowLearns trains every row on a few frames of clean simulated
// sensors, which each must come to fit better.
func TestEachRowLearns(t *testing.T) {
	cfg := modeltest.Small()
	data := simulated(t, "clean", cfg, clips(1, 2), 40, 5)
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			opt := train.Options{Epochs: 12, Batch: 16, LR: 6e-3, MeanStart: true, Seed: 1}
			if name == HPELiRow {
				opt.Epochs = 6
			}
			if testenv.Race { // too slow to learn anything
				opt.Epochs = 1
			}
			var curve bytes.Buffer
			var losses []float64
			share := 0.0
			opt.Curve = &curve
			opt.AfterEpoch = func(e train.EpochInfo) error { losses = append(losses, e.LossMM); return nil }
			opt.Step = func(s train.StepInfo) {
				if s.Share < share || s.Share > 1+1e-9 {
					t.Errorf("share %g after %g", s.Share, share)
				}
				share = s.Share
			}
			p, err := Train(t.Context(), name, cfg, data, opt)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			networks := len(losses) / opt.Epochs
			if want := map[string]int{HPELiRow: 1, XFiRow: 1, XFiTokensRow: 4, AverageRow: 4, AverageVarianceRow: 8}[name]; networks != want || len(losses)%opt.Epochs != 0 ||
				bytes.Count(curve.Bytes(), []byte("\n")) != len(losses) || math.Abs(share-1) > 1e-9 {
				t.Fatalf("told of %d epochs of %d networks, %d lines of curve, share %g", len(losses), networks, bytes.Count(curve.Bytes(), []byte("\n")), share)
			}
			t.Logf("clean simulated sensors: first and last loss of the last network %.1f and %.1f mm", losses[len(losses)-opt.Epochs], losses[len(losses)-1])
			for n := range networks {
				if l := losses[n*opt.Epochs:][:opt.Epochs]; l[len(l)-1] > 0.95*l[0] && !testenv.Race {
					t.Errorf("network %d: a loss of %.1f mm became %.1f", n, l[0], l[len(l)-1])
				}
			}
			masks := []modality.Set{1 << modality.CSI, 1<<modality.Camera | 1<<modality.CSI, 1 << modality.Camera}
			rep, err := Evaluate(t.Context(), p, data, data, masks, data.Describe(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := rep.Coalitions["R"]; ok == (name == HPELiRow) || rep.Coalitions["W"].Frames != len(data.Samples) {
				t.Errorf("scored coalitions: %v", rep.Coalitions)
			}
		})
	}
}

// The same seed gives the same row to the bit, with one thread and with three;
// another seed another one.
func TestRowsAreDeterministic(t *testing.T) {
	testenv.SlowRace(t)
	cfg := modeltest.Small()
	data := simulated(t, "mmfi", cfg, clips(1, 2), 24, 6)
	defer model.SetThreads(model.Threads())
	for _, name := range Names() {
		poses := func(threads int, seed uint64) []float32 {
			model.SetThreads(threads)
			p, err := Train(t.Context(), name, cfg, data, train.Options{Epochs: 1, Batch: 4, LR: 1e-3, Seed: seed, Dropout: 0.3})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			b := data.NewBatch(4)
			for i := range 4 {
				data.Fill(b, i, data.Samples[i])
			}
			out := make([]float32, 4*model.OutputDim)
			if err := p.InferBatch(b, 4, out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		one := poses(1, 7)
		if !slices.Equal(one, poses(3, 7)) {
			t.Errorf("%s: three threads give another row than one", name)
		}
		if slices.Equal(one, poses(3, 8)) {
			t.Errorf("%s: another seed gives the same row", name)
		}
	}
}

// A modality that a sample lacks takes no part, whether the batch or the
// coalition says so; without any the mean pose is left.
func TestAbsentModalities(t *testing.T) {
	cfg := modeltest.Small()
	data := simulated(t, "mmfi", cfg, clips(1, 2), 24, 4)
	for _, name := range Names() {
		p, err := Train(t.Context(), name, cfg, data, train.Options{Epochs: 1, Batch: 8, LR: 1e-3, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		const n = 3
		b := data.NewBatch(n)
		some := modality.Set(1<<modality.LiDAR | 1<<modality.CSI)
		for i := range n {
			data.Fill(b, i, data.Samples[7*i])
		}
		pose := func(present, coalition modality.Set) []float32 {
			for i := range b.Present {
				b.Present[i] = present
			}
			out := make([]float32, n*model.OutputDim)
			if err := p.InferBatch(b, n, out); err != nil {
				t.Fatal(err)
			}
			if err := p.Coalition(coalition, n, out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		want := pose(modality.All, some)
		if !slices.Equal(want, pose(some, modality.All)) {
			t.Errorf("%s: absent in the batch and absent in the coalition differ", name)
		}
		if slices.Equal(want, pose(modality.All, modality.All)) != (name == HPELiRow) {
			t.Errorf("%s: the camera's part in the pose", name)
		}
		none := pose(modality.All, 0)
		for i, v := range none[model.OutputDim:] {
			if v != none[i%model.OutputDim] {
				t.Fatalf("%s: poses without a sensor differ", name)
			}
		}
		if err := p.Coalition(some, n+1, make([]float32, (n+1)*model.OutputDim)); err == nil {
			t.Errorf("%s: a coalition of more samples than the batch had passed", name)
		}
		if err := p.InferBatch(b, n, make([]float32, 5)); err == nil {
			t.Errorf("%s: room for 5 values passed", name)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatNoRowCanWorkWith(t *testing.T) {
	cfg := modeltest.Small()
	data := simulated(t, "mmfi", cfg, clips(1), 12, 2)
	good := train.Options{Epochs: 1, Batch: 4, LR: 1e-3}
	awc, err := train.NewMethod(train.AWC, train.MethodSettings{})
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		name string
		cfg  func(*model.Config)
		opt  func(*train.Options)
	}{
		"use one of hpe-li, xfi": {name: "metafi"},
		"trained plainly":        {opt: func(o *train.Options) { o.Method = awc }},
		"0 epochs":               {opt: func(o *train.Options) { o.Epochs = 0 }},
		"a batch of 640":         {opt: func(o *train.Options) { o.Batch = 640 }},
		"lack W":                 {cfg: func(c *model.Config) { c.Modalities = "RL" }},
		"points of modality L":   {cfg: func(c *model.Config) { c.LiDAR.Points++ }},
	} {
		name, cf, opt := HPELiRow, cfg, good
		if c.name != "" {
			name = c.name
		}
		if c.cfg != nil {
			c.cfg(&cf)
		}
		if c.opt != nil {
			c.opt(&opt)
		}
		if _, err := Train(t.Context(), name, cf, data, opt); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range Names() {
		if _, err := Train(ctx, name, cfg, data, good); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled training gave %v", name, err)
		}
	}
}
