package train

// snapshot is a copy of everything a trial changes.
type snapshot struct {
	values, buffers, m, v [][]float32
	steps                 int
	count                 uint64
	order                 []ExtraSample
}

func (s *Session) snapshot() *snapshot {
	c := &snapshot{m: copyTensors(nil, s.adam.M), v: copyTensors(nil, s.adam.V), steps: s.adam.Count, count: s.Count, order: append([]ExtraSample(nil), s.order...)}
	for _, p := range s.Net.Parameters() {
		c.values = append(c.values, append([]float32(nil), p.Value...))
	}
	for _, b := range s.Net.Buffers() {
		c.buffers = append(c.buffers, append([]float32(nil), b.Value...))
	}
	return c
}

func (s *Session) restore(c *snapshot) error {
	for i, p := range s.Net.Parameters() {
		copy(p.Value, c.values[i])
	}
	for i, b := range s.Net.Buffers() {
		copy(b.Value, c.buffers[i])
	}
	for i := range s.adam.M {
		copy(s.adam.M[i], c.m[i])
		copy(s.adam.V[i], c.v[i])
	}
	s.adam.Count, s.Count, s.order = c.steps, c.count, append(s.order[:0], c.order...)
	return s.reps.spread()
}

// trialEpochs trains plainly with the loss weights that are set, at the rates
// that training has in these epochs.
func (s *Session) trialEpochs(n int) error {
	full := s.Net.Config.Mask()
	steps := len(s.order) / s.opt.Batch
	for e := range n {
		epoch := min(s.Epoch+e, s.opt.Epochs-1)
		rng := s.draws("trial", uint64(s.Epoch+e))
		rng.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
		for step := range steps {
			for k := range s.present {
				s.present[k] = full
			}
			rate := s.opt.rate(s.opt.share(epoch, step, steps, s.elapsed()), epoch)
			if _, err := s.forwardBackward(s.order[step*s.opt.Batch:(step+1)*s.opt.Batch], s.present); err != nil {
				return err
			}
			s.adam.Step(rate)
			if err := s.reps.spread(); err != nil {
				return err
			}
			s.Count++
		}
	}
	return nil
}
