package nn

import (
	"math"
	"testing"

	"posefuse/internal/testenv"
)

// smallHeads are the fusion heads for three features of eight values and two
// joints.
var smallHeads = map[string]func(*Store[float64], *Context) Head[float64]{
	"concat": func(s *Store[float64], _ *Context) Head[float64] { return NewConcatHead(s, "h", 3, 8, 6) },
	"mlp":    func(s *Store[float64], _ *Context) Head[float64] { return NewMLPHead(s, "h", 3, 8, []int{10, 7}, 6) },
	"attention": func(s *Store[float64], c *Context) Head[float64] {
		return NewAttentionHead(s, c, "h", 3, 8, 2, 2, 12, 6, 0.2)
	},
}

// The gradients of a branched loss are derivatives of its value, in every
// feature and parameter, with dropout on and samples that do not count.
func TestBranchedLossGradients(t *testing.T) {
	testenv.SlowRace(t)
	for name, build := range smallHeads {
		t.Run(name, func(t *testing.T) {
			const b = 5
			s := NewStore[float64](2)
			var head Head[float64]
			params := s.Collect(func() { head = build(s, &Context{Mode: Train, Seed: 3}) })
			for k, p := range s.All { // norms of tokens of zeros are steep while biases are zero
				for i, v := range randomValues(len(p.Value) + k)[k:] {
					p.Value[i] += 0.2 * v
				}
			}
			l := NewBranchedLoss(head, params, 2, 3, 4)
			for i, br := range []Branch[float64]{
				{Use: []bool{true, true, true}, Weight: 0.5},
				{Use: []bool{true, false, false}, Weight: 1.5, Keep: []bool{true, false, true, true, false}},
				{Use: []bool{false, true, true}},
				{Use: []bool{false, true, false}, Weight: 0.25, Keep: make([]bool, b)}, // no sample counts
			} {
				l.Branches[i] = br
			}
			f := [][]float64{randomValues(40), randomValues(41)[:40], randomValues(42)[:40]}
			y := randomValues(30)
			loss := func() float64 { return l.Forward(f, y, b) }
			loss()
			if l.Branches[2].Loss != 0 || len(l.Branches[2].Pose) > 0 || l.Branches[3].Loss != 0 {
				t.Error("a branch that counts nothing has a loss")
			}
			var grads [][]float64
			for _, g := range l.Backward(1) {
				grads = append(grads, append([]float64(nil), g...))
			}
			check := func(name string, v, g []float64) {
				for i := range v {
					const e = 1e-6
					old := v[i]
					v[i] = old + e
					up := loss()
					v[i] = old - e
					down := loss()
					v[i] = old
					if d := (up - down) / (2 * e); math.Abs(d-g[i]) > 1e-7*(1+math.Abs(d)) {
						t.Errorf("%s[%d]: %v, difference quotient %v", name, i, g[i], d)
					}
				}
			}
			var own [][]float64
			for _, p := range s.All {
				own = append(own, append([]float64(nil), p.Grad...))
			}
			for i := range f {
				check("feature", f[i], grads[i])
			}
			for i, p := range s.All {
				check(p.Name, p.Value, own[i])
			}
		})
	}
}

// Without any weight the gradients are zero, not those of an earlier pass.
func TestBranchedLossWithoutWeights(t *testing.T) {
	s := NewStore[float64](2)
	var head Head[float64]
	params := s.Collect(func() { head = smallHeads["concat"](s, nil) })
	l := NewBranchedLoss(head, params, 2, 3, 1)
	copy(l.Branches[0].Use, []bool{true, true, true})
	f, y := [][]float64{randomValues(40), randomValues(41)[:40], randomValues(42)[:40]}, randomValues(30)
	for _, w := range []float64{1, 0} {
		l.Branches[0].Weight = w
		v := l.Forward(f, y, 5)
		var sum float64
		for _, g := range l.Backward(1)[:3] {
			for _, x := range g {
				sum += math.Abs(x)
			}
		}
		for _, p := range params {
			for _, x := range p.Grad {
				sum += math.Abs(x)
			}
		}
		if (sum > 0) != (w > 0) || (v > 0) != (w > 0) {
			t.Errorf("weight %v: loss %v, gradients of sum %v", w, v, sum)
		}
	}
}

// A scaled loss has scaled gradients.
func TestBranchedLossScale(t *testing.T) {
	s := NewStore[float64](2)
	var head Head[float64]
	params := s.Collect(func() { head = smallHeads["mlp"](s, nil) })
	l := NewBranchedLoss(head, params, 2, 3, 1)
	l.Branches[0] = Branch[float64]{Use: []bool{true, false, true}, Weight: 1}
	f, y := [][]float64{randomValues(40), randomValues(41)[:40], randomValues(42)[:40]}, randomValues(30)
	l.Forward(f, y, 5)
	one := append([]float64(nil), l.Backward(1)[0]...)
	g := append([]float64(nil), params[0].Grad...)
	l.Forward(f, y, 5)
	for i, v := range l.Backward(3)[0] {
		if v != 3*one[i] {
			t.Fatalf("gradient %v, want %v", v, 3*one[i])
		}
	}
	for i, v := range params[0].Grad {
		if v != 3*g[i] {
			t.Fatalf("gradient of a parameter %v, want %v", v, 3*g[i])
		}
	}
}
