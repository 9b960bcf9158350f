package train

import "posefuse/balance"

// MMPareto is MMPareto.
const MMPareto = "mmpareto"

var mmparetoMethod = MethodDescriptor{
	Name: MMPareto, Label: "MMPareto",
	Doc:    "joins the gradients of the joint and the modality's own loss so that neither works against the other",
	Source: "Wei and Hu 2024",
	Tuned:  tunesWeightDecay, Needs: Needs{Branches: true}, Generation: 1,
	New: func(MethodSettings) Method { return &mmpareto{} },
}

// mmpareto is MMPareto: per encoder the gradients of the whole network's loss
// and of the modality's own are joined so that neither works against the other.
type mmpareto struct {
	stateless
	rule  balance.MMPareto
	joint [][][]float32 // of each encoder's tensors
	head  [][]float32
	ones  []float64
}

func (*mmpareto) Descriptor() *MethodDescriptor { return &mmparetoMethod }

func (*mmpareto) Settings() any { return nil }

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
