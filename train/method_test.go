package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"posefuse/internal/modeltest"
	"posefuse/internal/testenv"
	"posefuse/model"
	"posefuse/recording"
)

// trained returns the weights after a short training with a method and the
// lines of its curve.
func trained(t *testing.T, data, held *Data, head, name string, change func(*MethodSettings)) ([]float32, []EpochInfo) {
	t.Helper()
	cfg := modeltest.Small()
	cfg.Head = head
	net, err := model.New(cfg, 9)
	if err != nil {
		t.Fatal(err)
	}
	var set MethodSettings
	set.Set(warmup, 1)
	set.Set(blendEvery, 2)
	set.Set(awcFisherBatches, 2)
	if change != nil {
		change(&set)
	}
	method, err := NewMethod(name, set)
	if err != nil {
		t.Fatal(err)
	}
	var curve bytes.Buffer
	if err := Run(t.Context(), net, data, Options{Epochs: 2, Batch: 16, LR: 2e-3, Seed: 4, Replicas: 2, MeanStart: true, Method: method, Validation: held, Curve: &curve}); err != nil {
		t.Fatalf("%s, %s: %v", head, name, err)
	}
	var lines []EpochInfo
	for d := json.NewDecoder(&curve); d.More(); {
		var e EpochInfo
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, e)
	}
	var all []float32
	for _, p := range net.Parameters() {
		all = append(all, p.Value...)
	}
	return all, lines
}

func methodData(t *testing.T) (data, held *Data) {
	opt := LoadOptions{Window: model.Causal, Stride: 3}
	return simulated(t, "mmfi", []recording.Key{{Subject: 1, Activity: 12}, {Subject: 2, Activity: 7}, {Subject: 3, Activity: 21}}, opt),
		simulated(t, "mmfi", []recording.Key{{Subject: 4, Activity: 12}}, opt)
}

// Every method changes the training, says what it did, and two trainings with
// it leave the same weights.
func TestMethods(t *testing.T) {
	testenv.SlowRace(t)
	data, held := methodData(t)
	heads := []string{model.ConcatHead, model.MLPHead, model.AttentionHead}
	if testenv.Race {
		heads = heads[:1]
	}
	for _, head := range heads {
		plain, lines := trained(t, data, held, head, Plain, nil)
		if len(lines) != 2 || lines[1].Method != nil || lines[1].ValMM == 0 || len(lines[1].Shapley) != 4 || len(lines[1].Alone) != 4 {
			t.Fatalf("%s: plain training reports %+v", head, lines)
		}
		for _, c := range []struct{ name, says string }{
			{AWC, "ratio R"}, {OGMGE, "k W"}, {AGM, "k L"}, {GBlending, "weight joint"},
			{ModalityLevel, "extra_share W"}, {MMPareto, "k M"}, {InfoReg, "fisher_trace"},
			{SlowStart, "share_of_rate"},
		} {
			if head != model.ConcatHead && (c.name == OGMGE || c.name == ModalityLevel || c.name == InfoReg || c.name == SlowStart) {
				continue // the same code whatever the head
			}
			got, lines := trained(t, data, held, head, c.name, nil)
			if slices.Equal(got, plain) {
				t.Errorf("%s, %s: the weights are those of plain training", head, c.name)
			}
			if !finite(got) {
				t.Errorf("%s, %s: weights are not finite", head, c.name)
			}
			// Modality-level has nothing to say before its first whole epoch, a slow
			// start nothing after it.
			says := func(e EpochInfo) bool { _, ok := e.Method[c.says]; return ok }
			if !slices.ContainsFunc(lines, says) {
				t.Errorf("%s, %s: no epoch tells of %q; the last one tells %v", head, c.name, c.says, lines[len(lines)-1].Method)
			}
			if head != model.ConcatHead {
				continue
			}
			if again, _ := trained(t, data, held, head, c.name, nil); !slices.Equal(got, again) {
				t.Errorf("%s: two trainings with the same seed differ", c.name)
			}
		}
	}
}

