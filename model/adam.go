package model

import "posefuse/model/nn/kernel"

// Adam updates parameters with the gradients of their last backward pass:
// moments 0.9 and 0.999, epsilon 1e-8, the weight decay added to the gradient.
type Adam struct {
	Params      []*Parameter
	WeightDecay float64
	// M and V are the running means of each parameter's gradient and of its
	// square, Count the updates made: what to keep for going on later.
	M, V  [][]float32
	Count int
	// Scale, if there is one, is what the rate of each parameter is multiplied by.
	Scale []float64
}

// NewAdam returns an optimiser at its start. It updates the parameters that
// receive gradients.
func NewAdam(params []*Parameter, weightDecay float64) *Adam {
	a := &Adam{WeightDecay: weightDecay}
	for _, p := range params {
		if !p.NoGrad {
			a.Params = append(a.Params, p)
			a.M = append(a.M, make([]float32, len(p.Value)))
			a.V = append(a.V, make([]float32, len(p.Value)))
		}
	}
	return a
}

// Step makes one update.
func (a *Adam) Step(rate float64) {
	a.Count++
	s := adamStep(rate, a.WeightDecay, a.Count)
	for i, p := range a.Params {
		if a.Scale != nil {
			s.LR = rate * a.Scale[i]
		}
		s.Apply(p.Value, p.Grad, a.M[i], a.V[i])
	}
}

// adamStep is update number count.
func adamStep(rate, weightDecay float64, count int) kernel.AdamStep {
	return kernel.AdamStep{LR: rate, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: weightDecay, Step: count}
}
