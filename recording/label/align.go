package label

import (
	"fmt"
	"math"

	"posefuse/recording"
)

// signals are pairs of joints whose distance tells how a body moves, wherever it
// is and whoever looks: h36m17.
var signals = [...][2]int{
	{0, 3}, {0, 6}, {0, 13}, {0, 16}, {13, 16}, {3, 6}, {2, 5}, {10, 13}, {10, 16}, {10, 3}, {10, 6}, {3, 13}, {6, 16},
}

const (
	stepS = 0.05 // of the search
	// maxShiftS is how far apart both may begin.
	maxShiftS = 60.0
	// leastOverlapS must be seen by both.
	leastOverlapS = 8.0
	// leastCorrelation is that of movements that are the same, one of them seen
	// with the error of a model.
	leastCorrelation = 0.4
	// rivalS and rivalLead: another place further away than rivalS whose
	// correlation is nearer than rivalLead could be meant as well.
	rivalS, rivalLead = 1.0, 0.01
)

// Fit is how a track lies beside another one.
type Fit struct {
	OffsetS     float64 // time of the labels minus that of the reference
	Correlation float64 // of the distances between joints, -1..1
	ResidualMM  float64 // root of the mean squared difference of those distances
	OverlapS    float64 // that both saw
}

// String tells the fit in words.
func (f Fit) String() string {
	return fmt.Sprintf("moved by %+.2f s, correlation %.2f, distances between joints %.0f mm off over %.0f s", f.OffsetS, f.Correlation, f.ResidualMM, f.OverlapS)
}

// Align finds when labels were measured against a reference, such as the poses of
// a session: where distances between joints go up and down together, in whatever
// frames both are. It refuses labels that move otherwise, and those that fit at two
// places.
func Align(reference, labels *Track) (Fit, error) {
	a, b := sample(reference), sample(labels)
	least := int(math.Ceil(leastOverlapS / stepS))
	if len(a) < least || len(b) < least {
		return Fit{}, fmt.Errorf("labels of %.1f s beside a session of %.1f s: want at least %g s of both", float64(len(b))*stepS, float64(len(a))*stepS, leastOverlapS)
	}
	least = max(least, min(len(a), len(b))/2)
	most := int(maxShiftS / stepS)
	from, to := max(-most, least-len(a)), min(most, len(b)-least)
	var found []score
	best := score{correlation: math.Inf(-1)}
	for shift := from; shift <= to; shift++ { // b[i+shift] is at the time of a[i]
		s := compare(a, b, shift)
		found = append(found, s)
		if s.correlation > best.correlation {
			best = s
		}
	}
	if len(found) == 0 {
		return Fit{}, fmt.Errorf("labels and session have less than %g s in common within %g s of each other's begin", leastOverlapS, maxShiftS)
	}
	fit := best.fit(found, from)
	fit.OffsetS += labels.TimesS[0] - reference.TimesS[0]
	if !(best.correlation >= leastCorrelation) {
		return fit, fmt.Errorf("the labels do not move as the session does: the best correlation is %.2f, want %g: is it the same recording, at the right rate?", best.correlation, leastCorrelation)
	}
	for _, s := range found {
		if math.Abs(float64(s.shift-best.shift))*stepS > rivalS && s.correlation > best.correlation-rivalLead {
			return fit, fmt.Errorf("the labels fit at %+.2f and %+.2f s (correlations %.3f and %.3f): begin a recording with a movement that comes once, such as one squat", fit.OffsetS,
				fit.OffsetS+float64(s.shift-best.shift)*stepS, best.correlation, s.correlation)
		}
	}
	return fit, nil
}

// row holds the signals of an instant, metres.
type row [len(signals)]float64

// sample takes the signals of a track at even steps.
func sample(t *Track) []row {
	if len(t.TimesS) == 0 {
		return nil
	}
	n := int((t.TimesS[len(t.TimesS)-1]-t.TimesS[0])/stepS) + 1
	out := make([]row, 0, n)
	for i := range n {
		p, ok := t.At(t.TimesS[0] + float64(i)*stepS)
		if !ok {
			break
		}
		out = append(out, signalsOf(&p))
	}
	return out
}

func signalsOf(p *recording.Pose) (r row) {
	for k, s := range signals {
		r[k] = distance(p, s[0], s[1])
	}
	return r
}

// score is how both fit with a shift.
type score struct {
	shift       int
	correlation float64
	residualM   float64
	n           int
}

// compare correlates a[i] with b[i+shift], all signals about their means.
func compare(a, b []row, shift int) score {
	lo, hi := max(0, -shift), min(len(a), len(b)-shift)
	n := hi - lo
	var cov, va, vb, square float64
	for k := range signals {
		var sa, sb, saa, sbb, sab float64
		for i := lo; i < hi; i++ {
			x, y := a[i][k], b[i+shift][k]
			sa, sb, saa, sbb, sab = sa+x, sb+y, saa+x*x, sbb+y*y, sab+x*y
		}
		m := float64(n)
		cov += sab - sa*sb/m
		va += saa - sa*sa/m
		vb += sbb - sb*sb/m
		square += (saa + sbb - 2*sab) / m
	}
	s := score{shift: shift, n: n, residualM: math.Sqrt(max(square, 0) / float64(len(signals)))}
	const still = 1e-9 // nobody moves
	if va > still && vb > still {
		s.correlation = cov / math.Sqrt(va*vb)
	}
	return s
}

// fit refines the best step by a parabola through its neighbours.
func (s score) fit(all []score, from int) Fit {
	f := Fit{Correlation: s.correlation, ResidualMM: 1000 * s.residualM, OverlapS: float64(s.n) * stepS, OffsetS: float64(s.shift) * stepS}
	if i := s.shift - from; i > 0 && i+1 < len(all) {
		l, r := all[i-1].correlation, all[i+1].correlation
		if curve := l - 2*s.correlation + r; curve < 0 {
			f.OffsetS += stepS * 0.5 * (l - r) / curve
		}
	}
	return f
}
