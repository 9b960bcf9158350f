package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// chain is a list of blocks for gradient checks.
type chain struct {
	ctx    *Context
	store  *Store[float64]
	blocks []Block[float64]
	x      []float64
	batch  int
	inputs bool // the first block returns a gradient of x
}

func (c *chain) loss(weights []float64) float64 {
	y := c.x
	for _, b := range c.blocks {
		y = b.Forward(y, c.batch)
	}
	var s float64
	for i, v := range y {
		s += weights[i] * v
	}
	return s
}

// check compares analytic gradients with central differences in every
// parameter and input, or a sample of them where there are many.
func (c *chain) check(t *testing.T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 8))
	width := 1
	for _, d := range c.blocks[len(c.blocks)-1].OutShape() {
		width *= d
	}
	w := make([]float64, c.batch*width)
	for i := range w {
		w[i] = rng.NormFloat64()
	}
	for _, p := range c.store.All {
		for i := range p.Value {
			switch p.Kind {
			case RunningVar:
				p.Value[i] = 0.5 + rng.Float64()
			default:
				p.Value[i] += 0.2 * rng.NormFloat64()
			}
		}
	}
	run := func() []float64 {
		c.loss(w)
		dy := append([]float64(nil), w...)
		for i := len(c.blocks) - 1; i >= 0; i-- {
			dy = c.blocks[i].Backward(dy)
		}
		return append([]float64(nil), dy...)
	}
	run() // buffers hold something else before the run that counts
	dx := run()
	if (dx != nil) != c.inputs {
		t.Fatalf("input gradient: %v", dx != nil)
	}
	compare := func(name string, values, grads []float64) {
		t.Helper()
		bad := 0
		for _, i := range rng.Perm(len(values))[:min(len(values), 40)] {
			num := 0.0
			good := false
			// A step may cross a kink of a ReLU or change a maximum; then a
			// smaller one does not.
			for h := 1e-5; h > 1e-8 && !good; h /= 10 {
				old := values[i]
				values[i] = old + h
				up := c.loss(w)
				values[i] = old - h
				down := c.loss(w)
				values[i] = old
				num = (up - down) / (2 * h)
				good = math.Abs(num-grads[i]) < 2e-5*(1+math.Abs(num))
			}
			if !good {
				bad++
				if bad <= 3 {
					t.Errorf("%s[%d]: gradient %.9g, difference quotient %.9g", name, i, grads[i], num)
				}
			}
		}
	}
	for _, p := range c.store.All {
		if p.Grad != nil && !p.Unused {
			compare(p.Name, p.Value, append([]float64(nil), p.Grad...))
		}
	}
	if c.inputs {
		compare("input", c.x, dx)
	}
}

func randomValues(n int) []float64 {
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.NormFloat64()
	}
	return x
}

// gradientCase is a chain of blocks whose gradients are checked; inputs says
// whether the first returns that of its input.
type gradientCase struct {
	name   string
	in     int
	inputs bool
	make   func(s *Store[float64], ctx *Context) []Block[float64]
}

