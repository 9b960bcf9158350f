package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// operands holds arrays in both precisions: a primitive runs on the float32
// ones on the path under test and on the float64 ones in plain Go.
type operands struct {
	x [8][]float32
	y [8][]float64
}

func (o *operands) set(i int, x []float32) { o.x[i], o.y[i] = x, widen(x) }

func (o *operands) compare(t *rapid.T, what string, tolerance float64) {
	t.Helper()
	for i := range o.x {
		for j, v := range o.x[i] {
			if want := o.y[i][j]; !(math.Abs(float64(v)-want) <= tolerance*(1+math.Abs(want))) {
				t.Fatalf("%s: operand %d[%d] = %g, want %g", what, i, j, v, want)
			}
		}
	}
}

// onShapes draws rows, columns and seeds on every path.
func onShapes(t *testing.T, f func(t *rapid.T, rows, c int, rng *rand.Rand)) {
	onEachPath(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			rows := rapid.IntRange(1, 20).Draw(t, "rows")
			c := rapid.OneOf(rapid.IntRange(1, 70), rapid.SampledFrom([]int{8, 16, 24, 32, 48, 64, 128})).Draw(t, "c")
			f(t, rows, c, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		})
	})
}

func TestNormPrimitives(t *testing.T) {
	onShapes(t, func(t *rapid.T, rows, c int, rng *rand.Rand) {
		var o operands
		o.set(0, random(rng, rows*c)) // x
		for i := range o.x[0] {
			o.x[0][i] += 3 // deviations must come from the mean, not from squares
		}
		o.y[0] = widen(o.x[0])
		for i := 1; i < 3; i++ {
			o.set(i, random(rng, c))
		}
		BatchStats(o.x[0], o.x[1], o.x[2], rows)
		BatchStats(o.y[0], o.y[1], o.y[2], rows)
		o.compare(t, "statistics", 2e-6)
		ColumnSums(o.x[0], o.x[1], rows)
		ColumnSums(o.y[0], o.y[1], rows)
		o.compare(t, "sums", 2e-6)

		relu := rapid.Bool().Draw(t, "relu")
		var p operands
		p.set(0, random(rng, rows*c)) // x
		p.set(1, random(rng, rows*c)) // y, dx
		p.set(2, random(rng, c))      // scale
		p.set(3, random(rng, c))      // shift
		p.set(4, random(rng, c))
		p.set(5, random(rng, c))
		p.set(6, random(rng, c)) // mean
		p.set(7, random(rng, rows*c))
		ScaleShift(p.x[0], p.x[1], p.x[2], p.x[3], rows, relu)
		ScaleShift(p.y[0], p.y[1], p.y[2], p.y[3], rows, relu)
		p.compare(t, "scale and shift", 1e-6)
		// Where the ReLU is about to close, precision decides; keep away.
		for i := range p.x[0] {
			if z := p.x[0][i]*p.x[2][i%c] + p.x[3][i%c]; z > -1e-5 && z < 1e-5 {
				p.x[7][i], p.y[7][i] = 0, 0
			}
		}
		n32 := Norm[float32]{p.x[6], p.x[2], p.x[3], relu}
		n64 := Norm[float64]{p.y[6], p.y[2], p.y[3], relu}
		n32.GradSums(p.x[0], p.x[7], p.x[4], p.x[5], rows)
		n64.GradSums(p.y[0], p.y[7], p.y[4], p.y[5], rows)
		p.compare(t, "gradient sums", 1e-5)
		n32.GradInput(p.x[0], p.x[7], p.x[1], p.x[4], p.x[5], p.x[6], rows)
		n64.GradInput(p.y[0], p.y[7], p.y[1], p.y[4], p.y[5], p.y[6], rows)
		p.compare(t, "input gradient", 2e-5)
	})
}

func TestElementPrimitives(t *testing.T) {
	onShapes(t, func(t *rapid.T, rows, c int, rng *rand.Rand) {
		n := rows * c
		var o operands
		for i := range 4 {
			o.set(i, random(rng, n))
		}
		AddReLU(o.x[0], o.x[1])
		AddReLU(o.y[0], o.y[1])
		ReLUGrad(o.x[1], o.x[2], o.x[3])
		ReLUGrad(o.y[1], o.y[2], o.y[3])
		Multiply(o.x[0], o.x[2])
		Multiply(o.y[0], o.y[2])
		o.compare(t, "elements", 1e-6)
		for i := range o.x[0] {
			o.x[0][i] *= 9
		}
		o.y[0] = widen(o.x[0])
		GELU(o.x[0], o.x[1], o.x[2])
		GELU(o.y[0], o.y[1], o.y[2])
		o.compare(t, "GELU", 2e-6)
		s, w := ExpRow(o.x[0], o.x[1], 2), ExpRow(o.y[0], o.y[1], 2)
		if math.Abs(float64(s)-w) > 1e-5*w {
			t.Fatalf("sum of exponentials %g, want %g", s, w)
		}
		o.compare(t, "exponentials", 2e-6)
	})
}

