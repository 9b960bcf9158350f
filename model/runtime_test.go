package model

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

// small is a network of the full structure that is quick to run.
func small() Config {
	c := Edge()
	c.Size = "small"
	c.Camera.Channels = 16
	c.LiDAR.Points, c.LiDAR.Planes = 64, []int{8, 16, 16, 16, 24}
	c.LiDAR.Strides = []int{1, 2, 2, 2, 2}
	c.Radar.Points, c.Radar.Planes = 32, []int{8, 16, 16, 16, 16}
	c.CSI.Height, c.CSI.Width, c.CSI.Base = 24, 8, 4
	return c
}

// trained returns a small network after a few training steps, so that running
// statistics and weights are not at their initial values.
func trained(t *testing.T) (*Network, *Batch) {
	t.Helper()
	const n = 6
	trainOnce.Do(func() { trainedNet = trainSmall(t, n) })
	if trainedNet == nil {
		t.Fatal("no trained network")
	}
	net, err := trainedNet.Clone()
	if err != nil {
		t.Fatal(err)
	}
	return net, randomBatch(net.Config, n)
}

var (
	trainOnce  sync.Once
	trainedNet *Network
)

func trainSmall(t *testing.T, n int) *Network {
	t.Helper()
	cfg := small()
	net, err := New(cfg, 3)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := NewTrainer(net, n, TrainerOptions{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	b := randomBatch(cfg, n)
	for range 3 {
		if _, err := tr.ForwardBackward(b); err != nil {
			t.Fatal(err)
		}
		for _, p := range net.Parameters() {
			for i, g := range p.Grad {
				p.Value[i] -= 0.01 * g
			}
		}
	}
	return net
}

func sample(cfg Config, b *Batch, i int) *Input {
	cut := func(x []float32, n int) []float32 { return x[i*n : (i+1)*n] }
	return &Input{Present: modality.All, Camera: cut(b.Camera, KeypointsValues), LiDAR: cut(b.LiDAR, cfg.LiDAR.Points*3),
		Radar: cut(b.Radar, cfg.Radar.Points*5), CSI: cut(b.CSI, CSIValues)}
}

func maxDiff(a, b []float32) float64 {
	var d float64
	for i := range a {
		d = max(d, math.Abs(float64(a[i]-b[i])))
	}
	return d
}

// The graph in training mode and the folded inference share the layers; with
// batch statistics frozen into the running ones, both must agree.
func TestInferenceEqualsTrainingGraph(t *testing.T) {
	cfg := small()
	net, b := trained(t)
	const n = 6
	tr, err := NewTrainer(net, n, TrainerOptions{NoDropout: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	// Both sides must read the running statistics: the graph too.
	tr.inst.ctx.Mode = nn.Eval
	if _, err = tr.ForwardBackward(b); err != nil {
		t.Fatal(err)
	}
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	pose := make([]float32, n*OutputDim)
	if err := rt.InferBatch(b, n, pose); err != nil {
		t.Fatal(err)
	}
	if d := maxDiff(pose, tr.Predictions()); d > 1e-4 {
		t.Errorf("batch inference differs from the graph by %g m", d)
	}
	feats := tr.Features()
	for m, f := range rt.Features() {
		if d := maxDiff(f, feats[m]); d > 1e-3 {
			t.Errorf("%s features differ by %g", modality.Kind(m).String(), d)
		}
	}
	var out Output
	for i := range n {
		if err := rt.Infer(sample(cfg, b, i), &out); err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(out.Pose[:], pose[i*OutputDim:(i+1)*OutputDim]); d > 1e-4 {
			t.Errorf("sample %d: live inference differs from batch inference by %g m", i, d)
		}
		if out.Coalition != modality.All || out.EncoderTime[modality.CSI] <= 0 {
			t.Errorf("coalition %v, times %v", out.Coalition, out.EncoderTime)
		}
	}
}

func TestCoalitions(t *testing.T) {
	cfg := small()
	net, b := trained(t)
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	var all, part Output
	if err := rt.Infer(sample(cfg, b, 0), &all); err != nil {
		t.Fatal(err)
	}
	pose := make([]float32, 6*OutputDim)
	for m := range modality.Count {
		in := sample(cfg, b, 0)
		in.Present &^= 1 << m
		if err := rt.Infer(in, &part); err != nil {
			t.Fatal(err)
		}
		if part.Pose == all.Pose {
			t.Errorf("%s makes no difference", m.String())
		}
		if part.Features[m] != [FeatureDim]float32{} {
			t.Errorf("absent %s has features", m.String())
		}
		masked := *b
		masked.Present = make([]modality.Set, 6)
		for i := range masked.Present {
			masked.Present[i] = modality.All &^ (1 << m)
		}
		if err := rt.InferBatch(&masked, 6, pose); err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(pose[:OutputDim], part.Pose[:]); d > 1e-4 {
			t.Errorf("batch without %s differs by %g m", m.String(), d)
		}
	}
	in := sample(cfg, b, 0)
	in.Present = 0
	if err := rt.Infer(in, &part); err != nil || part.Coalition != 0 {
		t.Errorf("empty coalition: %v, %v", part.Coalition, err)
	}
	in = sample(cfg, b, 0)
	in.LiDAR = in.LiDAR[1:]
	if err := rt.Infer(in, &part); err == nil || !strings.Contains(err.Error(), "lidar") {
		t.Errorf("short input: %v", err)
	}
}

func TestInferAllocatesNothing(t *testing.T) {
	cfg := small()
	net, b := trained(t)
	rt, err := NewRuntime(net)
	if err != nil {
		t.Fatal(err)
	}
	in := sample(cfg, b, 0)
	var out Output
	if n := testenv.AllocsPerRun(20, func() {
		if err := rt.Infer(in, &out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 && !testenv.Race {
		t.Errorf("%v allocations per inference", n)
	}
}

func TestModalityDropoutZeroesFeaturesAndGradients(t *testing.T) {
	net, b := trained(t)
	tr, err := NewTrainer(net, 6, TrainerOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	b.Present = []modality.Set{15 &^ 2, 15 &^ 2, 15 &^ 2, 15 &^ 2, 15 &^ 2, 15 &^ 2}
	if _, err := tr.ForwardBackward(b); err != nil {
		t.Fatal(err)
	}
	if norm(tr.Features()[modality.LiDAR]) != 0 || norm(tr.Features()[modality.Camera]) == 0 {
		t.Error("features of the absent modality are not zero")
	}
	for _, p := range net.Parameters() {
		zero := norm(p.Grad) == 0
		if p.Modality == int(modality.LiDAR) && !zero {
			t.Errorf("%s has a gradient", p.Name)
		}
		// Biases before a normalisation may have a zero gradient; weights may not.
		if p.Modality != int(modality.LiDAR) && zero && !p.NoGrad && len(p.Shape) > 1 {
			t.Errorf("%s has no gradient", p.Name)
		}
	}
	b.Present = b.Present[:2]
	if _, err := tr.ForwardBackward(b); err == nil {
		t.Error("presence of another length is accepted")
	}
}

func TestTrainingIsDeterministicAndLearns(t *testing.T) {
	run := func() float64 {
		cfg := small()
		cfg.Camera.Dropout, cfg.CSI.Dropout = 0.1, 0.1
		net, err := New(cfg, 9)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(net, 8, TrainerOptions{Seed: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		b := randomBatch(cfg, 8)
		rng := rand.New(rand.NewPCG(4, 4))
		for i := range b.Target {
			b.Target[i] = rng.Float32()
		}
		var first, last float64
		for i := range 12 {
			l, err := tr.ForwardBackward(b)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = l
			}
			last = l
			for _, p := range net.Parameters() {
				if p.NoGrad {
					continue
				}
				for i, g := range p.Grad {
					p.Value[i] -= 0.02 * g
				}
			}
		}
		if !(last < 0.9*first) {
			t.Errorf("loss went from %.3f to %.3f m", first, last)
		}
		return last
	}
	if a, b := run(), run(); a != b {
		t.Errorf("two runs end at %v and %v", a, b)
	}
}

func TestBatchStatsModeLeavesRunningStatistics(t *testing.T) {
	net, b := trained(t)
	tr, err := NewTrainer(net, 6, TrainerOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	sum := func() (s float64) {
		for _, x := range net.Buffers() {
			s += norm(x.Value)
		}
		return s
	}
	before := sum()
	tr.SetBatchStatsOnly(true)
	if _, err := tr.ForwardBackward(b); err != nil {
		t.Fatal(err)
	}
	if sum() != before {
		t.Error("running statistics changed")
	}
	tr.SetBatchStatsOnly(false)
	if _, err := tr.ForwardBackward(b); err != nil {
		t.Fatal(err)
	}
	if sum() == before {
		t.Error("running statistics did not change in training mode")
	}
}

// Trainers on networks of their own may work side by side.
func TestTrainersRunConcurrently(t *testing.T) {
	cfg := small()
	cfg.Modalities = "RM"
	var wg sync.WaitGroup
	losses := make([]float64, 3)
	for i := range losses {
		net, err := New(cfg, 7)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(net, 4, TrainerOptions{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer tr.Close()
			b := randomBatch(cfg, 4)
			for range 3 {
				l, err := tr.ForwardBackward(b)
				if err != nil {
					t.Error(err)
					return
				}
				losses[i] += l
			}
		})
	}
	wg.Wait()
	if losses[0] != losses[1] || losses[0] != losses[2] || losses[0] == 0 {
		t.Errorf("equal trainers end at %v", losses)
	}
}

// Runtimes of one network may be made and used side by side.
func TestRuntimesOfOneNetwork(t *testing.T) {
	net, b := trained(t)
	in := sample(net.Config, b, 1)
	poses := make([][OutputDim]float32, 4)
	var wg sync.WaitGroup
	for i := range poses {
		wg.Go(func() {
			rt, err := NewRuntime(net)
			if err != nil {
				t.Error(err)
				return
			}
			var out Output
			for range 2 {
				if err := rt.Infer(in, &out); err != nil {
					t.Error(err)
				}
			}
			poses[i] = out.Pose
		})
	}
	wg.Wait()
	for i, p := range poses {
		if p != poses[0] {
			t.Errorf("runtime %d gives another pose", i)
		}
	}
}
