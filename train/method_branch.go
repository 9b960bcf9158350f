package train

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"posefuse/balance"
)

// gblending is G-Blending: every super-epoch each single modality and the
// whole network are trained for a trial from where training stands; by how
// much each then generalises and overfits decides the weight of its loss until
// the next super-epoch.
type gblending struct {
	every, trial int
	weights      []float64 // of the modalities, then of the whole network
}

func (*gblending) branches() {}

func (g *gblending) StartEpoch(s *Session) error {
	if len(s.Encoders) < 2 {
		return nil
	}
	if s.Epoch%g.every == 0 {
		if err := g.measure(s); err != nil {
			return err
		}
	}
	n := len(s.Encoders)
	for i, e := range s.Encoders {
		s.Log("weight "+e.letter, g.weights[i])
	}
	s.Log("weight joint", g.weights[n])
	return s.SetLossWeights(g.weights[n], g.weights[:n])
}

// measure runs the trials and leaves the weights. A trial starts from the
// network and the optimiser as they are, which it gets back after it.
func (g *gblending) measure(s *Session) error {
	if s.opt.Validation == nil {
		return fmt.Errorf("%s needs validation data to measure overfitting on: hold out some training subjects", GBlending)
	}
	n := len(s.Encoders)
	before := s.snapshot()
	rng := rand.New(rand.NewPCG(s.opt.Seed^0x67626c, uint64(s.Epoch))) //nolint:gosec // reproducible draws
	// As many training samples as validation samples tell the training loss.
	known := make([]SampleRef, min(len(s.opt.Validation.Samples), len(s.Data.Samples)))
	for i, at := range rng.Perm(len(s.Data.Samples))[:len(known)] {
		known[i] = s.Data.Samples[at]
	}
	learned := make([]balance.Learned, n+1)
	for b := range learned {
		mask := s.Net.Config.Mask()
		joint, weights := 1.0, make([]float64, n)
		if b < n {
			mask = 1 << s.Encoders[b].modality
			joint, weights[b] = 0, 1
		}
		l := &learned[b]
		var err error
		measure := func(data *Data, samples []SampleRef, to *float64) {
			if err == nil {
				*to, err = s.errorOn(data, samples, mask)
			}
		}
		measure(s.Data, known, &l.TrainStart)
		measure(s.opt.Validation, s.opt.Validation.Samples, &l.ValStart)
		if err == nil {
			err = s.SetLossWeights(joint, weights)
		}
		if err == nil {
			err = s.trialEpochs(g.trial)
		}
		measure(s.Data, known, &l.TrainEnd)
		measure(s.opt.Validation, s.opt.Validation.Samples, &l.ValEnd)
		if back := s.restore(before); err == nil {
			err = back
		}
		if err != nil {
			return fmt.Errorf("trial of %s: %w", mask, err)
		}
	}
	g.weights = balance.BlendWeights(g.weights[:0], learned)
	return nil
}

func (g *gblending) AfterBackward(*Session) error { return nil }
func (g *gblending) EndEpoch(*Session) error      { return nil }

// Settings returns the name and the constants.
func (g *gblending) Settings() (string, any) {
	return GBlending, map[string]int{"every": g.every, "trial": g.trial}
}

func (g *gblending) State() (json.RawMessage, error) { return json.Marshal(g.weights) }
func (g *gblending) Resume(b json.RawMessage) error  { return json.Unmarshal(b, &g.weights) }

// mmpareto is MMPareto: per encoder the gradients of the whole network's loss
// and of the modality's own are joined so that neither works against the other.
type mmpareto struct {
	stateless
	rule  balance.MMPareto
	joint [][][]float32 // of each encoder's tensors
	head  [][]float32
	ones  []float64
}

func (*mmpareto) branches() {}

// Settings returns the name; there are no constants.
func (*mmpareto) Settings() (string, any) { return MMPareto, nil }

