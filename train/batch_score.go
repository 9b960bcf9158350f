package train

import (
	"fmt"

	"posefuse/model"
)

// batchScore scores the modalities on a batch, from the features that its
// forward pass left in the replicas.
type batchScore struct {
	phi    *BatchContribution
	pose   []float32 // of one replica's part, room for AloneErrors
	errors []float64
}

func newBatchScore(net *model.Network, reps *replicas, batch int) (*batchScore, error) {
	c, err := NewBatchContribution(net, batch)
	if err != nil {
		return nil, err
	}
	return &batchScore{phi: c, pose: make([]float32, len(reps.batches[0].Target))}, nil
}

// contribution leaves the batch's contributions in Phi and logs them.
func (s *Session) contribution() error {
	if s.scored == nil {
		return nil
	}
	c := s.scored.phi
	c.Reset()
	for i, t := range s.reps.trainers {
		if err := c.Add(t.Features(), s.reps.batches[i].Target); err != nil {
			return fmt.Errorf("epoch %d step %d: %w", s.Epoch+1, s.Step+1, err)
		}
	}
	phi, err := c.Phi()
	if err != nil {
		return fmt.Errorf("epoch %d step %d: %w", s.Epoch+1, s.Step+1, err)
	}
	s.Phi = phi
	for i, e := range s.Encoders {
		s.log(logKey{logPhi, e.letter}, phi[i])
		s.log(logKey{logAlone, e.letter}, c.Alone()[i])
	}
	return nil
}

// AloneErrors returns, per modality, the error on the last batch of the network
// that sees it alone: the features of the others zero, dropout of the head off,
// metres. With a linear head this is the modality's partial prediction with the
// whole bias, since a share of the mean pose would say nothing. It is valid
// until the next batch.
func (s *Session) AloneErrors() ([]float64, error) {
	b := s.scored
	b.errors = b.errors[:0]
	for _, e := range s.Encoders {
		sum := 0.0
		for i, t := range s.reps.trainers {
			target := s.reps.batches[i].Target
			n := len(target) / model.OutputDim
			if err := b.phi.head.Predict(t.Features(), n, 1<<e.modality, b.pose); err != nil {
				return nil, fmt.Errorf("epoch %d step %d: %s alone: %w", s.Epoch+1, s.Step+1, e.letter, err)
			}
			for row := range n {
				at := row * model.OutputDim
				sum += model.MPJPE(b.pose[at:at+model.OutputDim], target[at:at+model.OutputDim])
			}
		}
		b.errors = append(b.errors, sum/float64(s.opt.Batch))
	}
	return b.errors, nil
}
