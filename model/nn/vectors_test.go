package nn

import (
	"math"
	"testing"

	"posefuse/model/nn/kernel"
)

// ruleS fills tensors in the given order as model.md 6.8 says; norm weights
// start at 1.
func ruleS(ts ...*Tensor[float64]) {
	for t, x := range ts {
		for i := range x.Value {
			x.Value[i] = 0.3 * math.Sin(0.7*float64(i)+0.9*float64(t))
			if x.Kind == NormWeight {
				x.Value[i]++
			}
		}
	}
}

func testPoints(n int) []float64 {
	p := make([]float64, 3*n)
	for i := range p {
		p[i] = math.Sin(1.3*float64(i/3) + 0.8*float64(i%3))
	}
	return p
}

func testFeatures(n, c int) []float64 {
	x := make([]float64, n*c)
	for i := range x {
		x[i] = math.Cos(0.5*float64(i/c) + 0.2*float64(i%c))
	}
	return x
}

func checkSmall(t *testing.T, x []float64, sum float64, first ...float64) {
	t.Helper()
	var s float64
	for _, v := range x {
		s += v
	}
	if math.Abs(s-sum) > 2e-9 {
		t.Errorf("sum %.9f, want %.9f", s, sum)
	}
	for i, f := range first {
		if math.Abs(x[i]-f) > 1e-9 {
			t.Errorf("value %d is %.9f, want %.9f", i, x[i], f)
		}
	}
}

