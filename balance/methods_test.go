package balance_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/balance"
)

// The numbers of these tests are the worked values of the reference, 6.5-6.7.
func TestConstraint(t *testing.T) {
	o := balance.BatchFisherAWC()
	for _, c := range []struct {
		name                 string
		superior             uint8
		value, start, fisher []float32
		loss                 float64
		gradient             []float64
		split                int
	}{
		{"superior", 1, []float32{1, -0.5, 2}, []float32{0.9, -0.45, 2}, []float32{4e-6, 1e-5, 2e-4}, 6.5e-4, []float64{0.008, -0.01, 0}, 2},
		{"inferior", 0, []float32{0.3, 0.1}, []float32{0.25, 0.2}, []float32{1e-6, 3e-6}, 1.625e-4, []float64{0.0005, -0.003}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k balance.Constraint
			k.Anchor(c.start[:c.split], c.start[c.split:])
			k.Fisher = c.fisher
			g := make([]float32, len(c.value))
			for i := range g {
				g[i] = 1
			}
			p, err := k.Apply(o.Alpha(c.superior, 0), o.Half, [][]float32{c.value[:c.split], c.value[c.split:]}, [][]float32{g[:c.split], g[c.split:]})
			if err != nil {
				t.Fatal(err)
			}
			near(t, "loss", p.Loss/c.loss, 1, 1e-5)
			norm := 0.0
			for i, want := range c.gradient {
				near(t, "gradient", float64(g[i])-1, want, 1e-6)
				norm += want * want
			}
			near(t, "norm", p.Norm, math.Sqrt(norm), 1e-6)
			near(t, "ratio", p.Ratio(), math.Sqrt(norm)/math.Sqrt(float64(len(g))), 1e-6)
		})
	}
	// Without the half of Eq 7 both double.
	var k balance.Constraint
	k.Anchor([]float32{0})
	k.Fisher = []float32{0.5}
	g := []float32{0}
	p, err := k.Apply(10, false, [][]float32{{2}}, [][]float32{g})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "whole loss", p.Loss, 20, 1e-9)
	near(t, "whole gradient", float64(g[0]), 20, 1e-9)
	if _, err := k.Apply(1, true, [][]float32{{1, 2}}, [][]float32{{1, 2}}); err == nil {
		t.Error("took more parameters than anchored")
	}
}

// TestFisher uses one joint, three samples and the model (w1 x, w2 x, w3).
func TestFisher(t *testing.T) {
	r := float32(math.Sqrt(0.5))
	samples := [][]float32{{0.6, -0.8, 0}, {-2 * r, 0, -r}, {0, 0.6, -0.8}}
	mean := func(which ...int) []float32 {
		g := make([]float32, 3)
		for _, s := range which {
			for i, v := range samples[s] {
				g[i] += v / float32(len(which))
			}
		}
		return g
	}
	for _, c := range []struct {
		name      string
		gradients [][]float32
		want      []float64
	}{
		{"per sample", samples, []float64{0.786666667, 0.333333333, 0.38}},
		{"one batch", [][]float32{mean(0, 1, 2)}, []float64{0.073660414, 0.004444444, 0.252374539}},
		{"two batches", [][]float32{mean(0, 1), mean(2)}, []float64{0.082867966, 0.26, 0.3825}},
	} {
		f := balance.NewFisher(3)
		for _, g := range c.gradients {
			if err := f.Add(g[:1], g[1:]); err != nil {
				t.Fatal(err)
			}
		}
		near(t, c.name+" trace", f.Trace(), sum(c.want), 1e-6)
		for i, v := range f.Diagonal() {
			near(t, c.name, float64(v), c.want[i], 1e-6)
		}
		near(t, c.name+" trace after", f.Trace(), sum(c.want), 1e-6)
		f.Reset()
		near(t, "after reset", f.Trace(), 0, 0)
	}
	if balance.NewFisher(2).Add([]float32{1, 2, 3}) == nil {
		t.Error("took a gradient that is too long")
	}
}

func TestOGMGE(t *testing.T) {
	nearAll(t, "two", balance.OGMGE{Alpha: 0.8}.Coefficients(nil, []float64{1.5, 1}), []float64{0.166345392988, 1}, 1e-10)
	nearAll(t, "four", balance.OGMGE{Alpha: 0.1}.Coefficients(nil, []float64{1 / 0.06, 1 / 0.067, 1 / 0.103, 1 / 0.167}),
		[]float64{0.728638157967, 0.755782969325, 0.839270041633, 1}, 1e-10)
	rng := rand.New(rand.NewPCG(1, 2))
	g := make([]float32, 20000)
	for i := range g {
		g[i] = float32(3*rng.NormFloat64() + 1)
	}
	plain := append([]float32(nil), g...)
	balance.OGMGE{}.Modulate(plain, 0.5, rng)
	for i := range plain {
		if plain[i] != 0.5*g[i] {
			t.Fatalf("gradient %d: %g, want half of %g", i, plain[i], g[i])
		}
	}
	noisy := append([]float32(nil), g...)
	balance.OGMGE{Noise: true}.Modulate(noisy, 0, rng)
	var s2 float64
	for _, v := range noisy {
		s2 += float64(v) * float64(v)
	}
	near(t, "noise", math.Sqrt(s2/float64(len(noisy))), 3, 0.05)
}

