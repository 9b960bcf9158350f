package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"posefuse/internal/testenv"
	"posefuse/model/nn"
	"posefuse/sensors/modality"
)

var allHeads = []string{ConcatHead, MLPHead, AttentionHead}

// tiny has every kind of block and little arithmetic.
func tiny(head string) Config {
	c := small()
	c.Head = head
	c.Camera.Channels = 8
	c.LiDAR.Points, c.LiDAR.Planes, c.LiDAR.Strides, c.LiDAR.Neighbours = 16, []int{8, 8}, []int{1, 2}, []int{4, 4}
	c.Radar.Points, c.Radar.Planes, c.Radar.Strides, c.Radar.Neighbours = 8, []int{8, 8}, []int{1, 2}, []int{4, 4}
	c.CSI = CSIConfig{Height: 8, Width: 6, Base: 4, Blocks: []int{1, 1}, Heads: 2, MLP: 2, Dropout: 0.1}
	return c
}

// branchGraph is a training graph in float64 with dropout on.
func branchGraph(t *testing.T, cfg Config, batch int, branches []modality.Set) (*trainGraph[float64], *nn.Store[float64]) {
	t.Helper()
	s := nn.NewStore[float64](4)
	g := &trainGraph[float64]{}
	if err := g.build(cfg, s, batch, TrainerOptions{Seed: 9, Branches: branches}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.graph.Close() })
	return g, s
}