func TestRowPrimitives(t *testing.T) {
	onShapes(t, func(t *rapid.T, rows, c int, rng *rand.Rand) {
		n := rows * c
		var o operands
		for i := range 5 {
			o.set(i, random(rng, n))
		}
		SoftmaxRow(o.x[0], o.x[1])
		SoftmaxRow(o.y[0], o.y[1])
		NormalizeRow(0.5, 1.25, o.x[0], o.x[2], o.x[3], o.x[4])
		NormalizeRow(0.5, 1.25, o.y[0], o.y[2], o.y[3], o.y[4])
		o.compare(t, "rows", 2e-6)
		s, p := SoftmaxRowGrad(o.x[1], o.x[0], o.x[4])
		ws, wp := SoftmaxRowGrad(o.y[1], o.y[0], o.y[4])
		o.compare(t, "gradient of softmax", 2e-6)
		if math.Abs(float64(s)-ws) > 2e-6 || math.Abs(float64(p)-wp) > 2e-6 {
			t.Fatalf("sums %g, %g, want %g, %g", s, p, ws, wp)
		}
		for i := range o.x[0] {
			o.x[0][i] += 5
		}
		mean, sq := Moments(o.x[0])
		var sum, dev float64
		for _, v := range o.x[0] {
			sum += float64(v) / float64(n)
		}
		for _, v := range o.x[0] {
			dev += (float64(v) - sum) * (float64(v) - sum)
		}
		if math.Abs(mean-sum) > 1e-6*(1+math.Abs(sum)) || math.Abs(sq-dev) > 1e-5*(1+dev) {
			t.Fatalf("moments %g, %g, want %g, %g", mean, sq, sum, dev)
		}
	})
}

// The worked values of model.md 6.8.
func TestGELUMatchesWorkedValues(t *testing.T) {
	x, y, s := []float64{-1, 0.5, 2, 0}, make([]float64, 4), make([]float64, 4)
	GELU(x, y, s)
	for i, want := range []float64{-0.158655254, 0.345731231, 1.954499736, 0} {
		if math.Abs(y[i]-want) > 1e-9 {
			t.Errorf("GELU(%v) = %.9f, want %.9f", x[i], y[i], want)
		}
	}
}

func TestFastExponentialAndGELU(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		var x []float32
		for v := -20.0; v < 20; v += 0.0137 {
			x = append(x, float32(v))
		}
		e, y, s := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
		ExpRow(x, e, 0)
		GELU(x, y, s)
		wide := widen(x)
		y64, s64 := make([]float64, len(x)), make([]float64, len(x))
		GELU(wide, y64, s64)
		for i, v := range wide {
			if want := math.Exp(v); math.Abs(float64(e[i])-want) > 3e-7*want {
				t.Fatalf("exp(%v) = %v, want %v", v, e[i], want)
			}
			if d := math.Abs(float64(y[i]) - y64[i]); d > 4e-7*max(1, math.Abs(v)) {
				t.Fatalf("GELU(%v) is off by %g", v, d)
			}
			if d := math.Abs(float64(s[i]) - s64[i]); d > 1e-6 {
				t.Fatalf("slope of GELU(%v) is off by %g", v, d)
			}
		}
	})
}

func TestExpRowKeepsNaNAndClamps(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		nan := float32(math.NaN())
		x := make([]float32, 33)
		x[0], x[17], x[31], x[32] = nan, 1e30, float32(math.Inf(-1)), nan
		y := make([]float32, 33)
		ExpRow(x, y, 0)
		for i, v := range y {
			if (v != v) != (x[i] != x[i]) || math.IsInf(float64(v), 0) || v < 0 {
				t.Fatalf("exp(%g) = %g", x[i], v)
			}
		}
	})
}