// gradientCases are chains of every kind of block.
func gradientCases(t *testing.T) []gradientCase {
	t.Helper()
	cloud := func(s *Store[float64], ctx *Context, first bool) []Block[float64] {
		geo := NewPyramid[float64](12, []int{1, 2}, []int{4, 5})
		geo.Compute(randomValues(3*12*3), 3, 3)
		b0, err := NewPointBlock(s, ctx, "b0", geo, 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		b1, err := NewPointBlock(s, ctx, "b1", geo, 1, 16)
		if err != nil {
			t.Fatal(err)
		}
		cin := 8
		if first {
			cin = 5
		}
		return []Block[float64]{NewTransitionDown(s, ctx, "d0", geo, 0, cin, 8, first), b0, NewTransitionDown(s, ctx, "d1", geo, 1, 8, 16, false), b1}
	}
	return []gradientCase{
		{"temporal", 27 * 4, false, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewTemporalStem(s, ctx, "r", 27, 4, 6, 3, 0.3), NewTemporalBlock(s, ctx, "r", 0, 9, 6, 3, 0.3), NewTemporalBlock(s, ctx, "r", 1, 3, 6, 3, 0.3)}
		}},
		{"temporal block", 9 * 6, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewTemporalBlock(s, ctx, "r", 0, 9, 6, 3, 0)}
		}},
		{"point stages", 12 * 5, false, func(s *Store[float64], ctx *Context) []Block[float64] { return cloud(s, ctx, true) }},
		{"point stages inner", 12 * 8, true, func(s *Store[float64], ctx *Context) []Block[float64] { return cloud(s, ctx, false) }},
		{"first transition downsamples", 12 * 8, true, func(s *Store[float64], ctx *Context) []Block[float64] { return cloud(s, ctx, false)[2:] }},
		{"image stem", 3 * 6 * 4, false, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewImageStem(s, ctx, "w", 3, 6, 4, 8, 5, 4)}
		}},
		{"basic block", 3 * 7 * 5 * 4, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewBasicBlock(s, ctx, "w", 3, 4, 4, 1, 7, 5)}
		}},
		{"basic block stride 2", 3 * 7 * 4 * 4, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewBasicBlock(s, ctx, "w", 3, 4, 6, 2, 7, 4)}
		}},
		{"token join", 3 * 3 * 2 * 4, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewTokenJoin(s, ctx, "w", 3, 3, 2, 4, 0.2)}
		}},
		{"channel transformer", 6 * 5, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewChannelTransformer(s, ctx, "w", 6, 5, 3, 12, 0.2)}
		}},
		{"wifi encoder", 3 * 6 * 4, false, func(s *Store[float64], ctx *Context) []Block[float64] {
			return []Block[float64]{NewImageStem(s, ctx, "w", 3, 6, 4, 5, 4, 2), NewBasicBlock(s, ctx, "w.0", 3, 2, 2, 1, 5, 4),
				NewBasicBlock(s, ctx, "w.1", 3, 2, 4, 2, 5, 4), NewTokenJoin(s, ctx, "w", 3, 3, 2, 4, 0.2), NewChannelTransformer(s, ctx, "w.t", 18, 4, 3, 12, 0.2)}
		}},
		{"projection", 4 * 6, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			p := NewProjection(s, "p", 4, 6, 5, 0)
			p.Gate = []float64{1, 0, 1}
			return []Block[float64]{p}
		}},
		{"projection that carries", 4 * 6, true, func(s *Store[float64], ctx *Context) []Block[float64] {
			p := NewProjection(s, "p", 4, 6, 5, 2)
			p.Gate, p.Carried = []float64{1, 0, 1}, func(sample int) []float64 { return []float64{float64(sample), -1} }
			return []Block[float64]{p}
		}},
	}
}

// TestGradients checks every block in the modes that are differentiated.
// Train mode with dropout is checked too: with a fixed step its masks are fixed.
func TestGradients(t *testing.T) {
	for _, c := range gradientCases(t) {
		for mode, name := range []string{"train", "batch statistics", "eval"} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				s, ctx := NewStore[float64](1), &Context{Mode: Mode(mode), Seed: 3}
				if c.name == "first transition downsamples" && ctx.Mode == Train {
					ctx.Step = 7
				}
				k := &chain{ctx: ctx, store: s, blocks: c.make(s, ctx), x: randomValues(3 * c.in), batch: 3, inputs: c.inputs}
				k.check(t)
			})
		}
	}
}

func TestHeadAndLossGradients(t *testing.T) {
	for name, build := range map[string]func(*Store[float64], *Context) Head[float64]{
		"concat": func(s *Store[float64], _ *Context) Head[float64] { return NewConcatHead(s, "h", 3, 8, 6) },
		"mlp":    func(s *Store[float64], _ *Context) Head[float64] { return NewMLPHead(s, "h", 3, 8, []int{10, 7}, 6) },
		"attention": func(s *Store[float64], c *Context) Head[float64] {
			return NewAttentionHead(s, c, "h", 3, 8, 2, 2, 12, 6, 0.2)
		},
	} {
		t.Run(name, func(t *testing.T) { checkHead(t, build) })
	}
}

func checkHead(t *testing.T, build func(*Store[float64], *Context) Head[float64]) {
	t.Helper()
	f := [][]float64{randomValues(40), randomValues(41)[:40], randomValues(42)[:40]}
	checkHeadOn(t, f, 8, build)
}

// checkHeadOn is checkHead on five samples of the given features, of the first of
// which only as many values of each get a gradient.
func checkHeadOn(t *testing.T, f [][]float64, ofFirst int, build func(*Store[float64], *Context) Head[float64]) {
	t.Helper()
	s := NewStore[float64](2)
	ctx := &Context{Mode: Train, Seed: 3}
	h := build(s, ctx)
	l := &MPJPE[float64]{Joints: 2}
	y := randomValues(30)
	loss := func() float64 { return l.Forward(h.Forward(f, 5), y, 5) }
	loss()
	h.Backward(l.Backward(1)) // buffers hold something else before the run that counts
	loss()
	var grads [][]float64
	for _, g := range h.Backward(l.Backward(1)) {
		grads = append(grads, append([]float64(nil), g...))
	}
	check := func(name string, v, g []float64) {
		for i := range v {
			if name == "feature 0" && i%8 >= ofFirst {
				continue
			}
			const e = 1e-6
			old := v[i]
			v[i] = old + e
			up := loss()
			v[i] = old - e
			down := loss()
			v[i] = old
			if d := (up - down) / (2 * e); math.Abs(d-g[i]) > 1e-7 {
				t.Errorf("%s[%d]: %v, difference quotient %v", name, i, g[i], d)
			}
		}
	}
	for i := range f {
		check(fmt.Sprint("feature ", i), f[i], grads[i])
	}
	for _, p := range s.All {
		check(p.Name, p.Value, append([]float64(nil), p.Grad...))
	}
}

