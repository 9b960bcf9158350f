package nn

// MeanSquare is the mean squared error over all values.
type MeanSquare[T Float] struct {
	pred, target, grad []T
}

// Forward returns the mean of the squared differences.
func (l *MeanSquare[T]) Forward(pred, target []T) T {
	l.pred, l.target = pred, target
	var sum float64
	for i, v := range pred {
		e := float64(v) - float64(target[i])
		sum += e * e
	}
	return T(sum / float64(len(pred)))
}

// Backward returns the gradient of the prediction; it belongs to the loss.
func (l *MeanSquare[T]) Backward() []T {
	g := grow(&l.grad, len(l.pred))
	for i, v := range l.pred {
		g[i] = 2 * (v - l.target[i]) / T(len(l.pred))
	}
	return g
}