// A method whose strength is nothing trains plainly, bit for bit.
func TestMethodsWithoutStrength(t *testing.T) {
	data, _ := methodData(t)
	plain, _ := trained(t, data, nil, model.ConcatHead, Plain, nil)
	for name, change := range map[string]func(*MethodSettings){
		AWC:           func(s *MethodSettings) { s.Set(AWCWindow, 0) },
		AGM:           func(s *MethodSettings) { s.Set(agmAlpha, 0.0) },
		ModalityLevel: func(s *MethodSettings) { s.Set(resampleAlpha, 0.0) },
		InfoReg:       func(s *MethodSettings) { s.Set(infoRegBeta, 0.0) },
		SlowStart:     func(s *MethodSettings) { s.Set(slowShare, 1.0) },
	} {
		if got, _ := trained(t, data, nil, model.ConcatHead, name, change); !slices.Equal(got, plain) {
			t.Errorf("%s without strength changes the training", name)
		}
	}
	weak, lines := trained(t, data, nil, model.ConcatHead, AWC, func(s *MethodSettings) { s.Set(AWCAlphaSuperior, 0.0); s.Set(AWCAlphaInferior, 0.0) })
	if !slices.Equal(weak, plain) || lines[0].Method["ratio R"] != 0 {
		t.Error("awc with coefficients of zero changes the training")
	}
}

