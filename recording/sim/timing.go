package sim

import "math"

// frameS is the time between frames, seconds.
const frameS = 0.1

// tempo holds the real repetition lengths of an activity in frames of 0.1 s.
type tempo struct{ median, p10, p90 float64 }

// tempos holds the quantiles of 16,448 annotated repetitions by activity
// (simulator.md 2.4).
var tempos = [numActivities + 1]tempo{
	1: {7, 5, 11}, 2: {32, 25, 39}, 3: {30, 24, 38}, 4: {19, 13, 26}, 5: {18, 13, 25},
	6: {12, 10, 14}, 7: {26, 18, 34}, 8: {25, 17, 34}, 9: {19, 14, 27}, 10: {19, 13, 27},
	11: {25, 18, 34}, 12: {20, 14, 28}, 13: {20, 15, 26}, 14: {20, 14, 26}, 15: {27, 21, 32},
	16: {25, 20, 31}, 17: {14, 9, 20.7}, 18: {14, 9, 21}, 19: {22, 16, 30}, 20: {25, 20, 33},
	21: {25, 20, 32}, 22: {22, 17, 29}, 23: {22, 16, 29}, 24: {18, 14, 24}, 25: {18, 13, 24},
	26: {10, 9, 13}, 27: {22, 17, 29},
}

// sigma is the spread of the logarithm of the length: the quantiles lie 2.563
// standard deviations apart.
func (t tempo) sigma() float64 { return portableLog(t.p90/t.p10) / 2.563 }

// Shares of the spread that fall between sequences and between repetitions of
// one sequence, and bounds of a repetition.
const (
	tempoBetween       = 0.7
	tempoWithin        = 0.45
	minRepetitionS     = 5 * frameS
	amplitudeVariation = 0.07
)

// repetition is one cycle of an activity on the clip's time axis.
type repetition struct {
	startS, endS float64
	hold         float64 // share of the half cycle spent waiting at each end
	amplitude    float64
}

// rhythm draws one repetition after the other.
type rhythm struct {
	stream    Stream
	lengthS   float64 // of a repetition of this sequence
	sigma     float64
	amplitude float64
	maxHold   float64
	steady    bool // every repetition is the same
}

func (r *rhythm) next(startS float64) repetition {
	rep := repetition{startS: startS, endS: startS + r.lengthS, hold: r.maxHold / 2, amplitude: r.amplitude}
	if r.steady {
		return rep
	}
	length := r.lengthS * portableExp(tempoWithin*r.sigma*boundedNorm(&r.stream))
	rep.endS = startS + max(minRepetitionS, length)
	rep.hold = r.stream.Uniform(0, r.maxHold)
	rep.amplitude = r.amplitude * (1 + float64(amplitudeVariation*boundedNorm(&r.stream)))
	return rep
}

// share returns how far from pose 0 to pose 1 the repetition is at time tS,
// when it starts at the given phase of the cycle.
func (rep *repetition) share(tS, phase float64) float64 {
	u := min(max((tS-rep.startS)/(rep.endS-rep.startS), 0), 1) + phase
	if u >= 1 {
		u--
	}
	triangle := 2 * min(u, 1-u)
	v := min(max((triangle-rep.hold)/(1-2*rep.hold), 0), 1)
	_, cos := portableSincos(math.Pi * v)
	return (1 - cos) / 2
}

// Sway is an Ornstein-Uhlenbeck process per pose parameter, drawn on a grid
// and joined by cubic curves, so that it has a velocity everywhere.
const (
	swayTimeConstantS = 0.9
	swayShare         = 0.18 // standard deviation, of styleScale
	swayStepS         = 0.1
	swayMarginS       = 2 // the grid reaches that far beyond both ends of the clip
)

// sway is a realisation of the process with unit variance.
type sway struct {
	grid    []pose
	periodS float64 // 0 if the process does not start over
}

// swayJoinS is the time over which a process that starts over goes from its
// end to what was before its start.
const swayJoinS = 1.5

// newSway draws the process for times from -swayMarginS to
// lengthS+swayMarginS. A longer one continues a shorter one.
func newSway(s Stream, lengthS, periodS float64) sway {
	n := int(math.Ceil((lengthS+2*swayMarginS)/swayStepS)) + 3
	keep := portableExp(-swayStepS / swayTimeConstantS)
	renew := sqrt(1 - float64(keep*keep))
	grid := make([]pose, n)
	for i := range grid {
		for j := range grid[i] {
			x := s.Norm()
			if i > 0 {
				x = float64(keep*grid[i-1][j]) + float64(renew*x)
			}
			grid[i][j] = x
		}
	}
	return sway{grid: grid, periodS: periodS}
}

// add adds the sway at time tS, before periodS if there is one, to p.
func (w *sway) add(tS float64, p *pose) {
	join := 0.0
	if w.periodS > 0 {
		join = smoothStep((tS-w.periodS)/swayJoinS + 1)
	}
	w.addShare(tS, 1-join, p)
	if join > 0 {
		w.addShare(tS-w.periodS, join, p)
	}
}

func (w *sway) addShare(tS, share float64, p *pose) {
	x := (tS + swayMarginS) / swayStepS
	i := int(math.Floor(x))
	i = min(max(i, 1), len(w.grid)-3)
	u := min(max(x-float64(i), 0), 1)
	wa, wb, wc, wd := cubicWeights(u)
	a, b, c, d := &w.grid[i-1], &w.grid[i], &w.grid[i+1], &w.grid[i+2]
	share *= swayShare
	for j := range p {
		x := float64(wa*a[j]) + float64(wb*b[j]) + float64(wc*c[j]) + float64(wd*d[j])
		p[j] += float64(share * styleScale[j] * x)
	}
}

// cubicWeights returns the weights of four successive samples for the value at
// share u between the middle two: a cubic Hermite curve whose slopes come from
// the neighbours (Catmull-Rom).
func cubicWeights(u float64) (before, start, end, after float64) {
	u2 := float64(u * u)
	u3 := float64(u2 * u)
	before = float64(-0.5*u3) + u2 - float64(0.5*u)
	start = float64(1.5*u3) - float64(2.5*u2) + 1
	end = float64(-1.5*u3) + float64(2*u2) + float64(0.5*u)
	after = float64(0.5*u3) - float64(0.5*u2)
	return before, start, end, after
}
