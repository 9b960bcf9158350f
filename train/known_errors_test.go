package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"posefuse/model"
	"posefuse/sensors/modality"
)

// TestSigmaIsCovered: the shares within the radii are those that are said, for people
// that nothing was taken from: where errors are normal, where the spread tells their
// size, and where the size of a tenth is told by nothing. Only the last has radii
// that are wider apart than a normal error's.
func TestSigmaIsCovered(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  func(spread float64, rng *rand.Rand) float64
		off   float64 // most that the coverage may be off
		tell  bool    // sigma must follow the spread
		heavy bool
	}{
		{"normal", func(float64, *rand.Rand) float64 { return 20 }, 0.02, false, false},
		{"the spread tells", func(s float64, _ *rand.Rand) float64 { return 5 + 2*s }, 0.02, true, false},
		{"a tenth is five times as wrong", func(_ float64, r *rand.Rand) float64 {
			if r.IntN(10) == 0 {
				return 100
			}
			return 20
		}, 0.02, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			e := &errorSample{of: modality.All}
			for i := range 4000 {
				e.subject = append(e.subject, int32(i%10))
				for range model.NumJoints {
					spread := 10 * math.Exp(0.5*rng.NormFloat64())
					size := c.size(spread, rng)
					x, y, z := rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()
					e.errors = append(e.errors, float32(size*math.Sqrt(x*x+y*y+z*z)))
					e.spreads, e.far = append(e.spreads, float32(spread)), append(e.far, float32(100+100*rng.Float64()))
				}
			}
			cover := e.coverage()
			for _, l := range model.CoverageLevels {
				if got := cover[l.Name]; math.Abs(got-l.Share) > c.off {
					t.Errorf("%s %% are covered %.3f", l.Name, got)
				}
			}
			fit := e.fit(func(int32) bool { return true })
			normal := model.CoverageLevels[2].Sigmas / model.CoverageLevels[0].Sigmas
			if r := fit.RadiiSigma["95"] / fit.RadiiSigma["50"] / normal; (r > 1.3) != c.heavy || r < 0.9 {
				t.Errorf("the radii are %v, %.2f times as wide apart as a normal error's", fit.RadiiSigma, r)
			}
			low, high := fit.BySpread.Factor(0, 5), fit.BySpread.Factor(0, 20)
			if follows := high > 2*low; follows != c.tell {
				t.Errorf("the factor of sigma is %.2f at 5 mm of spread and %.2f at 20", low, high)
			}
		})
	}
}
