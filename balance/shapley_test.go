package balance_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"posefuse/internal/testenv"

	"posefuse/balance"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}

func nearAll(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values %v, want %d", what, len(got), got, len(want))
	}
	for i := range want {
		near(t, what, got[i], want[i], tolerance)
	}
}

// The numbers of these tests are the worked values of the reference, 6.1-6.3.
func TestPearson(t *testing.T) {
	for _, c := range []struct {
		y, p []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{1, 3, 2, 5}, 0.8315218406202999},
		{[]float64{0.10, -0.20, 0.05, 0.40, 0.00}, []float64{0.12, -0.10, 0.02, 0.25, 0.11}, 0.932782578415039},
		{[]float64{1, 2, 3, 4}, []float64{-2, -4, -6, -8}, -1},
		{[]float64{1, 2, 3}, []float64{5, 5, 5}, 0},
		{[]float64{5, 5, 5}, []float64{1, 2, 3}, 0},
	} {
		s := balance.NewScorer[float64](1)
		if err := s.SetTarget(c.y); err != nil {
			t.Fatal(err)
		}
		got, err := s.Score(c.p)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "correlation", got, c.want, 1e-12)
	}
}

func TestShapleyValues(t *testing.T) {
	roots := make([]float64, 16)
	for s := range roots {
		sum := 0.0
		for m, w := range []float64{9, 4, 1, 0.25} {
			if s>>m&1 == 1 {
				sum += w
			}
		}
		roots[s] = math.Sqrt(sum)
	}
	for _, c := range []struct {
		n           int
		value, want []float64
	}{
		{3, []float64{0, 3, 2, 4.5, 1, 3.5, 2.75, 5.25}, []float64{2.6666666667, 1.7916666667, 0.7916666667}},
		{4, roots, []float64{2.077309831860496, 1.122878718946183, 0.412249037079147, 0.162479629749548}},
		{1, []float64{0, 2}, []float64{2}},
	} {
		phi := balance.Shapley(c.n, c.value)
		nearAll(t, "phi", phi, c.want, 1e-9)
		near(t, "sum", sum(phi), c.value[len(c.value)-1], 1e-12)
	}
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

// predictor is a linear head: the sum of the partial predictions and a bias.
func predictor(partial [][]float64, bias []float64) func(uint8) ([]float64, error) {
	return func(mask uint8) ([]float64, error) {
		out := make([]float64, len(partial[0]))
		for i := range out {
			out[i] = bias[i%len(bias)]
			for m, p := range partial {
				if mask>>m&1 == 1 {
					out[i] += p[i]
				}
			}
		}
		return out, nil
	}
}

func TestShapleyOfLinearHead(t *testing.T) {
	for _, c := range []struct {
		name      string
		dims      int
		y         []float64
		partial   [][]float64
		bias      []float64
		value     []float64
		phi       []float64
		tolerance float64
	}{
		{"two coordinates", 2, []float64{0.1, 1.0, 0.4, 0.8, 0.2, 1.3, 0.9, 1.1}, [][]float64{
			{0.1, 0.7, 0.3, 0.6, 0.2, 0.9, 0.6, 0.7}, {0.0, 0.1, 0.1, 0.3, 0.0, 0.2, 0.2, 0.1}, {0.05, 0.05, -0.05, 0.05, 0.05, 0.15, 0.05, 0.05}},
			[]float64{0.05, 0.1},
			[]float64{0, 1.951603609416, 0.560110971085, 1.564535401419, 0.800640769025, 1.895994114162, 0.936585811582, 1.628516536319},
			[]float64{1.231141073963, 0.055690603507, 0.341684858849}, 1e-10},
		{"four modalities", 1, []float64{.2, .5, .1, .9, .4}, [][]float64{
			{.2, .4, .15, .8, .35}, {0, .1, .05, .2, 0}, {.05, -.05, 0, .1, .05}, {.01, .02, 0, 0, .01}},
			[]float64{3},
			[]float64{0, .992351487852, .844282512099, .980195765884, .450570173629, .965149552675, .861549790341, .970096035468,
				-.076752955645, .995771228499, .857053059339, .983549201037, .480202352738, .970921769898, .889536386216, .974979429464},
			[]float64{0.473513517855, 0.356642409461, 0.155879666290, -0.011056164142}, 1e-10},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := balance.NewScorer[float64](c.dims)
			n := len(c.partial)
			v, err := s.LinearCoalitionScores(c.y, c.partial)
			if err != nil {
				t.Fatal(err)
			}
			nearAll(t, "shortcut", v, c.value, c.tolerance)
			nearAll(t, "phi", balance.Shapley(n, v), c.phi, c.tolerance)
			if v, err = s.CoalitionScores(n, c.y, predictor(c.partial, c.bias)); err != nil {
				t.Fatal(err)
			}
			nearAll(t, "by prediction", v, c.value, c.tolerance)
		})
	}
}