// stepAgain runs a step with the dropout masks of the first.
func stepAgain(t *testing.T, g *trainGraph[float64], b *Batch) float64 {
	t.Helper()
	g.inst.ctx.Step = 0
	l, err := g.forwardBackward(b)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func gradients(s *nn.Store[float64]) [][]float64 {
	var out [][]float64
	for _, p := range s.All {
		out = append(out, slices.Clone(p.Grad))
	}
	return out
}

// distance is the Euclidean distance of two sets of gradients, relative to b's
// norm.
func distance(a, b [][]float64) float64 {
	var d, n float64
	for i := range a {
		for k, v := range a[i] {
			d += (v - b[i][k]) * (v - b[i][k])
			n += b[i][k] * b[i][k]
		}
	}
	return math.Sqrt(d / n)
}

var someBranches = []modality.Set{1 << modality.Camera, 1 << modality.LiDAR, 1 << modality.Radar, 1 << modality.CSI, 1<<modality.Camera | 1<<modality.Radar}

// somePresent has samples that lack all modalities of some branches.
var somePresent = []modality.Set{modality.All, 1<<modality.LiDAR | 1<<modality.CSI, modality.All, 1 << modality.Camera}

// With joint weight 1 and no other, branches change no bit of a step.
func TestBranchesOfNoWeightChangeNothing(t *testing.T) {
	for _, head := range allHeads {
		for _, present := range [][]modality.Set{nil, somePresent} {
			t.Run(fmt.Sprint(head, " present ", present != nil), func(t *testing.T) {
				const n = 4
				cfg := tiny(head)
				b := randomBatch(cfg, n)
				b.Present = present
				var nets [2]*Network
				var losses [2][2]float64
				for i, branches := range [][]modality.Set{nil, someBranches} {
					net, err := New(cfg, 3)
					if err != nil {
						t.Fatal(err)
					}
					tr, err := NewTrainer(net, n, TrainerOptions{Seed: 5, Branches: branches})
					if err != nil {
						t.Fatal(err)
					}
					defer tr.Close()
					for k := range 2 {
						if losses[i][k], err = tr.ForwardBackward(b); err != nil {
							t.Fatal(err)
						}
					}
					if joint, _ := tr.BranchLosses(); joint != losses[i][1] {
						t.Errorf("loss of the network %v, the step's %v", joint, losses[i][1])
					}
					if got := MPJPE(tr.Predictions(), b.Target); math.Abs(got-losses[i][1]) > 1e-6 {
						t.Errorf("the predictions are %v off, the loss is %v", got, losses[i][1])
					}
					nets[i] = net
				}
				if losses[0] != losses[1] {
					t.Errorf("losses %v, without branches %v", losses[1], losses[0])
				}
				for i, p := range nets[0].Parameters() {
					if !slices.Equal(p.Grad, nets[1].Parameters()[i].Grad) {
						t.Errorf("%s has another gradient", p.Name)
					}
				}
				for i, p := range nets[0].Buffers() {
					if !slices.Equal(p.Value, nets[1].Buffers()[i].Value) {
						t.Errorf("%s differs", p.Name)
					}
				}
			})
		}
	}
}

// The gradient of a weighted sum of losses is the sum of those that trainers
// give which see only a branch's modalities.
func TestBranchGradientsAreThoseOfSeparateTrainers(t *testing.T) {
	const n, joint = 4, 0.75
	weights := []float32{0.5, 0, 2, -1, 0.25}
	for _, head := range allHeads {
		t.Run(head, func(t *testing.T) {
			if head == AttentionHead {
				testenv.NoRace(t, "much arithmetic in float64")
			}
			cfg := tiny(head)
			b := randomBatch(cfg, n)
			g, s := branchGraph(t, cfg, n, someBranches)
			if err := g.setBranchWeights(joint, weights); err != nil {
				t.Fatal(err)
			}
			got := stepAgain(t, g, b)
			_, losses := g.branchLosses()

			plain, ps := branchGraph(t, cfg, n, nil)
			want := joint * stepAgain(t, plain, b)
			sum := gradients(ps)
			for _, x := range sum {
				for k := range x {
					x[k] *= joint
				}
			}
			for i, w := range weights {
				if w == 0 {
					if losses[i] != 0 || len(g.branched.Branches[1+i].Pose) > 0 {
						t.Errorf("branch %d without weight was predicted", i)
					}
					continue
				}
				only := *b
				only.Present = slices.Repeat([]modality.Set{someBranches[i]}, n)
				l := stepAgain(t, plain, &only)
				if math.Abs(l-losses[i]) > 1e-12 {
					t.Errorf("branch %d: loss %v, want %v", i, losses[i], l)
				}
				want += float64(w) * l
				for k, x := range gradients(ps) {
					for j, v := range x {
						sum[k][j] += float64(w) * v
					}
				}
			}
			if math.Abs(got-want) > 1e-12 {
				t.Errorf("loss %v, want %v", got, want)
			}
			if d := distance(gradients(s), sum); d > 1e-10 {
				t.Errorf("gradients are off by %g of their norm", d)
			}
		})
	}
}

// Difference quotients of the weighted loss, with samples that do not count in
// some branches and with dropout. Package nn does this for the other heads,
// which take long in full width and float64.
func TestBranchGradientsAreDerivatives(t *testing.T) {
	const n = 4
	cfg := tiny(ConcatHead)
	b := randomBatch(cfg, n)
	b.Present = somePresent
	g, s := branchGraph(t, cfg, n, someBranches)
	if err := g.setBranchWeights(0.5, []float32{1, 0.5, 2, 0, 1.5}); err != nil {
		t.Fatal(err)
	}
	stepAgain(t, g, b)
	grads := gradients(s)
	rng := rand.New(rand.NewPCG(7, 7))
	checked := 0
	for i, p := range s.All {
		if p.Grad == nil || p.Unused || i%7 != 0 && i < len(s.All)-2 { // the last two are the head's
			continue
		}
		k := rng.IntN(len(p.Value))
		good, num := false, 0.0
		for h := 1e-5; h > 1e-8 && !good; h /= 10 { // a step may cross a kink
			old := p.Value[k]
			p.Value[k] = old + h
			up := stepAgain(t, g, b)
			p.Value[k] = old - h
			down := stepAgain(t, g, b)
			p.Value[k] = old
			num = (up - down) / (2 * h)
			good = math.Abs(num-grads[i][k]) < 1e-5*(1+math.Abs(num))
		}
		checked++
		if !good {
			t.Errorf("%s[%d]: gradient %.9g, difference quotient %.9g", p.Name, k, grads[i][k], num)
		}
	}
	if checked < 10 {
		t.Errorf("%d values checked", checked)
	}
}

// Backward gives what a step with these weights would have given, leaves the
// running statistics alone, and can be undone by another.
func TestBackwardAgain(t *testing.T) {
	const n = 4
	one, other := []float32{0, 0, 0, 0, 0}, []float32{1, 0.5, 0.25, 2, 0}
	for _, head := range allHeads {
		t.Run(head, func(t *testing.T) {
			if head == AttentionHead {
				testenv.NoRace(t, "much arithmetic in float64")
			}
			cfg := tiny(head)
			b := randomBatch(cfg, n)
			b.Present = somePresent
			g, s := branchGraph(t, cfg, n, someBranches)
			stepAgain(t, g, b)
			first := gradients(s)
			var stats [][]float64
			for _, x := range s.All {
				if x.IsBuffer() {
					stats = append(stats, slices.Clone(x.Value))
				}
			}
			if err := g.backward(0, other); err != nil {
				t.Fatal(err)
			}
			got := gradients(s)
			if err := g.backward(1, one); err != nil {
				t.Fatal(err)
			}
			for i, x := range gradients(s) {
				if !slices.Equal(x, first[i]) {
					t.Errorf("%s: a backward pass with the step's weights gives another gradient", s.All[i].Name)
				}
			}
			for _, x := range s.All {
				if x.IsBuffer() {
					if !slices.Equal(x.Value, stats[0]) {
						t.Errorf("%s has changed", x.Name)
					}
					stats = stats[1:]
				}
			}
			if w := g.branched.Branches[0].Weight; w != 1 {
				t.Errorf("weight of the network is %v after Backward", w)
			}
			fresh, fs := branchGraph(t, cfg, n, someBranches)
			if err := fresh.setBranchWeights(0, other); err != nil {
				t.Fatal(err)
			}
			stepAgain(t, fresh, b)
			for i, x := range gradients(fs) {
				if !slices.Equal(x, got[i]) {
					t.Errorf("%s: gradient differs from that of a step", fs.All[i].Name)
				}
			}
		})
	}
}

func TestBranchesRefuse(t *testing.T) {
	cfg := small()
	cfg.Modalities = "RL"
	net, err := New(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []modality.Set{0, 1 << modality.CSI, modality.All} {
		if _, err = NewTrainer(net, 2, TrainerOptions{Branches: []modality.Set{1 << modality.Camera, bad}}); err == nil {
			t.Errorf("branch %s is accepted", bad)
		}
	}
	plain, err := NewTrainer(net, 2, TrainerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if plain.SetBranchWeights(1, nil) == nil {
		t.Error("a trainer without branches takes weights")
	}
	tr, err := NewTrainer(net, 2, TrainerOptions{Branches: []modality.Set{1 << modality.Camera, 1 << modality.LiDAR}})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for _, w := range [][]float32{nil, {1}, {1, 2, 3}, {1, float32(math.NaN())}, {float32(math.Inf(1)), 0}} {
		if tr.SetBranchWeights(1, w) == nil {
			t.Errorf("weights %v are accepted", w)
		}
	}
	if tr.Backward(1, []float32{1, 1}) == nil {
		t.Error("a backward pass without a forward pass")
	}
	if tr.BranchPredictions(2) != nil || tr.BranchPredictions(-1) != nil || tr.BranchPredictions(0) != nil {
		t.Error("predictions of a branch that there is not, or before the first step")
	}
}

// The float32 kernels keep what a second backward pass needs, too.
func TestBackwardAgainInFloat32(t *testing.T) {
	const n = 3
	for _, head := range []string{ConcatHead, AttentionHead} {
		cfg := Edge()
		cfg.Head = head
		net, err := New(cfg, 3)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(net, n, TrainerOptions{Seed: 5, Branches: someBranches})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		if _, err = tr.ForwardBackward(randomBatch(cfg, n)); err != nil {
			t.Fatal(err)
		}
		var first [][]float32
		for _, p := range net.Parameters() {
			first = append(first, slices.Clone(p.Grad))
		}
		for _, joint := range []float32{0, 1} {
			if err = tr.Backward(joint, []float32{1 - joint, 0, 0, 0, 0}); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range net.Parameters() {
			if !slices.Equal(p.Grad, first[i]) {
				t.Errorf("%s %s: gradient differs from the step's", head, p.Name)
			}
		}
	}
}
