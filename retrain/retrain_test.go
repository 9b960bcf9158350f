package retrain

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/train"
)

// small is a network of the camera and the radar, that trains in a second.
func small() model.Config {
	cfg := modeltest.Small()
	cfg.Modalities = "RM"
	return cfg
}

func simulated(t testing.TB, preset string, seed uint64, keys ...recording.Key) train.Selection {
	t.Helper()
	ds, err := sim.NewDataset(sim.Config{Seed: seed, Preset: preset, FramesPerClip: 40})
	if err != nil {
		t.Fatal(err)
	}
	return train.Selection{Data: ds, Keys: keys}
}

var (
	oldKeys   = []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 12}, {Subject: 3, Activity: 22}}
	judgeKeys = []recording.Key{{Subject: 31, Activity: 12}, {Subject: 32, Activity: 22}}
	newKeys   = []recording.Key{{Subject: 7, Activity: 12}, {Subject: 7, Activity: 22}}
)

// base is a serving model, trained a little on the old recordings.
var base = sync.OnceValues(func() (*model.Network, error) {
	ds, err := sim.NewDataset(sim.Config{Seed: 1, Preset: "clean", FramesPerClip: 40})
	if err != nil {
		return nil, err
	}
	data, err := train.Load(context.Background(), ds, oldKeys, small(), train.LoadOptions{Window: model.Causal})
	if err != nil {
		return nil, err
	}
	net, err := model.New(small(), 1)
	if err != nil {
		return nil, err
	}
	return net, train.Run(context.Background(), net, data, train.Options{Epochs: 8, Batch: 20, LR: 4e-3, MeanStart: true, Seed: 1, Dropout: 0.3})
})

func job(t testing.TB) *Job {
	t.Helper()
	net, err := base()
	if err != nil {
		t.Fatal(err)
	}
	method, err := train.NewMethod(train.AWC, train.MethodSettings{})
	if err != nil {
		t.Fatal(err)
	}
	return &Job{Base: net, Name: registry.Shipped, Card: model.Card{Name: "small", Version: "1", Window: model.Causal, SHA256: strings.Repeat("ab", 32), Data: "old", Config: small()},
		Old: simulated(t, "clean", 1, oldKeys...), OldStop: simulated(t, "clean", 1, recording.Key{Subject: 33, Activity: 12}), OldJudge: simulated(t, "clean", 1, judgeKeys...), Labelled: []train.Selection{simulated(t, "clean", 1, newKeys...)},
		Stride: 2, OldStride: 2, Epochs: 4, Patience: 2, Batch: 20, LR: 2e-3, Seed: 1, Replicas: 1, Dropout: 0.3, Method: method, SureShare: 0.5,
		Rule: Rule{MarginPercent: 2, LimitPercent: 50}, Work: t.TempDir()}
}

