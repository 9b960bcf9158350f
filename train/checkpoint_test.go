package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posefuse/balance"
	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/recording"
)

// course is one training of the resume tests.
type course struct {
	method, head string
	dropout      float64
	replicas     int
	held         bool
	change       func(*MethodSettings)
}

// tiny is the smallest network of all four modalities, with every kind of
// dropout.
func tiny(head string) model.Config {
	cfg := modeltest.Small()
	cfg.Head = head
	cfg.Camera.Channels, cfg.Camera.Dropout, cfg.CSI.Dropout = 8, 0.2, 0.1
	cfg.LiDAR = model.PointsConfig{Points: 64, Planes: []int{8, 8}, Strides: []int{1, 16}, Neighbours: []int{4, 4}}
	cfg.Radar = model.PointsConfig{Points: 16, Planes: []int{8, 8}, Strides: []int{1, 4}, Neighbours: []int{4, 4}}
	cfg.CSI.Blocks = []int{1, 1, 1, 1}
	return cfg
}

// start returns a new network and the options of the course.
func (c course) start(t *testing.T, held *Data) (*model.Network, Options) {
	t.Helper()
	net, err := model.New(tiny(c.head), 9)
	if err != nil {
		t.Fatal(err)
	}
	var set MethodSettings
	set.Set(warmup, 1)
	set.Set(blendEvery, 2)
	set.Set(awcFisherBatches, 1)
	if c.change != nil {
		c.change(&set)
	}
	method, err := NewMethod(c.method, set)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Epochs: 4, Batch: 8, LR: 2e-3, WeightDecay: 1e-4, Seed: 4, Replicas: c.replicas, Dropout: c.dropout, MeanStart: true, Method: method}
	if c.held {
		opt.Validation, opt.Best = held, &Best{}
	}
	return net, opt
}

// equalBits names the first tensor that differs.
func equalBits(t *testing.T, got, want *model.Network) {
	t.Helper()
	for i, w := range networkTensors(want) {
		g := networkTensors(got)[i]
		for k, v := range w.Value {
			if math.Float32bits(v) != math.Float32bits(g.Value[k]) {
				t.Fatalf("%s[%d] is %g, want the undisturbed training's %g", w.Name, k, g.Value[k], v)
			}
		}
	}
}

func checkpointData(t *testing.T) (data, held *Data) {
	opt := LoadOptions{Window: model.Causal, Stride: 5}
	return simulated(t, "mmfi", []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 7}, {Subject: 3, Activity: 21}}, opt),
		simulated(t, "mmfi", []recording.Key{{Subject: 4, Activity: 12}}, opt)
}

var errStop = errors.New("stop here")

// stopAfter ends training in the middle of the epoch after epoch k.
func stopAfter(opt *Options, k int) (ctx context.Context) {
	ctx, cancel := context.WithCancelCause(context.Background())
	opt.Step = func(s StepInfo) {
		if s.Epoch == k+1 && s.Step == 2 {
			cancel(errStop)
		}
	}
	return ctx
}

// Every method, head and option leaves the same weights, curve and best epoch
// whether or not training is interrupted after each of its epochs.
func TestResumedTrainingLeavesTheSameBits(t *testing.T) {
	data, held := checkpointData(t)
	courses := map[string]course{
		"plain, one replica":   {method: Plain, head: model.ConcatHead},
		"plain, dropout":       {method: Plain, head: model.ConcatHead, replicas: 2, dropout: 0.5, held: true},
		"mlp":                  {method: Plain, head: model.MLPHead, replicas: 2, held: true},
		"attention":            {method: Plain, head: model.AttentionHead, replicas: 2, dropout: 0.5},
		"awc":                  {method: AWC, head: model.ConcatHead, replicas: 2, held: true},
		"awc, mlp, epoch mean": {method: AWC, head: model.MLPHead, change: func(s *MethodSettings) { s.Set(AWCWindow, 3) }},
		"awc, previous epoch": {method: AWC, head: model.ConcatHead, dropout: 0.5, replicas: 2, change: func(s *MethodSettings) {
			s.Set(awcSmoothing, string(balance.ByPreviousEpoch))
			s.Set(AWCPerSample, true)
		}},
		"ogm-ge":         {method: OGMGE, head: model.ConcatHead, replicas: 2},
		"agm":            {method: AGM, head: model.ConcatHead, held: true},
		"g-blending":     {method: GBlending, head: model.ConcatHead, held: true, replicas: 2},
		"g-blending, 3":  {method: GBlending, head: model.ConcatHead, held: true, change: func(s *MethodSettings) { s.Set(blendEvery, 3) }},
		"modality-level": {method: ModalityLevel, head: model.ConcatHead, replicas: 2, dropout: 0.3, change: func(s *MethodSettings) { s.Set(resampleAlpha, 20.0) }},
		"mmpareto":       {method: MMPareto, head: model.ConcatHead, replicas: 2, dropout: 0.5},
		"slow-start":     {method: SlowStart, head: model.ConcatHead, change: func(s *MethodSettings) { s.Set(slowRamp, true); s.Set(slowEpochs, 2) }},
		"inforeg":        {method: InfoReg, head: model.ConcatHead, held: true},
	}
	used := map[string]bool{}
	for name, c := range courses {
		used[c.method] = true
		if testenv.Race && name != "awc" && name != "plain, dropout" {
			continue // minutes; all run without the race detector
		}
		t.Run(name, func(t *testing.T) {
			want, opt := c.start(t, held)
			var curve bytes.Buffer
			opt.Curve = &curve
			if err := Run(t.Context(), want, data, opt); err != nil {
				t.Fatal(err)
			}
			bestWant := opt.Best
			dir := filepath.Join(t.TempDir(), "state")
			var got *model.Network
			var resumed bytes.Buffer
			stops := []int{0, 1, 3, 4} // interrupted within the epoch after these; 4 is the end
			if c.head != model.ConcatHead {
				stops = []int{2, 4} // the weights are many
			}
			for _, k := range stops {
				got, opt = c.start(t, held)
				resumed.Reset()
				opt.Checkpoint, opt.Resume, opt.Curve = dir, true, &resumed
				opt.Resumed = func(ResumeInfo) { sameMethodState(t, opt.Method, dir) }
				err := Run(stopAfter(&opt, k), got, data, opt)
				if k < 4 && !errors.Is(err, context.Canceled) || k == 4 && err != nil {
					t.Fatalf("after %d epochs: %v", k, err)
				}
			}
			equalBits(t, got, want)
			sameCurve(t, resumed.Bytes(), curve.Bytes())
			if c.held {
				if opt.Best.Epoch != bestWant.Epoch || opt.Best.ValMM != bestWant.ValMM {
					t.Errorf("best epoch %d with %g mm, want %d with %g", opt.Best.Epoch, opt.Best.ValMM, bestWant.Epoch, bestWant.ValMM)
				}
				a, b := got, want
				if err := errors.Join(opt.Best.CopyTo(a), bestWant.CopyTo(b)); err != nil {
					t.Fatal(err)
				}
				equalBits(t, a, b)
			}
		})
	}
	for _, m := range Methods.Names() {
		if !used[m] {
			t.Errorf("method %s is not tried", m)
		}
		if method, err := NewMethod(m, MethodSettings{}); err != nil || method != nil && method.Descriptor() != Methods.Find(m) {
			t.Errorf("method %s is of another row (%v)", m, err)
		}
	}
}

