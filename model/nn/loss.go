package nn

import "math"

// MPJPE is the mean distance of joints, the training loss, metres.
type MPJPE[T Float] struct {
	Joints int

	pred, target, dist, grad []T
}

// Forward returns the mean over b·Joints joints.
func (l *MPJPE[T]) Forward(pred, target []T, b int) T {
	n := b * l.Joints
	l.pred, l.target = pred, target
	d := grow(&l.dist, n)
	var sum float64
	for i := range d {
		var s float64
		for k := 3 * i; k < 3*i+3; k++ {
			e := float64(pred[k]) - float64(target[k])
			s += e * e
		}
		s = math.Sqrt(s)
		d[i] = T(s)
		sum += s
	}
	return T(sum / float64(n))
}

// Backward returns the gradient of the prediction, scaled; a joint that is hit
// exactly has gradient 0.
func (l *MPJPE[T]) Backward(scale T) []T {
	g := grow(&l.grad, len(l.pred))
	f := scale / T(len(l.dist))
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
