package train

import (
	"posefuse/model"
	"posefuse/model/nn/kernel"
)

// adam is the optimiser's state over all parameters of a network.
type adam struct {
	params []*model.Parameter
	m, v   [][]float32
	opt    Options
	count  int
}

func newAdam(net *model.Network, opt Options) *adam {
	a := &adam{params: net.Parameters(), opt: opt}
	for _, p := range a.params {
		a.m = append(a.m, make([]float32, len(p.Value)))
		a.v = append(a.v, make([]float32, len(p.Value)))
	}
	return a
}

// step applies one update with the gradients of the last backward pass.
func (a *adam) step(lr float64) {
	a.count++
	s := kernel.AdamStep{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: a.opt.WeightDecay, Step: a.count}
	for i, p := range a.params {
		if p.NoGrad {
			continue
		}
		s.Apply(p.Value, p.Grad, a.m[i], a.v[i])
	}
}