// TestShortcutEqualsPrediction compares the covariance shortcut with scoring
// every coalition's prediction, on more than a thousand random cases, among
// them constant coordinates, predictions that cancel and single samples.
func TestShortcutEqualsPrediction(t *testing.T) {
	cases := 0
	for cases < 1000 {
		rapid.Check(t, func(t *rapid.T) {
			cases++
			n := rapid.IntRange(1, 5).Draw(t, "modalities")
			dims := rapid.IntRange(1, 6).Draw(t, "coordinates")
			batch := rapid.IntRange(1, 12).Draw(t, "batch")
			draw := func(name string) []float64 {
				// Sums of much larger and much smaller numbers would lose digits
				// before the prediction is even scored.
				scale := math.Pow(10, float64(rapid.IntRange(-2, 1).Draw(t, name+" scale")))
				x := make([]float64, batch*dims)
				for i := range x {
					x[i] = scale * float64(rapid.IntRange(-1000, 1000).Draw(t, name)) / 1000
				}
				if rapid.IntRange(0, 5).Draw(t, name+" constant") == 0 {
					for i := dims; i < len(x); i += dims {
						x[i] = x[0]
					}
				}
				return x
			}
			y := draw("target")
			partial := make([][]float64, n)
			for m := range partial {
				partial[m] = draw("partial")
			}
			if n > 1 && rapid.IntRange(0, 5).Draw(t, "cancel") == 0 {
				for i, v := range partial[0] {
					partial[1][i] = -v
				}
			}
			s, ref := balance.NewScorer[float64](dims), balance.NewScorer[float64](dims)
			fast, err := s.LinearCoalitionScores(y, partial)
			if err != nil {
				t.Fatal(err)
			}
			slow, err := ref.CoalitionScores(n, y, predictor(partial, []float64{0}))
			if err != nil {
				t.Fatal(err)
			}
			for mask := range fast {
				if math.Abs(fast[mask]-slow[mask]) > 1e-9 {
					t.Fatalf("coalition %b: %v by the shortcut, %v by prediction", mask, fast[mask], slow[mask])
				}
			}
			phi := balance.Shapley(n, slow)
			if d := math.Abs(sum(phi) - slow[len(slow)-1]); d > 1e-9 {
				t.Fatalf("contributions miss the profit of all by %g", d)
			}
		})
	}
}

func TestScorerRefuses(t *testing.T) {
	s := balance.NewScorer[float64](2)
	if _, err := s.LinearCoalitionScores([]float64{1, 2, 3}, [][]float64{{1, 2, 3}}); err == nil {
		t.Error("took a target that is no multiple of the coordinates")
	}
	if _, err := s.LinearCoalitionScores([]float64{1, 2}, [][]float64{{1, 2}, {1}}); err == nil {
		t.Error("took a short partial prediction")
	}
	if _, err := s.LinearCoalitionScores([]float64{1, 2}, nil); err == nil {
		t.Error("took no modality")
	}
	if _, err := s.CoalitionScores(1, []float64{1, 2}, func(uint8) ([]float64, error) { return []float64{1}, nil }); err == nil {
		t.Error("took a short prediction")
	}
}

func TestScoringAllocatesNothing(t *testing.T) {
	s := balance.NewScorer[float32](51)
	y := make([]float32, 51*16)
	partial := make([][]float32, 4)
	for m := range partial {
		partial[m] = make([]float32, len(y))
		for i := range y {
			y[i] = float32(math.Sin(float64(i)))
			partial[m][i] = float32(math.Sin(float64(i*(m+2)) / 3))
		}
	}
	phi := make([]float64, 0, 4)
	if n := testenv.AllocsPerRun(10, func() {
		v, err := s.LinearCoalitionScores(y, partial)
		if err != nil {
			t.Fatal(err)
		}
		phi = balance.AppendShapley(phi[:0], 4, v)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		score []float64
		want  uint8
	}{
		{[]float64{20, 17, 5, 3}, 0b0011},
		{[]float64{30, 14, 12, 2}, 0b0001},
		{[]float64{10, 9, 8, 1}, 0b0111},
		{[]float64{12, 4, 4.5, 4.2}, 0b0001},
		{[]float64{3, 1}, 0b01},
		{[]float64{1, 3}, 0b10},
		{[]float64{2, 2, 2}, 0},
		{[]float64{7}, 0},
		{[]float64{3, 2, 1}, 0b001}, // both cuts are as good: the smaller superior set
	} {
		if got := balance.Split(c.score); got != c.want {
			t.Errorf("%v: superior %04b, want %04b", c.score, got, c.want)
		}
	}
}

func TestSmoother(t *testing.T) {
	var c balance.Smoother
	if c.Mean() != nil {
		t.Error("a mean before the first batch")
	}
	c.Add([]float64{1, 10})
	c.Add([]float64{3, 20})
	nearAll(t, "running mean", c.Smoothed(balance.ByEpochMean, nil), []float64{2, 15}, 1e-15)
	nearAll(t, "batch", c.Smoothed(balance.ByBatch, []float64{3, 20}), []float64{3, 20}, 0)
	nearAll(t, "no previous epoch", c.Smoothed(balance.ByPreviousEpoch, nil), []float64{2, 15}, 1e-15)
	c.EndEpoch()
	nearAll(t, "between epochs", c.Mean(), []float64{2, 15}, 1e-15)
	c.Add([]float64{5, 5})
	nearAll(t, "new epoch", c.Smoothed(balance.ByEpochMean, nil), []float64{5, 5}, 1e-15)
	nearAll(t, "previous epoch", c.Smoothed(balance.ByPreviousEpoch, nil), []float64{2, 15}, 1e-15)
}

func BenchmarkLinearScores(b *testing.B) {
	s := balance.NewScorer[float32](51)
	y := make([]float32, 51*192)
	partial := make([][]float32, 4)
	for m := range partial {
		partial[m] = make([]float32, len(y))
		for i := range y {
			y[i] = float32(math.Sin(float64(i)))
			partial[m][i] = float32(math.Sin(float64(i*(m+2)) / 3))
		}
	}
	for b.Loop() {
		v, err := s.LinearCoalitionScores(y, partial)
		if err != nil {
			b.Fatal(err)
		}
		balance.Shapley(4, v)
	}
}