// The graph computes what the layers compute, and Grad reaches every parameter.
func TestGraphEqualsDirectPass(t *testing.T) {
	build := func() (*Store[float64], []Block[float64], *ConcatHead[float64], [][]*Tensor[float64]) {
		s, ctx := NewStore[float64](4), &Context{Mode: Train, Seed: 1}
		var stem, block, proj Block[float64]
		var head *ConcatHead[float64]
		params := [][]*Tensor[float64]{
			s.Collect(func() { stem = NewTemporalStem(s, ctx, "r", 9, 4, 8, 3, 0.2) }),
			s.Collect(func() { block = NewTemporalBlock(s, ctx, "r", 0, 3, 8, 3, 0.2) }),
			s.Collect(func() { proj = NewProjection(s, "r.projection", 1, 8, 5, 0) }),
			s.Collect(func() { head = NewConcatHead(s, "head", 1, 5, 6) }),
		}
		return s, []Block[float64]{stem, block, proj}, head, params
	}
	const batch = 4
	x, y := randomValues(batch*36), randomValues(batch*6)

	direct, blocks, head, _ := build()
	v := x
	for _, b := range blocks {
		v = b.Forward(v, batch)
	}
	l := &MPJPE[float64]{Joints: 2}
	want := l.Forward(head.Forward([][]float64{v}, batch), y, batch)
	dy := head.Backward(l.Backward(1))[0]
	for i := len(blocks) - 1; i >= 0; i-- {
		dy = blocks[i].Backward(dy)
	}

	store, blocks, head, params := build()
	g := NewGraph[float64](batch)
	n := g.Input("x", x)
	var err error
	for i, b := range blocks {
		if n, err = g.Block("block", b, params[i], n, i > 0); err != nil {
			t.Fatal(err)
		}
	}
	if n, err = g.Head("head", head, params[3], 6, n); err != nil {
		t.Fatal(err)
	}
	loss, err := g.Loss(&MPJPE[float64]{Joints: 2}, n, g.Input("y", y))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Compile(loss); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for range 2 { // the second run must not add to the first
		if err := g.Run(); err != nil {
			t.Fatal(err)
		}
		got, err := Value[float64](loss)
		if err != nil || got[0] != want {
			t.Fatalf("loss %v, want %v (%v)", got, want, err)
		}
		for i, p := range store.All {
			if p.Grad == nil {
				continue
			}
			var s float64
			for k, v := range p.Grad {
				if v != direct.All[i].Grad[k] {
					t.Errorf("%s: gradient differs from the direct pass", p.Name)
					break
				}
				s += math.Abs(v)
			}
			if s == 0 {
				t.Errorf("%s: no gradient", p.Name)
			}
		}
	}
}

func TestDropoutIsSeededAndKeepsTheMean(t *testing.T) {
	ctx := &Context{Mode: Train, Seed: 1}
	d := NewDropout[float64](ctx, 0.25)
	draw := func() []float64 {
		x := make([]float64, 40000)
		for i := range x {
			x[i] = 1
		}
		d.Forward(x)
		return x
	}
	a, b := draw(), draw()
	ctx.Step++
	c := draw()
	var sum, zeros float64
	same := 0
	for i := range a {
		if a[i] != b[i] {
			t.Fatal("the same step draws another mask")
		}
		if a[i] == c[i] {
			same++
		}
		sum += a[i]
		if a[i] == 0 {
			zeros++
		}
	}
	if m := sum / 40000; math.Abs(m-1) > 0.015 {
		t.Errorf("mean %v", m)
	}
	if r := zeros / 40000; math.Abs(r-0.25) > 0.01 {
		t.Errorf("rate %v", r)
	}
	if f := float64(same) / 40000; math.Abs(f-0.625) > 0.02 { // 0.75² + 0.25²
		t.Errorf("the next step keeps %v of the mask", f)
	}
	ctx.Mode = Eval
	if x := draw(); x[0] != 1 || x[39999] != 1 {
		t.Error("dropout acts in eval mode")
	}
}