func TestPointBlockVector(t *testing.T) {
	s, ctx := NewStore[float64](1), &Context{Mode: Eval}
	geo := NewPyramid[float64](5, []int{1}, []int{3})
	p, err := NewPointBlock(s, ctx, "b", geo, 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	lin := func(u *Unit[float64]) *Linear[float64] { return u.Lin.(*Linear[float64]) }
	ruleS(lin(p.l1).Weight, p.l1.BN.Weight, p.l1.BN.Bias, p.q.Weight, p.q.Bias, p.k.Weight, p.k.Bias, p.v.Weight, p.v.Bias,
		lin(p.p1).Weight, lin(p.p1).Bias, p.p1.BN.Weight, p.p1.BN.Bias, p.p2.Weight, p.p2.Bias,
		p.bw.Weight, p.bw.Bias, lin(p.w1).Weight, lin(p.w1).Bias, p.w1.BN.Weight, p.w1.BN.Bias, p.w2.Weight, p.w2.Bias,
		p.bo.Weight, p.bo.Bias, lin(p.l3).Weight, p.l3.BN.Weight, p.l3.BN.Bias)
	geo.Compute(testPoints(5), 3, 1)
	for i, want := range []int32{0, 1, 4, 1, 0, 2, 2, 3, 1, 3, 4, 2, 4, 3, 0} {
		if geo.Levels[0].Self[i] != want {
			t.Fatalf("neighbours %v", geo.Levels[0].Self)
		}
	}
	for range 2 { // plain, then folded
		out := p.Forward(testFeatures(5, 16), 1)
		checkSmall(t, out, 12.166648610, .617428176, 1.173043955, 1.402883333, .924299558, .437878295, .673327954)
		p.Fold()
	}
}

func TestTransitionDownVector(t *testing.T) {
	s, ctx := NewStore[float64](1), &Context{Mode: Eval}
	geo := NewPyramid[float64](5, []int{1, 2}, []int{3, 3})
	d := NewTransitionDown(s, ctx, "d", geo, 1, 4, 6, false)
	ruleS(d.lin.Weight, d.bn.Weight, d.bn.Bias)
	geo.Compute(testPoints(5), 3, 1)
	l := geo.Levels[1]
	if l.sel[0] != 0 || l.sel[1] != 3 || l.N != 2 {
		t.Fatalf("chosen points %v", l.sel)
	}
	for i, want := range []float64{0, .717356091, .999573603, -.687766159, -.999923258, -.705540326} {
		if math.Abs(l.P[i]-want) > 1e-9 {
			t.Errorf("new points %v", l.P)
			break
		}
	}
	checkSmall(t, d.Forward(testFeatures(5, 4), 1), 3.646327677, .347389839, 1.223057440, .294207324, 0, 0, .117766267)
}

// temporalMini is the small VideoPose3D network of the vectors: its stem and
// its block, filled.
func temporalMini(ctx *Context) (*TemporalStem[float64], *TemporalBlock[float64]) {
	s := NewStore[float64](1)
	stem := NewTemporalStem(s, ctx, "r", 9, 4, 8, 3, 0)
	block := NewTemporalBlock(s, ctx, "r", 0, 3, 8, 3, 0)
	lin := func(u *Unit[float64]) *Tensor[float64] { return u.Lin.(*Linear[float64]).Weight }
	ruleS(lin(stem.unit), stem.unit.BN.Weight, stem.unit.BN.Bias, lin(block.wide), block.wide.BN.Weight, block.wide.BN.Bias,
		lin(block.point), block.point.BN.Weight, block.point.BN.Bias)
	return stem, block
}

func temporalInput() []float64 {
	x := make([]float64, 9*4)
	for i := range x {
		x[i] = math.Sin(0.3*float64(i/4) + 0.5*float64(i%4))
	}
	return x
}

func TestTemporalVector(t *testing.T) {
	stem, block := temporalMini(&Context{Mode: Eval})
	for range 2 {
		out := block.Forward(stem.Forward(temporalInput(), 1), 1)
		checkSmall(t, out, 2.854152316, .986348862, .786002615, .559552478, .311576625, 0, 0)
		stem.Fold()
		block.Fold()
	}
}

// The strided form used here equals the dilated form of the original.
func TestStridedEqualsDilated(t *testing.T) {
	stem, block := temporalMini(&Context{Mode: Eval})
	want := block.Forward(stem.Forward(temporalInput(), 1), 1)

	conv := func(u *Unit[float64], x [][]float64, dilation int) [][]float64 {
		l := u.Lin.(*Linear[float64])
		var out [][]float64
		for at := 0; at+dilation*(l.Taps-1) < len(x); at++ {
			row := make([]float64, l.Out)
			for o := range row {
				for i := range l.In {
					for k := range l.Taps {
						row[o] += l.Weight.Value[(o*l.In+i)*l.Taps+k] * x[at+k*dilation][i]
					}
				}
				sc, sh := u.BN.affine(o)
				row[o] = max(row[o]*sc+sh, 0)
			}
			out = append(out, row)
		}
		return out
	}
	var x [][]float64
	in := temporalInput()
	for f := range 9 {
		x = append(x, in[4*f:4*f+4])
	}
	y := conv(stem.unit, x, 1)
	z := conv(block.point, conv(block.wide, y, 3), 1)
	for c, v := range z[0] {
		if d := math.Abs(v + y[3][c] - want[c]); d > 1e-12 {
			t.Errorf("channel %d differs by %g", c, d)
		}
	}
}

func TestChannelTransformerVector(t *testing.T) {
	s, ctx := NewStore[float64](1), &Context{Mode: Eval}
	c := NewChannelTransformer(s, ctx, "t", 6, 4, 3, 16, 0.1)
	pos := &Tensor[float64]{Kind: Position, Value: make([]float64, 24)}
	ts := []*Tensor[float64]{pos, c.ln1.Weight, c.ln1.Bias}
	for _, p := range [][]*Linear[float64]{c.q, c.k, c.v} {
		for _, l := range p {
			ts = append(ts, l.Weight)
		}
	}
	ruleS(append(ts, c.o.Weight, c.ln2.Weight, c.ln2.Bias, c.f1.Weight, c.f1.Bias, c.f2.Weight, c.f2.Bias, c.ln3.Weight, c.ln3.Bias)...)
	x := testFeatures(6, 4)
	for i := range x {
		x[i] += pos.Value[i]
	}
	checkSmall(t, c.Forward(x, 1), -2.045008972, -.167217790, .828667178, .442076434, -1.458763759, .801119352, .233422524)
}

func TestResize(t *testing.T) {
	dst := make([]float64, 20)
	NewResize[float64](3, 2, 5, 4).Apply(dst, []float64{0, 1, 2, 3, 4, 7})
	want := []float64{0, .25, .75, 1, .8, 1.05, 1.55, 1.8, 2, 2.25, 2.75, 3, 3.2, 3.75, 4.85, 5.4, 4, 4.75, 6.25, 7}
	for i := range want {
		if math.Abs(dst[i]-want[i]) > 1e-12 {
			t.Fatalf("%v, want %v", dst, want)
		}
	}
	ramp := make([]float64, 32)
	NewResize[float64](1, 10, 1, 32).Apply(ramp, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	for i, w := range []float64{0, 0, .28125, .59375, .90625, 1.21875, 1.53125, 1.84375} {
		if math.Abs(ramp[i]-w) > 1e-12 {
			t.Fatalf("ramp %v", ramp)
		}
	}
}

func TestNeighboursBreakTiesByIndex(t *testing.T) {
	p := []float64{0, 0, 0, 1, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0}
	idx := make([]int32, 4)
	var s kernel.PointSet[float64]
	s.Set(p, 5, 3)
	s.Nearest(idx, p[:3], 1, 4)
	for i, w := range []int32{0, 2, 4, 1} {
		if idx[i] != w {
			t.Fatalf("neighbours %v", idx)
		}
	}
	sel := make([]int32, 4)
	s.Farthest(sel)
	for i, w := range []int32{0, 1, 3, 0} { // all taken: the first of equals again
		if sel[i] != w {
			t.Fatalf("farthest %v", sel)
		}
	}
}

func TestMPJPEGradientOfAHitIsZero(t *testing.T) {
	l := MPJPE[float64]{Joints: 2}
	if got := l.Forward([]float64{1, 2, 3, 0, 3, 4}, []float64{1, 2, 3, 0, 0, 0}, 1); got != 2.5 {
		t.Errorf("loss %v", got)
	}
	for i, w := range []float64{0, 0, 0, 0, .3, .4} {
		if g := l.Backward(1)[i]; math.Abs(g-w) > 1e-15 {
			t.Errorf("gradient %d is %v, want %v", i, g, w)
		}
	}
}

func TestEncoderLayerVector(t *testing.T) {
	s, ctx := NewStore[float64](1), &Context{Mode: Eval}
	l := NewEncoderLayer(s, ctx, "l", 3, 8, 2, 16, 0.1)
	ruleS(l.attn.in.Weight, l.attn.in.Bias, l.attn.out.Weight, l.attn.out.Bias, l.f1.Weight, l.f1.Bias, l.f2.Weight, l.f2.Bias,
		l.ln1.Weight, l.ln1.Bias, l.ln2.Weight, l.ln2.Bias)
	checkSmall(t, l.Forward(testFeatures(3, 8), 1), -.861608991, .988976480, 1.105617496, -.221541106, -.839744788, -.153372004, .849904233)
}