func TestAGM(t *testing.T) {
	score := []float64{0.4, 0.9, 1.7}
	a := balance.AGM{Alpha: 1}
	nearAll(t, "first", a.Coefficients(nil, score), []float64{0.232328465010, 0.850582183038, 1.915660076845}, 1e-10)
	// Scores that stay as they were are where they should be.
	nearAll(t, "second", a.Coefficients(nil, score), []float64{1, 1, 1}, 1e-10)
	nearAll(t, "alone", (&balance.AGM{Alpha: 1}).Coefficients(nil, []float64{2}), []float64{1}, 0)
}

func TestBlendWeights(t *testing.T) {
	nearAll(t, "weights", balance.BlendWeights(nil, []balance.Learned{{1.0, 1.05, 0.4, 0.55}, {1.0, 1.06, 0.5, 0.7}, {1.0, 1.05, 0.3, 0.5}}),
		[]float64{0.538724652, 0.197898852, 0.263376496}, 1e-8)
	nearAll(t, "nothing learned", balance.BlendWeights(nil, make([]balance.Learned, 4)), []float64{0.25, 0.25, 0.25, 0.25}, 0)
	for _, w := range balance.BlendWeights(nil, []balance.Learned{{1, 1, 0.5, 0.5}, {1, 1, 0.6, 0.7}}) {
		if math.IsNaN(w) || math.IsInf(w, 0) || w < 0 {
			t.Errorf("weight %g without overfitting", w)
		}
	}
}

func TestMMPareto(t *testing.T) {
	g1, g2 := []float32{1, 0.5, -0.2}, []float32{-0.6, 0.3, 0.9}
	var m balance.MMPareto
	k1, k2 := m.Weights([][]float32{g1[:1], g1[1:]}, [][]float32{g2[:1], g2[1:]})
	near(t, "gamma", k1, 0.496062992126, 1e-7)
	near(t, "sum", k1+k2, 1, 1e-15)
	m.Blend(g1, g2, k1, k2)
	for i, want := range []float64{0.581155574, 1.197747464, 1.063089465} {
		near(t, "blend", float64(g1[i]), want, 1e-6)
	}
	for _, c := range []struct {
		joint, uni []float32
		k          float64
	}{
		{[]float32{1, 0}, []float32{1, 1}, 0.5},
		{[]float32{0, 0}, []float32{1, 1}, 0.999},
		{[]float32{1, 0}, []float32{0, 0}, 0.001},
		{[]float32{1, 0}, []float32{-1, 0}, 0.5},
	} {
		if k, _ := m.Weights([][]float32{c.joint}, [][]float32{c.uni}); k != c.k {
			t.Errorf("%v and %v: %g, want %g", c.joint, c.uni, k, c.k)
		}
	}
	zero := []float32{0, 0}
	m.Blend(zero, []float32{0, 0}, 0.5, 0.5)
	if zero[0] != 0 || zero[1] != 0 {
		t.Errorf("no gradient became %v", zero)
	}
}

func TestResampleShares(t *testing.T) {
	// Shares by hand: 2/3 · (20-c)/(51/4)/3 for contributions c.
	nearAll(t, "shares", balance.ResampleShares(nil, []float64{20, 17, 5, 3}, 51, 1),
		[]float64{0, 2.0 / 3 * 3 / 12.75 / 3, 2.0 / 3 * 15 / 12.75 / 3, 2.0 / 3 * 17 / 12.75 / 3}, 1e-12)
	nearAll(t, "bounded", balance.ResampleShares(nil, []float64{40, -20}, 51, 1), []float64{0, 0.5}, 0)
	nearAll(t, "alone", balance.ResampleShares(nil, []float64{40}, 51, 1), []float64{0}, 0)
}

func TestInfoReg(t *testing.T) {
	r := balance.PaperInfoReg()
	nearAll(t, "early", r.Coefficients(nil, []float64{0.8, 0.4}), []float64{0.95 * math.Exp(0.2), 0}, 1e-12)
	for range 11 {
		r.EndEpoch(1)
	}
	if r.Prime() {
		t.Error("the window stays open though the trace stands still")
	}
	nearAll(t, "late", r.Coefficients(nil, []float64{0.8, 0.4}), []float64{0, 0}, 0)
	r.EndEpoch(1.2)
	if !r.Prime() {
		t.Error("the window closed though the trace grows by a fifth")
	}
	g := []float32{1}
	r.Pull(0.5, []float32{3}, []float32{1}, g)
	near(t, "pull", float64(g[0]), 2, 0)
}
