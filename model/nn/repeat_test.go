package nn

import "testing"

// A backward pass may follow another on the activations of one forward pass:
// with the same gradient it gives the same again.
func TestBackwardRepeats(t *testing.T) {
	for _, c := range gradientCases(t) {
		t.Run(c.name, func(t *testing.T) {
			s, ctx := NewStore[float64](1), &Context{Mode: Train, Seed: 3}
			blocks := c.make(s, ctx)
			y, batch := randomValues(3*c.in), 3
			for _, b := range blocks {
				y = b.Forward(y, batch)
			}
			seed := randomValues(len(y))
			var first [][]float64
			for run := range 3 {
				dy := append([]float64(nil), seed...)
				for i := len(blocks) - 1; i >= 0; i-- {
					dy = blocks[i].Backward(dy)
				}
				got := [][]float64{append([]float64(nil), dy...)}
				for _, p := range s.All {
					got = append(got, append([]float64(nil), p.Grad...))
				}
				if run == 0 {
					first = got
				}
				for i, g := range got {
					for k, v := range g {
						if v != first[i][k] {
							name := "input"
							if i > 0 {
								name = s.All[i-1].Name
							}
							t.Errorf("pass %d: %s[%d] is %v, was %v", run+1, name, k, v, first[i][k])
							break
						}
					}
				}
			}
		})
	}
}