func TestAttentionPrimitives(t *testing.T) {
	onShapes(t, func(t *rapid.T, points, _ int, rng *rand.Rand) {
		cs := rapid.IntRange(1, 33).Draw(t, "cs")
		c, k := 8*cs, rapid.IntRange(1, 17).Draw(t, "k")
		e := WeightWidth(cs)
		if e%cs != 0 || e%16 != 0 {
			t.Fatalf("weight width %d for %d", e, cs)
		}
		idx := make([]int32, k)
		for i := range idx {
			idx[i] = int32(rng.IntN(points))
		}
		var o operands
		o.set(0, random(rng, points*c)) // table
		o.set(1, random(rng, k*e))      // weights
		for r := range k {
			for j := cs; j < e; j++ {
				o.x[1][r*e+j] = o.x[1][r*e+j%cs]
			}
		}
		o.y[1] = widen(o.x[1])
		o.set(2, random(rng, 3*k)) // positions
		o.set(3, random(rng, 3*e)) // weighted positions
		o.set(4, random(rng, 3*c)) // position weights
		o.set(5, random(rng, c))   // bias, query
		o.set(6, random(rng, c))   // result
		o.set(7, random(rng, k*c)) // rows
		SoftmaxColumns(o.x[1], k, e, o.x[2], o.x[3])
		SoftmaxColumns(o.y[1], k, e, o.y[2], o.y[3])
		o.compare(t, "softmax", 2e-6)
		MixPositions(idx, o.x[0], o.x[5], o.x[2], o.x[4], o.x[7])
		MixPositions(idx, o.y[0], o.y[5], o.y[2], o.y[4], o.y[7])
		o.compare(t, "mix with positions", 2e-6)
		AttendPositions(idx, o.x[0], o.x[1], o.x[5], o.x[4], o.x[3], o.x[6], e)
		AttendPositions(idx, o.y[0], o.y[1], o.y[5], o.y[4], o.y[3], o.y[6], e)
		o.compare(t, "attend with positions", 5e-6)
		GatherMax(idx, o.x[0], o.x[5], o.x[6])
		GatherMax(idx, o.y[0], o.y[5], o.y[6])
		o.compare(t, "gathered maximum", 1e-6)

		var p operands
		p.set(0, random(rng, points*c)) // table
		p.set(1, random(rng, c))        // query
		p.set(2, random(rng, k*c))      // r
		p.set(3, random(rng, k*c))      // mixed
		p.set(4, random(rng, points*c)) // table gradient
		p.set(5, random(rng, c))        // sum
		Mix(idx, p.x[0], p.x[1], p.x[2], p.x[3])
		Mix(idx, p.y[0], p.y[1], p.y[2], p.y[3])
		p.compare(t, "mix", 1e-6)
		Scatter(idx, p.x[4], p.x[2], p.x[3], p.x[5])
		Scatter(idx, p.y[4], p.y[2], p.y[3], p.y[5])
		p.compare(t, "scatter", 5e-6)
		Mix(idx, p.x[0], p.x[1], nil, p.x[3])
		Mix(idx, p.y[0], p.y[1], nil, p.y[3])
		Scatter(idx, p.x[4], nil, p.x[3], p.x[5])
		Scatter(idx, p.y[4], nil, p.y[3], p.y[5])
		p.compare(t, "without r", 5e-6)
		arg, want := make([]int32, c), make([]int32, c)
		copy(p.x[3][(k-1)*c:], p.x[3][:c]) // equals: the first wins
		p.y[3] = widen(p.x[3])
		RowMax(p.x[3], k, p.x[5], arg)
		RowMax(p.y[3], k, p.y[5], want)
		p.compare(t, "row maximum", 1e-6)
		for i := range want {
			if arg[i] != want[i] {
				t.Fatalf("maximum of column %d in row %d, want %d", i, arg[i], want[i])
			}
		}
		for _, e := range []int{cs, e} {
			var q operands
			q.set(0, random(rng, points*c)) // table
			q.set(1, random(rng, k*c))      // r
			q.set(2, random(rng, k*e))      // weights
			q.set(3, random(rng, c))        // out
			q.set(4, random(rng, points*c)) // table gradient
			q.set(5, random(rng, k*c))      // dr
			q.set(6, random(rng, k*e))      // weight gradient
			Attend(idx, q.x[0], q.x[1], q.x[2], q.x[3], e)
			Attend(idx, q.y[0], q.y[1], q.y[2], q.y[3], e)
			q.compare(t, "attend", 5e-6)
			AttendGrad(idx, q.x[0], q.x[1], q.x[2], q.x[3], q.x[4], q.x[5], q.x[6], e)
			AttendGrad(idx, q.y[0], q.y[1], q.y[2], q.y[3], q.y[4], q.y[5], q.y[6], e)
			q.compare(t, "gradient of attend", 2e-5)
			SoftmaxColumnsGrad(q.x[2], q.x[6], k, e)
			SoftmaxColumnsGrad(q.y[2], q.y[6], k, e)
			q.compare(t, "gradient of softmax", 2e-5)
		}
	})
}

func TestGatherOutsideTheTablePanics(t *testing.T) {
	onEachPath(t, func(t *testing.T) {
		for _, j := range []int32{-1, 2} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("index %d of 2 rows: no panic", j)
					}
				}()
				GatherMax([]int32{0, j}, make([]float32, 16), make([]float32, 8), make([]float32, 8))
			}()
		}
	})
}