// sameMethodState compares a method with what the folder says of it.
func sameMethodState(t *testing.T, m Method, dir string) {
	t.Helper()
	st, _, err := (&folder{dir: dir}).read(stateFile)
	if err != nil || m == nil {
		if err != nil {
			t.Error(err)
		}
		return
	}
	got, err := m.State()
	if err != nil || !bytes.Equal(got, st.Method) {
		t.Errorf("the method resumed with %s, want %s (%v)", got, st.Method, err)
	}
}

// sameCurve compares curves but for what depends on time.
func sameCurve(t *testing.T, got, want []byte) {
	t.Helper()
	lines := func(b []byte) []string {
		var out []string
		for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
			var e EpochInfo
			if err := d.Decode(&e); err != nil {
				t.Fatal(err)
			}
			e.ElapsedS, e.SamplesPS = 0, 0
			j, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(j))
		}
		return out
	}
	g, w := lines(got), lines(want)
	if len(g) != len(w) {
		t.Fatalf("%d lines of the curve, want %d", len(g), len(w))
	}
	for i := range w {
		if g[i] != w[i] {
			t.Errorf("line %d of the curve is\n%s\nwant\n%s", i+1, g[i], w[i])
		}
	}
}

// interrupted trains two of four epochs into a new folder and returns it.
func interrupted(t *testing.T, c course, data, held *Data) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	net, opt := c.start(t, held)
	opt.Checkpoint = dir
	if err := Run(stopAfter(&opt, 2), net, data, opt); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return dir
}

func TestResumeRefusesAnotherTraining(t *testing.T) {
	data, held := checkpointData(t)
	c := course{method: AWC, head: model.ConcatHead, held: true}
	dir := interrupted(t, c, data, held)
	other := simulated(t, "hard", []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 7}, {Subject: 3, Activity: 21}}, LoadOptions{Window: model.Causal, Stride: 5})
	for want, spoil := range map[string]func(*course, *Options, **Data){
		"recipe.seed is 4 there and 5 here":                  func(_ *course, o *Options, _ **Data) { o.Seed = 5 },
		"recipe.batch is 8 there and 4 here":                 func(_ *course, o *Options, _ **Data) { o.Batch = 4 },
		"recipe.lr is 0.002 there and 0.001 here":            func(_ *course, o *Options, _ **Data) { o.LR = 1e-3 },
		"recipe.epochs is 4 there and 5 here":                func(_ *course, o *Options, _ **Data) { o.Epochs = 5 },
		"recipe.replicas is 1 there and 2 here":              func(_ *course, o *Options, _ **Data) { o.Replicas = 2 },
		"recipe.keep_best is true there and false here":      func(_ *course, o *Options, _ **Data) { o.Best = nil },
		`method.name is "awc" there and "agm" here`:          func(c *course, _ *Options, _ **Data) { c.method = AGM },
		"method.settings.window is 20 there and 7 here":      func(c *course, _ *Options, _ **Data) { c.change = func(s *MethodSettings) { s.Set(AWCWindow, 7) } },
		`network.head is "concat" there and "mlp" here`:      func(c *course, _ *Options, _ **Data) { c.head = model.MLPHead },
		"validation.samples is 12 there and nothing here":    func(_ *course, o *Options, _ **Data) { o.Validation = nil },
		"data.values_sha256 is":                              func(_ *course, _ *Options, d **Data) { *d = other },
		"recipe.schedule_time is \"0s\" there and \"1m0s\" ": func(_ *course, o *Options, _ **Data) { o.ScheduleTime = time.Minute },
	} {
		k, d := c, data
		spoil(&k, &Options{}, &d)
		net, opt := k.start(t, held)
		spoil(&k, &opt, &d)
		opt.Checkpoint, opt.Resume = dir, true
		if err := Run(t.Context(), net, d, opt); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want an error with %q and the folder", err, want)
		}
	}
	net, opt := c.start(t, held)
	opt.Checkpoint = dir
	if err := Run(t.Context(), net, data, opt); !errors.Is(err, ErrCheckpointExists) {
		t.Errorf("a new training over another: %v", err)
	}
}
