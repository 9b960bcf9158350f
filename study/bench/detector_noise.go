package bench

import (
	"math"
	"slices"

	"posefuse/model/keypoint"
	"posefuse/recording/sim"
)

// noise collects the errors of a detector against a better one.
type noise struct {
	frames int
	errors []float64 // lengths, in units of k*sqrt(area)
	scores []float64 // of the same joints
	hidden []float64 // scores of joints that the reference does not see

	last          [17][2]float64 // errors of the frame before
	seen          [17]bool
	power, cross  float64
	pairs, turned int

	moving [17][][2]float64 // joints, known motion taken out, in units of the first frame
	still  [17]float64      // those units, pixels
}

// area returns COCO's area of a person, pixels squared: a share of the box
// around the sure joints, as the simulator takes it.
func area(p *keypoint.Person) float64 {
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, k := range p.Keypoints {
		if k.Score >= 0.3 {
			lo, hi = [2]float64{min(lo[0], k.X), min(lo[1], k.Y)}, [2]float64{max(hi[0], k.X), max(hi[1], k.Y)}
		}
	}
	return 0.53 * max(hi[0]-lo[0], 1) * max(hi[1]-lo[1], 1)
}

// sure is the reference's score from which its joints count.
const sure = 0.5

// add takes one frame.
func (n *noise) add(got, want *keypoint.Person, m motion) {
	n.frames++
	if !got.Found || !want.Found {
		n.seen = [17]bool{}
		return
	}
	root := math.Sqrt(area(want))
	for j, w := range want.Keypoints {
		g := got.Keypoints[j]
		if w.Score < 0.2 {
			n.hidden = append(n.hidden, g.Score)
		}
		if w.Score < sure {
			n.seen[j] = false
			continue
		}
		unit := sim.KeypointK[j] * root
		e := [2]float64{(g.X - w.X) / unit, (g.Y - w.Y) / unit}
		n.errors, n.scores = append(n.errors, math.Hypot(e[0], e[1])), append(n.scores, g.Score)
		// Large errors are another matter than the steady one.
		if small := math.Hypot(e[0], e[1]) < 3; small && n.seen[j] {
			for a := range e {
				n.cross += e[a] * n.last[j][a]
				n.power += (e[a]*e[a] + n.last[j][a]*n.last[j][a]) / 2
			}
		} else if !small {
			n.seen[j] = false
			continue
		}
		n.last[j], n.seen[j] = e, true
		if m.zoom > 0 && g.Score >= 0.3 {
			// Back into the picture, where nothing moves.
			if n.still[j] == 0 {
				n.still[j] = unit / m.zoom
			}
			n.moving[j] = append(n.moving[j], [2]float64{(g.X/m.zoom + m.at[0]) / n.still[j], (g.Y/m.zoom + m.at[1]) / n.still[j]})
		}
	}
	n.turn(got, want)
}

// turn counts pairs of joints whose sides are exchanged: each lies nearer to
// where the other should be.
func (n *noise) turn(got, want *keypoint.Person) {
	for l := 5; l < 17; l += 2 {
		r := l + 1
		a, b, p, q := got.Keypoints[l], got.Keypoints[r], want.Keypoints[l], want.Keypoints[r]
		if p.Score < sure || q.Score < sure {
			continue
		}
		n.pairs++
		d := func(x, y keypoint.Keypoint) float64 { return math.Hypot(x.X-y.X, x.Y-y.Y) }
		if d(a, q) < d(a, p)/2 && d(b, p) < d(b, q)/2 {
			n.turned++
		}
	}
}

func (n *noise) join(o *noise) {
	n.frames += o.frames
	n.errors, n.scores, n.hidden = append(n.errors, o.errors...), append(n.scores, o.scores...), append(n.hidden, o.hidden...)
	n.power, n.cross = n.power+o.power, n.cross+o.cross
	n.pairs, n.turned = n.pairs+o.pairs, n.turned+o.turned
	for j := range n.moving {
		// Each file's joints lie elsewhere; only what is around their median counts.
		n.moving[j] = append(n.moving[j], centred(o.moving[j])...)
	}
}

// centred returns places around their median.
func centred(at [][2]float64) [][2]float64 {
	out := slices.Clone(at)
	for a := range 2 {
		var v []float64
		for _, p := range at {
			v = append(v, p[a])
		}
		m := quantile(v, 0.5)
		for i := range out {
			out[i][a] -= m
		}
	}
	return out
}

func quantile(v []float64, q float64) float64 { return timings(v).quantile(q) }

// rayleighMedian is the median length of a normal error of two axes with
// standard deviation 1.
var rayleighMedian = math.Sqrt(2 * math.Ln2)

// row sums up.
func (n *noise) row(file string) detectorRow {
	r := detectorRow{File: file, Frames: n.frames, Joints: len(n.errors), Core: quantile(n.errors, 0.5) / rayleighMedian, ScoreHidden: quantile(n.hidden, 0.5)}
	var right, wrong []float64
	for i, e := range n.errors {
		for k, limit := range []float64{2, 4, 8} {
			if e > limit*r.Core {
				r.Over[k]++
			}
		}
		switch {
		case e <= 2*r.Core:
			right = append(right, n.scores[i])
		case e > 4*r.Core:
			wrong = append(wrong, n.scores[i])
		}
	}
	for k := range r.Over {
		r.Over[k] /= float64(max(len(n.errors), 1))
	}
	r.ScoreSure, r.ScoreWrong = quantile(right, 0.5), quantile(wrong, 0.5)
	if n.power > 0 {
		r.Correlation = n.cross / n.power
	}
	if n.pairs > 0 {
		r.Inverted = float64(n.turned) / float64(n.pairs)
	}
	var lengths []float64
	for _, at := range n.moving {
		for _, p := range centred(at) {
			lengths = append(lengths, math.Hypot(p[0], p[1]))
		}
	}
	r.Motion = quantile(lengths, 0.5) / rayleighMedian
	return r
}