func run(t testing.TB, j *Job) *Result {
	t.Helper()
	r, err := j.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func values(n *model.Network) (all [][]float32) {
	for _, p := range n.Parameters() {
		all = append(all, p.Value)
	}
	return all
}

// TestRetraining: the candidate is better where it was trained further, its card
// says where it comes from, contributions are told, and an interruption makes no
// difference to the bit.
func TestRetraining(t *testing.T) {
	j := job(t)
	epochs := 0
	j.Tell = func(p Progress) {
		if p.Epoch != nil {
			epochs++
			if len(p.Epoch.Shapley) != 2 {
				t.Errorf("epoch %d tells contributions %v", p.Epoch.Epoch, p.Epoch.Shapley)
			}
		}
	}
	before := values(j.Base)[0][0]
	r := run(t, j)
	if epochs != r.Epochs || r.Epoch < 1 || r.Epoch > r.Epochs || r.Epochs > j.Epochs {
		t.Errorf("epoch %d of %d is kept, %d were told", r.Epoch, r.Epochs, epochs)
	}
	if values(j.Base)[0][0] != before {
		t.Error("the serving model was changed")
	}
	if c := r.Card; c.Parent != j.Card.SHA256 || c.KnownErrors == nil || !strings.Contains(c.Data, "trained further") || c.Metrics["new_RM_mpjpe_mm"] <= 0 || c.Metrics["old_RM_mpjpe_mm"] <= 0 {
		t.Errorf("card %+v", c)
	}
	if !slices.Contains(shares[:], float32(r.Share)) || (r.Share < 1) != strings.Contains(r.Card.Notes, "parent's") || r.OldJudge == nil {
		t.Errorf("a share %g of the trained weights, notes %q", r.Share, r.Card.Notes)
	}
	f := r.Gate.Figures[0]
	t.Logf("new recordings: %.1f mm before, %.1f after; %s", f.BeforeMM, f.AfterMM, r.Gate.Reason)
	if f.Set != NewSet || f.Group != allSensors || f.AfterMM >= f.BeforeMM && !testenv.Race {
		t.Errorf("%+v: no better than before", f)
	}
	groups := map[string]bool{}
	for _, f := range r.Gate.Figures {
		groups[f.Set+" "+f.Group] = true
	}
	for _, want := range []string{"new all", "new coalition R", "new coalition M", "new activity A12", "new activity A22", "old all", "old activity A22"} {
		if !groups[want] {
			t.Errorf("the gate did not look at %s", want)
		}
	}

	again := job(t)
	ctx, cancel := context.WithCancel(t.Context())
	again.Tell = func(p Progress) {
		if p.Epoch != nil && p.Epoch.Epoch == 2 {
			cancel()
		}
	}
	if _, err := again.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	again.Tell = nil
	second := run(t, again)
	for i, v := range values(second.Net) {
		if !slices.Equal(v, values(r.Net)[i]) {
			t.Fatalf("parameter %d differs after an interruption", i)
		}
	}
}

// wrongLabels are recordings whose joints are half a metre off.
type wrongLabels struct{ recording.Dataset }

type wrongClip struct{ recording.Clip }

func (d wrongLabels) Open(k recording.Key) (recording.Clip, error) {
	c, err := d.Dataset.Open(k)
	return wrongClip{c}, err
}

func (c wrongClip) Truth(i int) (recording.Pose, error) {
	p, err := c.Clip.Truth(i)
	for j := range p {
		p[j][1] -= 0.5
	}
	return p, err
}

// TestWrongLabelsAreRejected: what was learned from them is worse on the old
// recordings, however well it agrees with its own labels.
func TestWrongLabelsAreRejected(t *testing.T) {
	j := job(t)
	j.Labelled[0].Data = wrongLabels{j.Labelled[0].Data}
	j.Rule.LimitPercent = 2
	r := run(t, j)
	if r.Gate.Passed || !strings.Contains(r.Gate.Reason, OldSet+" recordings") {
		t.Errorf("gate %+v", r.Gate)
	}
	if r.Gate.Figures[0].ChangePercent() > 0 {
		t.Errorf("wrong labels were not learned, so that the test shows nothing: %+v", r.Gate.Figures[0])
	}
}

// unlabelled are recordings without joints.
type unlabelled struct{ recording.Dataset }

type unlabelledClip struct{ recording.Clip }

func (d unlabelled) Open(k recording.Key) (recording.Clip, error) {
	c, err := d.Dataset.Open(k)
	return unlabelledClip{c}, err
}

func (unlabelledClip) Truth(int) (recording.Pose, error) {
	return recording.Pose{}, errors.New("nobody measured the joints")
}

// TestSelfTraining trains on recordings without labels: half of the frames are
// labelled by the model, the gate looks at labelled ones only, and a training
// that was interrupted goes on.
func TestSelfTraining(t *testing.T) {
	j := job(t)
	j.Labelled, j.Unlabelled = nil, []train.Selection{{Data: unlabelled{j.Labelled[0].Data}, Keys: newKeys}}
	j.Judge = []train.Selection{simulated(t, "clean", 1, recording.Key{Subject: 8, Activity: 12})}
	if _, err := j.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "known_errors") {
		t.Fatalf("labelled by a model that does not know how good it is: %v", err)
	}
	all, err := train.Load(t.Context(), j.OldJudge.Data, judgeKeys, small(), train.LoadOptions{Window: model.Causal})
	if err != nil {
		t.Fatal(err)
	}
	if j.Card.KnownErrors, err = train.MeasureErrors(t.Context(), j.Base, all, "old"); err != nil {
		t.Fatal(err)
	}
	trained, old := 0, 0
	j.Ready = func(n, o int) { trained, old = n, o }
	ctx, cancel := context.WithCancel(t.Context())
	j.Tell = func(p Progress) {
		if p.Epoch != nil {
			cancel()
		}
	}
	if _, err = j.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	j.Tell = nil
	r := run(t, j)
	frames := len(newKeys) * 20
	if trained != frames/2 || old != len(oldKeys)*20 {
		t.Errorf("trained on %d of %d new frames and %d old ones", trained, frames, old)
	}
	if !strings.Contains(r.Card.Notes, "labelled by the model itself") {
		t.Errorf("notes %q", r.Card.Notes)
	}
	for _, f := range r.Gate.Figures {
		if f.Set == NewSet && strings.HasPrefix(f.Group, "activity") && f.Group != "activity A12" {
			t.Errorf("the gate looked at %+v", f)
		}
	}
}

func TestJobsThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Job)
		want  string
	}{
		"nothing to train on":         {func(j *Job) { j.Labelled = nil }, "no recordings to train on"},
		"nothing to judge by":         {func(j *Job) { j.Unlabelled, j.Labelled = j.Labelled, nil }, "no labelled recordings to judge by"},
		"no epochs":                   {func(j *Job) { j.Epochs = 0 }, "at least 1"},
		"no patience":                 {func(j *Job) { j.Patience = 0 }, "at least 1"},
		"margin":                      {func(j *Job) { j.Rule.MarginPercent = 0 }, "margin"},
		"share":                       {func(j *Job) { j.SureShare = 2 }, "share"},
		"too little memory":           {func(j *Job) { j.MemoryBytes = 1 << 20 }, "1 are allowed"},
		"fewer frames than one batch": {func(j *Job) { j.Batch = 1000 }, "a batch of 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(t)
			c.spoil(j)
			if _, err := j.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}