// In a step AWC adds alpha·F·(theta - theta_0) to each encoder's gradient, with
// the coefficient of its own contribution, and leaves the head alone.
func TestConstraintOfEachEncoder(t *testing.T) {
	data, _ := methodData(t)
	net, err := model.New(modeltest.Small(), 9)
	if err != nil {
		t.Fatal(err)
	}
	var set MethodSettings
	set.Set(awcFisherBatches, 2)
	a := awcMethod.New(set)
	s, err := newSession(net, data, Options{Epochs: 1, Batch: 8, LR: 1e-3, Seed: 4, Method: a})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.shuffle()
	if err = a.StartEpoch(s); err != nil {
		t.Fatal(err)
	}
	fisher, err := s.fisher(2, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range net.Parameters() {
		for i := range p.Value {
			p.Value[i] += 0.5
		}
		clear(p.Grad)
	}
	s.Phi = []float64{20, 3, 17, 5} // R and M lead
	if err = a.AfterBackward(s); err != nil {
		t.Fatal(err)
	}
	for i, e := range s.Encoders {
		want := []float64{20000, 10000, 20000, 10000}[i]
		f := fisher[i].Diagonal()
		var pulled, expected float64
		for k, g := range flat(e.gradient) {
			pulled += float64(g)
			expected += want * float64(f[k]) * 0.5
		}
		if !(expected > 0) || math.Abs(pulled-expected) > 1e-3*expected {
			t.Errorf("%s: the gradients grew by %g in all, want %g", e.letter, pulled, expected)
		}
	}
	for _, g := range s.headGradients() {
		for _, v := range g {
			if v != 0 {
				t.Fatal("the fusion head is constrained")
			}
		}
	}
}

// With a single modality there is nothing to balance: every method trains it as
// plain training does, bit for bit.
func TestMethodsWithOneModality(t *testing.T) {
	data, held := methodData(t)
	weights := func(name string) []float32 {
		cfg := modeltest.Small()
		cfg.Modalities = "M"
		net, err := model.New(cfg, 9)
		if err != nil {
			t.Fatal(err)
		}
		var set MethodSettings
		set.Set(warmup, 1)
		set.Set(blendEvery, 1)
		set.Set(awcFisherBatches, 1)
		method, err := NewMethod(name, set)
		if err != nil {
			t.Fatal(err)
		}
		if err = Run(t.Context(), net, data, Options{Epochs: 2, Batch: 16, LR: 2e-3, Seed: 4, Method: method, Validation: held}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var all []float32
		for _, p := range net.Parameters() {
			all = append(all, p.Value...)
		}
		return all
	}
	plain := weights(Plain)
	for _, name := range Methods.Names() {
		if name == SlowStart {
			continue // it balances nothing, so that one modality starts slowly, too
		}
		if !slices.Equal(weights(name), plain) {
			t.Errorf("%s changes the training of one modality", name)
		}
	}
}

// The Fisher information of single samples is that of one-sample losses: with
// two replicas of the same batch it must not depend on how they share it.
func TestFisherOfSamples(t *testing.T) {
	data, _ := methodData(t)
	net, err := model.New(modeltest.Small(), 3)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession(net, data, Options{Epochs: 1, Batch: 8, LR: 1e-3, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.shuffle()
	var before [][]float32
	for _, b := range net.Buffers() {
		before = append(before, slices.Clone(b.Value))
	}
	byBatch, err := s.fisher(1, false)
	if err != nil {
		t.Fatal(err)
	}
	bySample, err := s.fisher(1, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range net.Buffers() {
		if !slices.Equal(b.Value, before[i]) {
			t.Fatalf("%s: estimating the Fisher information moved the running statistics", b.Name)
		}
	}
	for i, e := range s.Encoders {
		one, many := byBatch[i], bySample[i]
		one.Diagonal()
		many.Diagonal()
		// The square of a mean is at most the mean of squares.
		if a, b := one.Trace(), many.Trace(); !(a > 0 && b >= a*0.999) {
			t.Errorf("%s: trace %g by batch, %g by sample", e.letter, a, b)
		}
	}
}

// A trial of G-Blending learns as fast as the epochs it stands for: a warm-up
// of the rate does not hold through all of it.
func TestTrialFollowsTheSchedule(t *testing.T) {
	data, held := methodData(t)
	moved := func(method Method, train func(*Session) error) float64 {
		net, err := model.New(modeltest.Small(), 9)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSession(net, data, Options{Epochs: 1, Batch: 16, LR: 2e-3, Seed: 4, Method: method, Validation: held})
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		s.begin = time.Now()
		before := s.snapshot()
		if err = train(s); err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, p := range net.Parameters() {
			for k, v := range p.Value {
				d := float64(v - before.values[i][k])
				sum += d * d
			}
		}
		return math.Sqrt(sum)
	}
	epoch := moved(nil, func(s *Session) error { _, err := s.epoch(t.Context()); return err })
	trial := moved(&gblending{every: 1, trial: 1}, func(s *Session) error { s.shuffle(); return s.trialEpochs(1) })
	if !(trial > epoch/2 && trial < 2*epoch) {
		t.Errorf("a trial moves the weights by %g, the epoch it stands for by %g", trial, epoch)
	}
}

// The curve's training error is that of the whole network, also where losses of
// single modalities are minimised beside it: before the first update all
// methods start from the same error.
func TestTrainingErrorIsTheNetworks(t *testing.T) {
	data, held := methodData(t)
	first := func(name string) (mm float64) {
		net, err := model.New(modeltest.Small(), 9)
		if err != nil {
			t.Fatal(err)
		}
		method, err := NewMethod(name, MethodSettings{})
		if err != nil {
			t.Fatal(err)
		}
		step := func(i StepInfo) {
			if i.Step == 1 {
				mm = i.LossMM
			}
		}
		if err = Run(t.Context(), net, data, Options{Epochs: 1, Batch: 16, LR: 2e-3, Seed: 4, Replicas: 2, Method: method, Validation: held, Step: step}); err != nil {
			t.Fatal(err)
		}
		return mm
	}
	want := first(Plain)
	for _, name := range []string{GBlending, MMPareto} {
		if got := first(name); math.Abs(got-want) > 1e-3*want {
			t.Errorf("%s: the first step tells %g mm, plain training %g", name, got, want)
		}
	}
}

func TestDivergedTrainingNamesThePlace(t *testing.T) {
	data, _ := methodData(t)
	for i := range data.Clips[0].Truth {
		if i%7 == 0 {
			data.Clips[0].Truth[i] = float32(1e38)
		}
	}
	net, err := model.New(modeltest.Small(), 3)
	if err != nil {
		t.Fatal(err)
	}
	var where *DivergedError
	err = Run(t.Context(), net, data, Options{Epochs: 9, Batch: 16, LR: 1e30, Seed: 2})
	if !errors.As(err, &where) || where.Where == "" || !strings.Contains(err.Error(), "learning rate") {
		t.Fatalf("got %v, want a DivergedError", err)
	}
}

func TestNewMethodRefuses(t *testing.T) {
	for want, c := range map[string]struct {
		name  string
		spoil func(*MethodSettings)
	}{
		"sideways":     {"sideways", func(*MethodSettings) {}},
		"agm_alpha":    {AGM, func(s *MethodSettings) { s.Set(agmAlpha, -1.0) }},
		"blend_every":  {GBlending, func(s *MethodSettings) { s.Set(blendEvery, 0) }},
		"smoothing":    {AWC, func(s *MethodSettings) { s.Set(awcSmoothing, "rough") }},
		"awc.window":   {AWC, func(s *MethodSettings) { s.Set(AWCWindow, -1) }},
		"inforeg_beta": {InfoReg, func(s *MethodSettings) { s.Set(infoRegBeta, -2.0) }},
	} {
		var set MethodSettings
		c.spoil(&set)
		if _, err := NewMethod(c.name, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that names %s", c.name, err, want)
		}
	}
	data, _ := methodData(t)
	net, err := model.New(modeltest.Small(), 1)
	if err != nil {
		t.Fatal(err)
	}
	method, err := NewMethod(GBlending, MethodSettings{})
	if err != nil {
		t.Fatal(err)
	}
	if err = Run(t.Context(), net, data, Options{Epochs: 1, Batch: 16, LR: 1e-3, Method: method}); err == nil || !strings.Contains(err.Error(), "validation") {
		t.Errorf("g-blending without validation data: %v", err)
	}
}