func (p *mmpareto) StartEpoch(s *Session) error {
	for len(p.ones) < len(s.Encoders) {
		p.ones = append(p.ones, 1)
	}
	return s.SetLossWeights(1, make([]float64, len(s.Encoders)))
}

func (p *mmpareto) AfterBackward(s *Session) error {
	if len(s.Encoders) < 2 {
		return nil
	}
	// The step left the joint loss's gradient; the modalities' own comes from
	// another backward pass over the same activations.
	if p.joint == nil {
		p.joint = make([][][]float32, len(s.Encoders))
	}
	for i, e := range s.Encoders {
		p.joint[i] = copyTensors(p.joint[i], e.gradient)
	}
	head := s.headGradients()
	p.head = copyTensors(p.head, head)
	if err := s.reps.backward(0, p.ones[:len(s.Encoders)]); err != nil {
		return err
	}
	for t, g := range head {
		addTo(g, p.head[t]) // the head minimises the sum of all losses
	}
	for i, e := range s.Encoders {
		kJoint, kUni := p.rule.Weights(p.joint[i], e.gradient)
		s.Log("k "+e.letter, kJoint)
		for t, uni := range e.gradient {
			p.rule.Blend(p.joint[i][t], uni, kJoint, kUni)
			copy(uni, p.joint[i][t])
		}
	}
	return nil
}

// copyTensors copies src into dst, which it makes where needed.
func copyTensors(dst, src [][]float32) [][]float32 {
	if dst == nil {
		dst = make([][]float32, len(src))
	}
	for i, t := range src {
		dst[i] = append(dst[i][:0], t...)
	}
	return dst
}

// headGradients returns the gradients of the fusion head's tensors.
func (s *Session) headGradients() [][]float32 {
	var out [][]float32
	for _, p := range s.Net.Parameters() {
		if p.Modality < 0 && !p.NoGrad {
			out = append(out, p.Grad)
		}
	}
	return out
}

// SetLossWeights sets what the next batches minimise: joint times the whole
// network's loss plus each modality's weight times the loss of the network that
// sees it alone. Only a Branched method may call it.
func (s *Session) SetLossWeights(joint float64, alone []float64) error {
	return s.reps.setLossWeights(joint, alone)
}

// snapshot is a copy of everything a trial changes.
type snapshot struct {
	values, buffers, m, v [][]float32
	steps                 int
	count                 uint64
	order                 []ExtraSample
}

func (s *Session) snapshot() *snapshot {
	c := &snapshot{m: copyTensors(nil, s.adam.m), v: copyTensors(nil, s.adam.v), steps: s.adam.count, count: s.Count, order: append([]ExtraSample(nil), s.order...)}
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
	for i := range s.adam.m {
		copy(s.adam.m[i], c.m[i])
		copy(s.adam.v[i], c.v[i])
	}
	s.adam.count, s.Count, s.order = c.steps, c.count, append(s.order[:0], c.order...)
	return s.reps.spread()
}

// trialEpochs trains plainly with the loss weights that are set, at the rates
// that training has in these epochs.
func (s *Session) trialEpochs(n int) error {
	full := s.Net.Config.Mask()
	steps := len(s.order) / s.opt.Batch
	for e := range n {
		epoch := min(s.Epoch+e, s.opt.Epochs-1)
		rng := rand.New(rand.NewPCG(s.opt.Seed^0x747269616c, uint64(s.Epoch+e))) //nolint:gosec // reproducible order
		rng.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
		for step := range steps {
			for k := range s.present {
				s.present[k] = full
			}
			rate := s.opt.rate(s.opt.share(epoch, step, steps, s.elapsed()), epoch)
			if _, err := s.forwardBackward(s.order[step*s.opt.Batch:(step+1)*s.opt.Batch], s.present); err != nil {
				return err
			}
			s.adam.step(rate)
			if err := s.reps.spread(); err != nil {
				return err
			}
			s.Count++
		}
	}
	return nil
}
