package nn

import "math"

// MPJPE is the mean distance of joints, the training loss, metres.
type MPJPE[T Float] struct {
	Joints int
	// Keep, if not nil, tells per sample whether it counts.
	Keep []bool

	pred, target, dist, grad []T
	n                        int // joints that count
}

// Forward returns the mean over the joints of the samples that count, 0 if none
// does.
func (l *MPJPE[T]) Forward(pred, target []T, b int) T {
	l.pred, l.target, l.n = pred, target, 0
	d := grow(&l.dist, b*l.Joints)
	var sum float64
	for i := range d {
		if l.Keep != nil && !l.Keep[i/l.Joints] {
			d[i] = 0
			continue
		}
		l.n++
		var s float64
		for k := 3 * i; k < 3*i+3; k++ {
			e := float64(pred[k]) - float64(target[k])
			s += e * e
		}
		s = math.Sqrt(s)
		d[i] = T(s)
		sum += s
	}
	if l.n == 0 {
		return 0
	}
	return T(sum / float64(l.n))
}

// Backward returns the gradient of the prediction, scaled; a joint that is hit
// exactly has gradient 0, as has every joint of a sample that does not count.
func (l *MPJPE[T]) Backward(scale T) []T {
	g := grow(&l.grad, len(l.pred))
	f := scale / T(max(l.n, 1))
	for i, d := range l.dist {
		for k := 3 * i; k < 3*i+3; k++ {
			g[k] = 0
			if d > 0 {
				g[k] = f * (l.pred[k] - l.target[k]) / d
			}
		}
	}
	return g
}
